//! The verbs of the protocol, in the order in which `stat` counts them.

macro_rules! verbs {
    ($($name:ident = $code:literal, $word:literal;)*) => {
        /// A verb of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Verb {
            $(#[doc = concat!("`", $word, "`")] $name,)*
        }

        impl Verb {
            /// All of them, in the order of `stat`.
            pub const ALL: &[Verb] = &[$(Verb::$name,)*];

            /// The verb that this byte stands for.
            pub fn from_code(code: u8) -> Option<Verb> {
                match code {
                    $($code => Some(Verb::$name),)*
                    _ => None,
                }
            }

            /// Its name, as in the `cnt_` lines of `stat`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Verb::$name => $word,)*
                }
            }
        }
    };
}

verbs! {
    Put = 0x10, "put";
    PutKeep = 0x11, "putkeep";
    PutCat = 0x12, "putcat";
    PutShl = 0x13, "putshl";
    PutNr = 0x18, "putnr";
    Out = 0x20, "out";
    Get = 0x30, "get";
    MGet = 0x31, "mget";
    VSiz = 0x38, "vsiz";
    IterInit = 0x50, "iterinit";
    IterNext = 0x51, "iternext";
    FwmKeys = 0x58, "fwmkeys";
    AddInt = 0x60, "addint";
    AddDouble = 0x61, "adddouble";
    Ext = 0x68, "ext";
    Sync = 0x70, "sync";
    Optimize = 0x71, "optimize";
    Vanish = 0x72, "vanish";
    Copy = 0x73, "copy";
    Restore = 0x74, "restore";
    SetMst = 0x78, "setmst";
    RNum = 0x80, "rnum";
    Size = 0x81, "size";
    Stat = 0x88, "stat";
    Misc = 0x90, "misc";
    Repl = 0xa0, "repl";
}
