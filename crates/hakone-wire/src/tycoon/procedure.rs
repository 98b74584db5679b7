//! The procedures that can be called.

macro_rules! procedures {
    ($($name:ident = $word:literal;)*) => {
        /// A procedure.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Procedure {
            $(#[doc = concat!("`", $word, "`")] $name,)*
        }

        impl Procedure {
            /// The procedure of this name.
            pub fn from_name(name: &[u8]) -> Option<Procedure> {
                $(if name == $word.as_bytes() {
                    return Some(Procedure::$name);
                })*
                None
            }

            /// Its name, as below `/rpc/`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Procedure::$name => $word,)*
                }
            }
        }
    };
}

procedures! {
    Get = "get";
    Set = "set";
    Void = "void";
    Echo = "echo";
    Report = "report";
    PlayScript = "play_script";
    TuneReplication = "tune_replication";
    UlogList = "ulog_list";
    UlogRemove = "ulog_remove";
    Status = "status";
    Clear = "clear";
    Synchronize = "synchronize";
    Add = "add";
    Replace = "replace";
    Append = "append";
    Increment = "increment";
    IncrementDouble = "increment_double";
    Cas = "cas";
    Remove = "remove";
    Check = "check";
    Seize = "seize";
    SetBulk = "set_bulk";
    RemoveBulk = "remove_bulk";
    GetBulk = "get_bulk";
    Vacuum = "vacuum";
    MatchPrefix = "match_prefix";
    MatchRegex = "match_regex";
    MatchSimilar = "match_similar";
}

impl Procedure {
    /// Whether it speaks to a database.
    pub fn uses_database(self) -> bool {
        !matches!(
            self,
            Procedure::Void
                | Procedure::Echo
                | Procedure::Report
                | Procedure::PlayScript
                | Procedure::TuneReplication
                | Procedure::UlogList
                | Procedure::UlogRemove
        )
    }
}
