//! The binary protocol. A bulk request may be long, so its records are given in pieces, as they
//! come: none is looked at twice, and no more is kept than one record that is not whole.

use crate::Step;
use hakone_command::{Millis, limits};

use super::{expiry_of_xt, xt_of};

/// Bytes of one key, value or name: the protocol's own limit.
const SIZE_MAX: u32 = 1 << 28;

/// Records of one piece: 128, as many requests as a turn decodes together.
const PIECE_RECORDS_MAX: usize = 128;

/// The byte that answers every failure.
const FAILURE: u8 = 0xbf;

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// Call a procedure of a script. It is read to its end, and refused.
    PlayScript,
    /// Write records, each by itself.
    SetBulk,
    /// Remove records, each by itself.
    RemoveBulk,
    /// Read records, each by itself.
    GetBulk,
}

impl Verb {
    fn magic(self) -> u8 {
        match self {
            Verb::PlayScript => 0xb4,
            Verb::SetBulk => 0xb8,
            Verb::RemoveBulk => 0xb9,
            Verb::GetBulk => 0xba,
        }
    }
}

/// What came of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Request<'a> {
    /// Some of its records.
    Piece(Piece<'a>),
    /// It is answered with a failure, and the connection closes.
    Fail,
}

/// Some records of a request, in their order.
#[derive(Debug, PartialEq, Eq)]
pub struct Piece<'a> {
    /// What is asked for.
    pub verb: Verb,
    /// No answer is wanted. Reading takes no notice of it.
    pub silent: bool,
    /// Whether it is the request's first piece.
    pub first: bool,
    /// The records.
    pub items: Vec<Item<'a>>,
    /// Where the request goes on; `None`: this was its last piece.
    pub next: Option<Place>,
}

/// A record of a bulk request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'a> {
    /// The number of its database.
    pub database: u16,
    /// The key.
    pub key: &'a [u8],
    /// The value, where it is to be written.
    pub value: &'a [u8],
    /// When it expires, seconds as [`Item::expiry`] takes them.
    pub xt: i64,
}

impl Item<'_> {
    /// The expiry that is asked for at the time `now`.
    pub fn expiry(&self, now: Millis) -> Millis {
        expiry_of_xt(self.xt, now)
    }
}

/// A place in a request, between two pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    verb: Verb,
    silent: bool,
    /// Records, or a script's arguments, that are left.
    left: u32,
    /// Bytes to be passed over before the next one.
    skip: u64,
}

/// Where a connection stands in a request that is not whole.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decoder {
    place: Option<Place>,
}

impl Decoder {
    /// At a place where a piece has ended.
    pub fn at(place: Option<Place>) -> Decoder {
        Decoder { place }
    }

    /// Whether a piece was given that was not its request's last.
    pub fn is_inside(&self) -> bool {
        self.place.is_some()
    }

    /// Looks at all bytes of the connection that are not consumed.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Step<Request<'a>> {
        let mut fields = Fields { input, at: 0 };
        let first = self.place.is_none();
        let place = match self.place {
            Some(place) => place,
            None => match head(&mut fields) {
                Ok(place) => place,
                Err(Stop::Short { need }) => return partial(need),
                Err(Stop::Fail) => return fail(input),
                Err(Stop::Close) => return Step::Close,
            },
        };
        let mut piece = Pieces {
            place,
            items: Vec::new(),
        };
        let stop = piece.walk(&mut fields).err();
        let Pieces { place, items } = piece;
        match stop {
            // What has come before is carried out first; then this place is looked at again.
            Some(Stop::Short { need }) if fields.at == 0 => return partial(need),
            Some(Stop::Fail) if items.is_empty() => return fail(input),
            Some(Stop::Close) => return Step::Close,
            _ => {}
        }
        self.place = (place.left > 0 || place.skip > 0).then_some(place);
        let piece = Piece {
            verb: place.verb,
            silent: place.silent,
            first,
            items,
            next: self.place,
        };
        Step::Request(Request::Piece(piece), fields.at)
    }
}

/// The fixed part of a request.
fn head(fields: &mut Fields<'_>) -> Result<Place, Stop> {
    let verb = match fields.array()? {
        [0xb4] => Verb::PlayScript,
        [0xb8] => Verb::SetBulk,
        [0xb9] => Verb::RemoveBulk,
        [0xba] => Verb::GetBulk,
        [0xb1] => {
            // Flags, a time stamp and a server: there is no log to follow.
            fields.bytes(14)?;
            return Err(Stop::Fail);
        }
        _ => return Err(Stop::Close),
    };
    let silent = fields.u32()? & 1 == 1;
    let name_bytes = match verb {
        Verb::PlayScript => fields.u32()?,
        _ => 0,
    };
    if name_bytes > SIZE_MAX {
        return Err(Stop::Close);
    }
    Ok(Place {
        verb,
        silent,
        left: fields.u32()?,
        skip: u64::from(name_bytes),
    })
}

/// A piece as it grows.
struct Pieces<'a> {
    place: Place,
    items: Vec<Item<'a>>,
}

impl<'a> Pieces<'a> {
    /// Takes what is whole. `fields` and `place` stand behind what was taken, whatever is returned.
    fn walk(&mut self, fields: &mut Fields<'a>) -> Result<(), Stop> {
        loop {
            let there = fields.input.len() - fields.at;
            let step = usize::try_from(self.place.skip).map_or(there, |skip| skip.min(there));
            fields.at += step;
            self.place.skip -= step as u64;
            if self.place.skip > 0 {
                return Err(Stop::Short { need: 1 });
            }
            if self.place.left == 0 || self.items.len() == PIECE_RECORDS_MAX {
                return Ok(());
            }
            let begun = fields.at;
            if let Err(stop) = self.record(fields) {
                fields.at = begun;
                return Err(match stop {
                    Stop::Short { need } => Stop::Short { need: need - begun },
                    stop => stop,
                });
            }
            self.place.left -= 1;
        }
    }

    fn record(&mut self, fields: &mut Fields<'a>) -> Result<(), Stop> {
        if self.place.verb == Verb::PlayScript {
            let [key, value] = [fields.u32()?, fields.u32()?];
            if key > SIZE_MAX || value > SIZE_MAX {
                return Err(Stop::Close);
            }
            self.place.skip = u64::from(key) + u64::from(value);
            return Ok(());
        }
        let writes = self.place.verb == Verb::SetBulk;
        let database = u16::from_be_bytes(fields.array()?);
        let key_bytes = fields.u32()?;
        let (value_bytes, xt) = if writes {
            (fields.u32()?, i64::from_be_bytes(fields.array()?))
        } else {
            (0, 0)
        };
        if key_bytes > SIZE_MAX {
            return Err(Stop::Fail);
        }
        let (key_bytes, value_bytes) = (key_bytes as usize, value_bytes as usize);
        let key_fits = key_bytes <= limits::KEY_BYTES_MAX;
        if writes && !(key_fits && value_bytes <= limits::VALUE_BYTES_MAX) {
            return Err(Stop::Fail);
        }
        if !key_fits {
            // There is no such record.
            self.place.skip = key_bytes as u64;
            return Ok(());
        }
        let both = fields.bytes(key_bytes + value_bytes)?;
        let (key, value) = both.split_at(key_bytes);
        self.items.push(Item {
            database,
            key,
            value,
            xt,
        });
        Ok(())
    }
}

fn partial<R>(need: usize) -> Step<R> {
    Step::Partial { consumed: 0, need }
}

fn fail(input: &[u8]) -> Step<Request<'_>> {
    Step::Request(Request::Fail, input.len())
}

/// Why no more was taken.
enum Stop {
    /// The input ends; so many bytes are needed at least, counted from where the record begins.
    Short {
        need: usize,
    },
    Fail,
    Close,
}

struct Fields<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    fn bytes(&mut self, bytes: usize) -> Result<&'a [u8], Stop> {
        let end = self.at + bytes;
        let found = self.input.get(self.at..end);
        let found = found.ok_or(Stop::Short { need: end })?;
        self.at = end;
        Ok(found)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Stop> {
        let need = self.at + N;
        let rest = self.input.get(self.at..).unwrap_or_default();
        let found = rest.first_chunk().ok_or(Stop::Short { need })?;
        self.at = need;
        Ok(*found)
    }

    fn u32(&mut self) -> Result<u32, Stop> {
        Ok(u32::from_be_bytes(self.array()?))
    }
}

/// Replies to bytes.
pub mod reply {
    use super::{FAILURE, Item, Verb, xt_of};
    use hakone_command::Record;

    /// Appends the head of an answer about so many records.
    pub fn head(verb: Verb, hits: u32, out: &mut Vec<u8>) {
        out.push(verb.magic());
        out.extend_from_slice(&hits.to_be_bytes());
    }

    /// Sets the number of records of the answer that begins at `start`.
    pub fn set_hits(hits: u32, start: usize, out: &mut [u8]) {
        if let Some(count) = out.get_mut(start + 1..start + 5) {
            count.copy_from_slice(&hits.to_be_bytes());
        }
    }

    /// The bytes that [`record`] would append.
    pub fn record_bytes(item: &Item<'_>, record: &Record<'_>) -> usize {
        18 + item.key.len() + record.value.len()
    }

    /// Appends a record of the answer to [`Verb::GetBulk`].
    pub fn record(item: &Item<'_>, record: &Record<'_>, out: &mut Vec<u8>) {
        out.reserve(record_bytes(item, record));
        out.extend_from_slice(&item.database.to_be_bytes());
        for bytes in [item.key.len(), record.value.len()] {
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            out.extend_from_slice(&bytes.to_be_bytes());
        }
        out.extend_from_slice(&xt_of(record.expiry).to_be_bytes());
        out.extend_from_slice(item.key);
        out.extend_from_slice(record.value);
    }

    /// Appends a failure.
    pub fn failure(out: &mut Vec<u8>) {
        out.push(FAILURE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SET: &[u8] = b"\xb8\0\0\0\x01\0\0\0\x02\
        \0\0\0\0\0\x02\0\0\0\x01\x7f\xff\xff\xff\xff\xff\xff\xffk1v\
        \0\x01\0\0\0\x02\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xfek2";

    /// The keys that came, when all has come in pieces of these sizes.
    fn keys(input: &[u8], sizes: usize) -> Vec<Vec<u8>> {
        let mut decoder = Decoder::default();
        let (mut keys, mut kept) = (Vec::new(), Vec::new());
        let mut done = false;
        for bytes in input.chunks(sizes) {
            kept.extend_from_slice(bytes);
            loop {
                match decoder.decode(&kept) {
                    Step::Request(Request::Piece(piece), bytes) => {
                        assert!(bytes > 0);
                        assert!(piece.silent);
                        keys.extend(piece.items.iter().map(|item| item.key.to_vec()));
                        done = piece.next.is_none();
                        // A decoder is made anew where a piece has ended.
                        assert_eq!(decoder, Decoder::at(piece.next));
                        kept.drain(..bytes);
                        if done {
                            break;
                        }
                    }
                    Step::Partial { consumed, need } => {
                        assert_eq!(consumed, 0);
                        assert!(need > kept.len());
                        break;
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
        assert!(done && kept.is_empty());
        keys
    }

    #[test]
    fn records_are_given_as_they_come() {
        for sizes in 1..=SET.len() {
            assert_eq!(keys(SET, sizes), [b"k1", b"k2"]);
        }
    }

    #[test]
    fn a_piece_has_so_many_records() {
        let count = 3 * u32::try_from(PIECE_RECORDS_MAX).unwrap() / 2;
        let mut input = b"\xb9\0\0\0\x01".to_vec();
        input.extend(count.to_be_bytes());
        input.extend(b"\0\0\0\0\0\x01k".repeat(count as usize));
        let step = Decoder::default().decode(&input);
        let Step::Request(Request::Piece(piece), 9..) = step else {
            panic!("{step:?}");
        };
        assert_eq!(piece.items.len(), PIECE_RECORDS_MAX);
        assert_eq!(keys(&input, input.len()).len(), count as usize);
    }

    #[test]
    fn a_key_that_no_record_has_is_passed_over() {
        let mut input = b"\xba\0\0\0\x01\0\0\0\x03\0\0\0\0\0\x01a\0\0\0\x01\0\x01".to_vec();
        input.extend(vec![b'x'; limits::KEY_BYTES_MAX + 1]);
        input.extend(b"\0\0\0\0\0\x01b");
        for sizes in [input.len(), 4096, 7] {
            assert_eq!(keys(&input, sizes), [b"a", b"b"]);
        }
    }

    #[test]
    fn a_script_is_passed_over_to_its_end() {
        let input = b"\xb4\0\0\0\x01\0\0\0\x04\0\0\0\x02name\
            \0\0\0\x01\0\0\0\x02kvv\0\0\0\0\0\0\0\0";
        for sizes in 1..=input.len() {
            assert!(keys(input, sizes).is_empty());
        }
    }

    #[test]
    fn what_is_too_large_fails_or_closes() {
        let check = |input: &[u8], fails: bool| match Decoder::default().decode(input) {
            Step::Request(Request::Fail, bytes) => assert!(fails && bytes == input.len()),
            Step::Close => assert!(!fails, "{}", input.escape_ascii()),
            other => panic!("{other:?}"),
        };
        check(b"\xba\0\0\0\0\0\0\0\x01\0\0\x10\0\0\x01", true);
        check(
            b"\xb8\0\0\0\0\0\0\0\x01\0\0\0\0\0\x01\x10\0\0\x01\0\0\0\0\0\0\0\0",
            true,
        );
        check(
            b"\xb8\0\0\0\0\0\0\0\x01\0\0\0\x01\0\x01\0\0\0\0\0\0\0\0\0\0\0\0",
            true,
        );
        check(b"\xb1\0\0\0\0\0\0\0\0\0\0\0\0\0\x01", true);
        check(b"\xb4\0\0\0\0\x10\0\0\x01\0\0\0\0", false);
        check(b"\xb4\0\0\0\0\0\0\0\0\0\0\0\x01\x10\0\0\x01\0\0\0\0", false);
        check(b"\xb2", false);
    }

    #[test]
    fn records_before_a_failure_are_given_first() {
        let input = b"\xb9\0\0\0\0\0\0\0\x02\0\0\0\0\0\x01a\0\0\x10\0\0\x01";
        let mut decoder = Decoder::default();
        let Step::Request(Request::Piece(piece), bytes) = decoder.decode(input) else {
            panic!("no piece");
        };
        assert_eq!(piece.items.len(), 1);
        let rest = &input[bytes..];
        assert_eq!(
            decoder.decode(rest),
            Step::Request(Request::Fail, rest.len())
        );
    }
}
