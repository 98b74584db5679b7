//! The words that a line begins with.

macro_rules! verbs {
    ($($name:ident = $word:literal;)*) => {
        /// A verb of the protocol.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Verb {
            $(#[doc = concat!("`", $word, "`")] $name,)*
        }

        impl Verb {
            /// All of them.
            pub const ALL: &[Verb] = &[$(Verb::$name,)*];

            /// The verb that is written so; case counts.
            pub fn from_word(word: &[u8]) -> Option<Verb> {
                const WORDS: &[(&[u8], Verb)] = &[$(($word.as_bytes(), Verb::$name),)*];
                WORDS.iter().find(|(there, _)| *there == word).map(|&(_, verb)| verb)
            }

            /// How it is written.
            pub fn name(self) -> &'static str {
                match self {
                    $(Verb::$name => $word,)*
                }
            }
        }
    };
}

// The most frequent first: a word is looked up from the front.
verbs! {
    Get = "get";
    Set = "set";
    Gets = "gets";
    Incr = "incr";
    Delete = "delete";
    Add = "add";
    Cas = "cas";
    Touch = "touch";
    Gat = "gat";
    Gats = "gats";
    Decr = "decr";
    Replace = "replace";
    Append = "append";
    Prepend = "prepend";
    Bget = "bget";
    FlushAll = "flush_all";
    Version = "version";
    Stats = "stats";
    Verbosity = "verbosity";
    Quit = "quit";
    CacheMemlimit = "cache_memlimit";
    Shutdown = "shutdown";
    Slabs = "slabs";
    Lru = "lru";
    LruCrawler = "lru_crawler";
    Watch = "watch";
}

impl Verb {
    /// Whether a block of data follows the line.
    pub fn stores(self) -> bool {
        matches!(
            self,
            Verb::Set | Verb::Add | Verb::Replace | Verb::Append | Verb::Prepend | Verb::Cas
        )
    }

    /// Whether the line names keys without end, so that it may be long.
    pub(super) fn reads(self) -> bool {
        matches!(
            self,
            Verb::Get | Verb::Gets | Verb::Bget | Verb::Gat | Verb::Gats
        )
    }
}
