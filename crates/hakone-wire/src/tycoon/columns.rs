//! Columns: names and values, as a procedure takes and gives them, in the order of the names.

use super::codec::{Encoding, decode_url};

/// Pairs of one call: 1 Mi, as many as other protocols take of keys. Putting them in order and
/// carrying out what they ask for takes about a second.
pub const PAIRS_MAX: usize = 1 << 20;

/// There are more pairs than [`PAIRS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany;

/// Names and values. All bytes lie in one block, 12 more for each pair: many short pairs cost no
/// more than a few times what came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Columns {
    bytes: Vec<u8>,
    pairs: Vec<Span>,
}

/// Where a name and, right after it, its value lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    start: u32,
    name_bytes: u32,
    value_bytes: u32,
}

impl Columns {
    /// How many pairs there are.
    pub fn len(&self) -> usize {
        self.pairs.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.pairs.is_empty()
    }

    /// Bytes of all names and values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a pair; [`Columns::settle`] must follow before anything is read.
    ///
    /// # Panics
    /// If there would be 4 GiB: whoever adds holds to limits far below.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(name);
        let middle = self.bytes.len();
        self.bytes.extend_from_slice(value);
        self.add(start, middle);
    }

    /// Adds the pair that lies from `start` to the end of the block.
    fn add(&mut self, start: usize, middle: usize) {
        let end = self.bytes.len();
        assert!(
            u32::try_from(end).is_ok(),
            "requests and replies are far smaller than 4 GiB"
        );
        #[expect(clippy::cast_possible_truncation, reason = "the end fits, as asserted")]
        self.pairs.push(Span {
            start: start as u32,
            name_bytes: (middle - start) as u32,
            value_bytes: (end - middle) as u32,
        });
    }

    /// Puts the pairs in the order of their names; of several with one name the last stays.
    pub fn settle(&mut self) {
        let Columns { bytes, pairs } = self;
        let name = |span: &Span| split(bytes, *span).0;
        pairs.sort_by(|a, b| name(a).cmp(name(b)));
        // Of two, `dedup` drops the later, so the later takes the place of the earlier.
        pairs.dedup_by(|later, earlier| {
            let same = name(later) == name(earlier);
            if same {
                *earlier = *later;
            }
            same
        });
    }

    /// Puts what was added since the last call in order, and joins it with what was put in order
    /// before where that is not much longer, so that [`Columns::settle`] has little left to do.
    /// `ends` is empty at first, and then where each part that is in order ends.
    pub fn sort_added(&mut self, ends: &mut Vec<usize>) {
        let end = self.pairs.len();
        let mut start = ends.last().copied().unwrap_or(0);
        if start == end {
            return;
        }
        loop {
            let bytes = &self.bytes;
            let name = |span: &Span| split(bytes, *span).0;
            self.pairs[start..].sort_by(|a, b| name(a).cmp(name(b)));
            let before = match ends[..] {
                [] => break,
                [_] => 0,
                [.., before, _] => before,
            };
            if start - before > 2 * (end - start) {
                break;
            }
            ends.pop();
            start = before;
        }
        ends.push(end);
    }

    /// The value of this name.
    pub fn get(&self, name: &[u8]) -> Option<&[u8]> {
        let found = self
            .pairs
            .binary_search_by(|&span| split(&self.bytes, span).0.cmp(name));
        Some(split(&self.bytes, self.pairs[found.ok()?]).1)
    }

    /// All pairs, in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], &[u8])> {
        self.pairs.iter().map(|&span| split(&self.bytes, span))
    }

    /// The records of a bulk call, from the one of this index on: their names begin with `_`, which
    /// is not part of the key.
    pub fn records(&self, from: usize) -> impl Iterator<Item = (&[u8], &[u8])> {
        let name = |span: &Span| split(&self.bytes, *span).0;
        let begins = self.pairs.partition_point(|span| name(span) < &b"_"[..]);
        let pairs = self.pairs.get(begins.saturating_add(from)..);
        let pairs = pairs.unwrap_or_default().iter();
        pairs.map_while(|&span| {
            let (name, value) = split(&self.bytes, span);
            Some((name.strip_prefix(b"_")?, value))
        })
    }

    fn limited(&self) -> Result<(), TooMany> {
        if self.pairs.len() > PAIRS_MAX {
            return Err(TooMany);
        }
        Ok(())
    }

    /// Adds what a query or a form says.
    pub(super) fn add_form(&mut self, text: &[u8]) -> Result<(), TooMany> {
        for pair in text.split(|&byte| byte == b'&' || byte == b';') {
            if pair.is_empty() {
                continue;
            }
            let equals = pair.iter().position(|&byte| byte == b'=');
            let (name, value) = match equals {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            let start = self.bytes.len();
            decode_url(name, &mut self.bytes);
            let middle = self.bytes.len();
            decode_url(value, &mut self.bytes);
            self.add(start, middle);
            self.limited()?;
        }
        Ok(())
    }

    /// Adds the lines of a body.
    pub(super) fn add_lines(&mut self, text: &[u8]) -> Result<(), TooMany> {
        for line in text.split(|&byte| byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            if let Some(tab) = line.iter().position(|&byte| byte == b'\t') {
                self.push(&line[..tab], &line[tab + 1..]);
                self.limited()?;
            }
        }
        Ok(())
    }

    /// All names and values decoded.
    pub(super) fn decoded(&self, encoding: Encoding) -> Columns {
        self.map(|text, out| encoding.decode(text, out))
    }

    /// As a reply has them: encoded, in the order of what is written, and how.
    #[must_use]
    pub fn encoded(self) -> (Encoding, Columns) {
        let strings = || self.iter().flat_map(|(name, value)| [name, value]);
        let encoding = Encoding::of_reply(strings);
        let columns = match encoding {
            Encoding::Raw => self,
            _ => self.map(|text, out| encoding.encode(text, out)),
        };
        (encoding, columns)
    }

    fn map(&self, code: impl Fn(&[u8], &mut Vec<u8>)) -> Columns {
        let mut columns = Columns::default();
        for (name, value) in self.iter() {
            let start = columns.bytes.len();
            code(name, &mut columns.bytes);
            let middle = columns.bytes.len();
            code(value, &mut columns.bytes);
            columns.add(start, middle);
        }
        columns.settle();
        columns
    }

    /// The bytes that [`Columns::write`] would append.
    pub fn written_bytes(&self) -> usize {
        let bytes = |span: &Span| span.name_bytes as usize + span.value_bytes as usize + 2;
        self.pairs.iter().map(bytes).sum()
    }

    /// Appends a line for each pair.
    pub fn write(&self, out: &mut Vec<u8>) {
        out.reserve(self.written_bytes());
        for (name, value) in self.iter() {
            out.extend_from_slice(name);
            out.push(b'\t');
            out.extend_from_slice(value);
            out.push(b'\n');
        }
    }
}

fn split(bytes: &[u8], span: Span) -> (&[u8], &[u8]) {
    let start = span.start as usize;
    let middle = start + span.name_bytes as usize;
    let end = middle + span.value_bytes as usize;
    (&bytes[start..middle], &bytes[middle..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(pairs: &[(&[u8], &[u8])]) -> (Encoding, Vec<u8>) {
        let mut columns = Columns::default();
        for (name, value) in pairs {
            columns.push(name, value);
        }
        columns.settle();
        let (encoding, columns) = columns.encoded();
        let mut out = Vec::new();
        columns.write(&mut out);
        assert_eq!(out.len(), columns.written_bytes());
        (encoding, out)
    }

    #[test]
    fn the_last_of_several_stays_and_names_are_in_order() {
        let pairs: &[(&[u8], &[u8])] = &[(b"b", b"1"), (b"a", b"2"), (b"b", b"3"), (b"", b"")];
        assert_eq!(
            written(pairs),
            (Encoding::Raw, b"\t\na\t2\nb\t3\n".to_vec())
        );
    }

    #[test]
    fn encoded_names_are_in_the_order_of_what_is_written() {
        // `_` comes before `a`, but `%00` before both.
        let pairs: &[(&[u8], &[u8])] = &[(b"a", b"\0"), (b"\xff", b"1"), (b"_", b"")];
        let (encoding, out) = written(pairs);
        assert_eq!(encoding, Encoding::Url);
        assert_eq!(out, b"%ff\t1\n_\t\na\t%00\n");
    }

    #[test]
    fn records_are_the_names_that_begin_with_a_line() {
        let mut columns = Columns::default();
        for name in ["_b", "DB", "_", "`", "_a", "atomic", "^"] {
            columns.push(name.as_bytes(), b"v");
        }
        columns.settle();
        let keys = |from| {
            let records = columns.records(from);
            records.map(|(key, _)| key.to_vec()).collect::<Vec<_>>()
        };
        assert_eq!(keys(0), [&b""[..], b"a", b"b"]);
        assert_eq!(keys(2), [b"b"]);
        assert!(keys(3).is_empty() && keys(usize::MAX).is_empty());
    }

    #[test]
    fn parts_are_put_in_order_as_they_come() {
        let mut columns = Columns::default();
        let mut ends = Vec::new();
        for number in 0..1000_u32 {
            let scattered = number.wrapping_mul(2_654_435_761);
            columns.push(&scattered.to_be_bytes(), b"");
            if number % 7 == 0 {
                columns.sort_added(&mut ends);
                columns.sort_added(&mut ends);
                let names: Vec<_> = columns.iter().map(|(name, _)| name).collect();
                let starts = [0].iter().chain(&ends);
                for (&start, &end) in starts.zip(&ends) {
                    assert!(names[start..end].is_sorted());
                }
                assert_eq!(ends.last(), Some(&columns.len()));
                assert!(ends.len() < 12, "so few that joining them costs little");
            }
        }
        columns.settle();
        assert_eq!(columns.len(), 1000);
    }

    #[test]
    fn pairs_are_counted() {
        let mut columns = Columns::default();
        let body = b"a\tb\n".repeat(PAIRS_MAX);
        assert_eq!(columns.add_lines(&body), Ok(()));
        assert_eq!(columns.add_form(b""), Ok(()));
        assert_eq!(columns.add_form(b"a"), Err(TooMany));
        columns.settle();
        assert_eq!(columns.len(), 1);
    }

    #[test]
    fn the_encoding_depends_on_the_first_255_bytes() {
        let check = |value: Vec<u8>, expected| {
            assert_eq!(written(&[(b"k", &value)]).0, expected);
        };
        check(vec![b'a'; 255], Encoding::Raw);
        check(vec![0xe3; 255], Encoding::Raw);
        check(vec![b'a'; 256], Encoding::Url);
        check(vec![0xe3; 256], Encoding::Base64);
        check([vec![b'a'; 255], vec![0; 1000]].concat(), Encoding::Url);
        check(vec![0x7f], Encoding::Url);
        check(vec![0; 4], Encoding::Url);
        check(vec![0; 5], Encoding::Base64);
    }
}
