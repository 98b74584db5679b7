//! Records as lines of text: tab-separated values and JSON lines, both safe for any bytes.

mod jsonl;
mod lines;
mod tsv;

pub(crate) use lines::{LineFault, Lines};
pub(crate) use tsv::{escape, line, unescape};

use hakone::limits::{KEY_BYTES_MAX, VALUE_BYTES_MAX};
use hakone_client::transfer::Record;
use std::path::Path;

/// How records are written as lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// KEY, tab, VALUE; then tab, expiry in ms since 1970, and tab, flags, where they are set.
    /// Escapes: \t \n \r \\ \xHH
    Tsv,
    /// {"key":"K","value":"V"}, with "expiry_ms" and "flags" where set; "key_base64" and
    /// "value_base64" for what is not UTF-8
    Jsonl,
}

impl Format {
    /// The format that a file's name tells: JSON lines for .jsonl and .ndjson, else TSV.
    pub(crate) fn of(path: &Path) -> Format {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("jsonl" | "ndjson") => Format::Jsonl,
            _ => Format::Tsv,
        }
    }

    /// Appends `entry` as one line.
    pub(crate) fn write(self, entry: &Record, out: &mut Vec<u8>) {
        match self {
            Format::Tsv => tsv::write(entry, out),
            Format::Jsonl => jsonl::write(entry, out),
        }
        out.push(b'\n');
    }

    /// Reads one line, without its end.
    ///
    /// # Errors
    /// What is wrong with it, as a sentence.
    pub(crate) fn read(self, line: &[u8]) -> Result<Record, String> {
        let entry = match self {
            Format::Tsv => tsv::read(line),
            Format::Jsonl => jsonl::read(line),
        }?;
        within("key", entry.key.len(), KEY_BYTES_MAX)?;
        within("value", entry.value.len(), VALUE_BYTES_MAX)?;
        Ok(entry)
    }
}

fn within(what: &str, bytes: usize, bytes_max: usize) -> Result<(), String> {
    if bytes > bytes_max {
        return Err(format!(
            "the {what} has {bytes} bytes, more than the limit of {bytes_max}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Random numbers from a seed (xorshift).
    struct Random(u64);

    impl Random {
        fn below(&mut self, end: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            usize::try_from(self.0 % end as u64).unwrap()
        }

        /// Text, tricky text or any bytes.
        fn bytes(&mut self) -> Vec<u8> {
            let count = self.below(24);
            match self.below(3) {
                0 => (0..count)
                    .map(|_| b"abcdefghijklmnopqrstuvwxyz"[self.below(26)])
                    .collect(),
                1 => {
                    let tricky: Vec<char> =
                        "\\\t\n\r\"x0{}:\u{e9}\u{6f22}\u{0}\u{7f}\u{2028}\u{1f5fb}"
                            .chars()
                            .collect();
                    let pick = |_| tricky[self.below(tricky.len())];
                    (0..count).map(pick).collect::<String>().into_bytes()
                }
                _ => (0..count)
                    .map(|_| u8::try_from(self.below(256)).unwrap())
                    .collect(),
            }
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for format in [Format::Tsv, Format::Jsonl] {
            for seed in 1..3000 {
                let mut random = Random(seed);
                let entry = Record {
                    key: random.bytes(),
                    value: random.bytes(),
                    expiry_ms: [0, u64::MAX - seed][random.below(2)],
                    flags: [0, u32::MAX][random.below(2)],
                };
                let mut out = Vec::new();
                format.write(&entry, &mut out);
                let (end, line) = out.split_last().unwrap();
                assert_eq!(*end, b'\n');
                let shown = String::from_utf8(line.to_vec()).expect("a line is UTF-8");
                assert!(!shown.contains(['\n', '\r']), "seed {seed}: {shown:?}");
                assert_eq!(
                    format.read(line).as_ref(),
                    Ok(&entry),
                    "seed {seed}: {shown}"
                );
            }
        }
    }

    #[test]
    fn a_file_name_tells_the_format() {
        for (name, format) in [
            ("a.jsonl", Format::Jsonl),
            ("a.ndjson", Format::Jsonl),
            ("a.tsv", Format::Tsv),
            ("-", Format::Tsv),
        ] {
            assert_eq!(Format::of(Path::new(name)), format, "{name}");
        }
    }

    #[test]
    fn keys_and_values_over_the_limits_are_refused() {
        let mut line = vec![b'k'; KEY_BYTES_MAX + 1];
        line.extend_from_slice(b"\tv");
        assert_eq!(
            Format::Tsv.read(&line),
            Err("the key has 65537 bytes, more than the limit of 65536".to_owned())
        );
        let mut line = b"k\t".to_vec();
        line.resize(VALUE_BYTES_MAX + 3, b'v');
        assert_eq!(
            Format::Tsv.read(&line),
            Err("the value has 33554433 bytes, more than the limit of 33554432".to_owned())
        );
    }
}
