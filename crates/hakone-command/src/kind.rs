//! What a database is made as: its kind, its order, how its values are packed.

/// What a database is indexed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// By hash: the fastest single reads and writes, no order.
    Hash,
    /// By key order: ranges, prefixes and cursors.
    Tree,
    /// By number: keys are ids from 1 to 2^63 - 1, written in decimal.
    Array,
}

/// The order in which a tree keeps its keys. Keys that compare alike as numbers are ordered by
/// their bytes, so that different keys are never one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Comparator {
    /// By bytes, unsigned; a key comes before those that it begins.
    #[default]
    Bytes,
    /// By the decimal number that the key begins with: blanks, a sign, an integer of 64 bits, a
    /// fraction of which 16 digits count.
    Decimal,
    /// By the first 4 bytes as a little-endian signed integer; zeros follow a shorter key.
    Int32,
    /// By the first 8 bytes as a little-endian signed integer; zeros follow a shorter key.
    Int64,
    /// As `Bytes`, the greatest first.
    BytesReverse,
    /// As `Decimal`, the greatest first.
    DecimalReverse,
    /// As `Int32`, the greatest first.
    Int32Reverse,
    /// As `Int64`, the greatest first.
    Int64Reverse,
}

/// How the values of a database are packed in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// By LZ4: quick, saves less.
    Lz4,
    /// By Zstandard: slower, saves more.
    Zstd,
    /// By Zstandard with a dictionary of what the database's values have in common: for many small
    /// values.
    ZstdDictionary,
}

/// Gives an enum its words: in options, catalogues and reports.
macro_rules! words {
    ($type:ident, $($variant:ident $word:literal),+) => {
        impl $type {
            /// All of them, with the word for each.
            pub const ALL: &'static [(&'static str, $type)] =
                &[$(($word, $type::$variant)),+];

            /// The word for it in options, catalogues and reports.
            pub fn name(self) -> &'static str {
                match self {
                    $($type::$variant => $word),+
                }
            }

            /// What the word `name` says.
            pub fn from_name(name: &str) -> Option<$type> {
                let found = $type::ALL.iter().find(|(word, _)| *word == name);
                found.map(|(_, it)| *it)
            }
        }
    };
}

words!(Kind, Hash "hash", Tree "tree", Array "array");

words!(
    Comparator,
    Bytes "bytes",
    Decimal "decimal",
    Int32 "int32",
    Int64 "int64",
    BytesReverse "bytes-reverse",
    DecimalReverse "decimal-reverse",
    Int32Reverse "int32-reverse",
    Int64Reverse "int64-reverse"
);

words!(Compression, None "none", Lz4 "lz4", Zstd "zstd", ZstdDictionary "zstd-dictionary");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_says_what_it_names() {
        for (word, kind) in Kind::ALL {
            assert_eq!((kind.name(), Kind::from_name(word)), (*word, Some(*kind)));
        }
        assert_eq!(Comparator::ALL.len(), 8);
        assert_eq!(
            Comparator::from_name("decimal-reverse"),
            Some(Comparator::DecimalReverse)
        );
        assert_eq!(
            Compression::from_name("zstd-dictionary"),
            Some(Compression::ZstdDictionary)
        );
        assert_eq!(Kind::from_name("heap"), None);
    }
}
