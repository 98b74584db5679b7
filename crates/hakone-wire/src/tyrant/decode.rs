//! Bytes to requests. Sizes are checked before anything is waited for; what is larger than the store
//! takes, or not served, is skipped without being kept.

use super::{MAGIC, Verb, double};
use crate::{REQUEST_BYTES_MAX, Step};
use hakone_command::{Amount, Command, Condition, End, ExpirySet, limits};

/// Bytes of one key, value, name or argument: the protocol's own limit.
const SIZE_MAX: u32 = 256 << 20;
/// Keys of one `mget`, arguments of one `misc`: the protocol's own limit.
const COUNT_MAX: u32 = 1 << 20;
/// Bytes of the name of a function: the protocol's own limit.
const NAME_BYTES_MAX: u32 = 1023;

/// One request.
#[derive(Debug, PartialEq)]
pub struct Request<'a> {
    /// Its verb.
    pub verb: Verb,
    /// What it asks for.
    pub action: Action<'a>,
}

/// What a request asks for.
#[derive(Debug, PartialEq)]
pub enum Action<'a> {
    /// A command, and the form of its answer.
    Call(Command<'a>, Answer),
    /// Set the database's iterator to the first record.
    IterInit,
    /// The next key of the database's iterator.
    IterNext,
    /// The keys that begin with a prefix.
    Keys {
        /// The prefix.
        prefix: &'a [u8],
        /// At most so many; `None` is all.
        max: Option<u32>,
    },
    /// Make everything durable.
    Sync,
    /// The server's report.
    Stat,
    /// Nothing: it is not served, or larger than the store takes.
    Refuse(Refusal),
}

/// The form of a command's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// A status byte.
    Status,
    /// Nothing at all.
    Silent,
    /// The value.
    Value,
    /// The size of the value.
    Size,
    /// Keys and values of those found.
    List,
    /// The sum.
    Sum,
    /// The sum with its fraction.
    Double,
    /// A number of 64 bits.
    Number,
}

/// The form of a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The byte `01`.
    Status,
    /// Nothing at all.
    Silent,
    /// `01` and no elements.
    Misc,
    /// Success with no elements.
    Empty,
    /// The server id 0, then the end: there is no log to follow in this protocol.
    Replication,
    /// The end.
    Close,
}

/// Where a connection stands in a request that is not whole.
#[derive(Debug, Default)]
pub struct Decoder {
    skip: Option<Skip>,
    /// How far the keys of an `mget` have been walked, and how many are left.
    walked: usize,
    left: u32,
}

#[derive(Debug)]
struct Skip {
    verb: Verb,
    bytes: u64,
    /// Arguments that follow, each with its size before it.
    arguments: u32,
    refusal: Refusal,
}

impl Decoder {
    /// Whether bytes of a request have been consumed that is not whole.
    pub fn is_inside(&self) -> bool {
        self.skip.is_some()
    }

    /// Looks at all bytes of the connection that are not consumed.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Step<Request<'a>> {
        if self.skip.is_some() {
            return self.skip(input, 0);
        }
        let (Some(&magic), Some(&code)) = (input.first(), input.get(1)) else {
            return need(2);
        };
        let verb = match Verb::from_code(code) {
            Some(verb) if magic == MAGIC => verb,
            _ => return Step::Close,
        };
        let mut fields = Fields { input, at: 2 };
        match self.fields(verb, &mut fields) {
            Ok(step) => step,
            Err(Short { need: bytes }) => need(bytes),
        }
    }

    fn fields<'a>(
        &mut self,
        verb: Verb,
        fields: &mut Fields<'a>,
    ) -> Result<Step<Request<'a>>, Short> {
        let store = |command, answer| Ok(Action::Call(command, answer));
        match verb {
            Verb::Put | Verb::PutKeep | Verb::PutCat | Verb::PutShl | Verb::PutNr => {
                fields.whole(if verb == Verb::PutShl { 12 } else { 8 })?;
                let sizes = [fields.size()?, fields.size()?];
                let width = if verb == Verb::PutShl {
                    let width = fields.u32()?;
                    if i32::try_from(width).is_err() {
                        return Ok(Step::Close);
                    }
                    Some(width)
                } else {
                    None
                };
                let refusal = match verb {
                    Verb::PutNr => Refusal::Silent,
                    _ => Refusal::Status,
                };
                self.strings(verb, fields, sizes, refusal, |[key, value]| {
                    let put = |condition| Command::Put {
                        key,
                        value,
                        condition,
                        expiry: ExpirySet::At(0),
                        flags: 0,
                        want_old: false,
                    };
                    match verb {
                        Verb::Put => store(put(Condition::Always), Answer::Status),
                        Verb::PutKeep => store(put(Condition::IfAbsent), Answer::Status),
                        Verb::PutNr => store(put(Condition::Always), Answer::Silent),
                        _ => store(
                            Command::Append {
                                key,
                                value,
                                end: End::Back,
                                width,
                                condition: Condition::Always,
                                expiry: ExpirySet::Keep,
                            },
                            Answer::Status,
                        ),
                    }
                })
            }
            Verb::Out | Verb::Get | Verb::VSiz => {
                let sizes = [fields.size()?, Some(0)];
                self.strings(
                    verb,
                    fields,
                    sizes,
                    Refusal::Status,
                    |[key, _]| match verb {
                        Verb::Out => store(
                            Command::Remove {
                                key,
                                want_old: false,
                            },
                            Answer::Status,
                        ),
                        Verb::Get => store(Command::Get { key }, Answer::Value),
                        _ => store(Command::Describe { key }, Answer::Size),
                    },
                )
            }
            Verb::AddInt => {
                fields.whole(8)?;
                let sizes = [fields.size()?, Some(0)];
                let amount = Amount::Int32(fields.u32()?.cast_signed());
                self.strings(verb, fields, sizes, Refusal::Status, |[key, _]| {
                    let command = Command::Add {
                        key,
                        amount,
                        absent: Some(Amount::Int32(0)),
                        expiry: ExpirySet::Keep,
                    };
                    store(command, Answer::Sum)
                })
            }
            Verb::AddDouble => {
                fields.whole(20)?;
                let sizes = [fields.size()?, Some(0)];
                let (integer, fraction) = (fields.i64()?, fields.i64()?);
                let amount = Amount::Double(double::join(integer, fraction));
                self.strings(verb, fields, sizes, Refusal::Status, |[key, _]| {
                    let command = Command::Add {
                        key,
                        amount,
                        absent: Some(Amount::Double(0.0)),
                        expiry: ExpirySet::Keep,
                    };
                    store(command, Answer::Double)
                })
            }
            Verb::FwmKeys => {
                fields.whole(8)?;
                let sizes = [fields.size()?, Some(0)];
                let max = u32::try_from(fields.u32()?.cast_signed()).ok();
                self.strings(verb, fields, sizes, Refusal::Empty, |[prefix, _]| {
                    Ok(Action::Keys { prefix, max })
                })
            }
            Verb::MGet => self.mget(fields),
            Verb::IterInit => Ok(fields.done(verb, Action::IterInit)),
            Verb::IterNext => Ok(fields.done(verb, Action::IterNext)),
            Verb::Sync => Ok(fields.done(verb, Action::Sync)),
            Verb::Stat => Ok(fields.done(verb, Action::Stat)),
            Verb::Vanish => Ok(fields.done(verb, Action::Call(Command::Clear, Answer::Status))),
            Verb::RNum => Ok(fields.done(verb, Action::Call(Command::Count, Answer::Number))),
            Verb::Size => Ok(fields.done(verb, Action::Call(Command::Bytes, Answer::Number))),
            Verb::SetMst => {
                fields.whole(20)?;
                let size = fields.size()?;
                fields.at += 16;
                Ok(self.refuse(verb, fields, [size], 0, Refusal::Status))
            }
            Verb::Ext => {
                fields.whole(16)?;
                let name = fields.size()?.filter(|&bytes| bytes <= NAME_BYTES_MAX);
                fields.at += 4;
                let sizes = [name, fields.size()?, fields.size()?];
                Ok(self.refuse(verb, fields, sizes, 0, Refusal::Status))
            }
            Verb::Optimize | Verb::Copy => {
                let size = fields.size()?;
                Ok(self.refuse(verb, fields, [size], 0, Refusal::Status))
            }
            Verb::Restore => {
                fields.whole(16)?;
                let size = fields.size()?;
                fields.at += 12;
                Ok(self.refuse(verb, fields, [size], 0, Refusal::Status))
            }
            Verb::Misc => {
                fields.whole(12)?;
                let name = fields.size()?.filter(|&bytes| bytes <= NAME_BYTES_MAX);
                fields.at += 4;
                let count = fields.u32()?;
                if count > COUNT_MAX {
                    return Ok(Step::Close);
                }
                Ok(self.refuse(verb, fields, [name], count, Refusal::Misc))
            }
            Verb::Repl => {
                fields.whole(12)?;
                let since = fields.i64()?;
                let server = fields.u32()?.cast_signed();
                let refusal = if since < 1 || server < 1 {
                    Refusal::Close
                } else {
                    Refusal::Replication
                };
                Ok(fields.done(verb, Action::Refuse(refusal)))
            }
        }
    }

    /// A request whose fixed part is read and two strings follow, the first of them a key.
    fn strings<'a>(
        &mut self,
        verb: Verb,
        fields: &mut Fields<'a>,
        sizes: [Option<u32>; 2],
        refusal: Refusal,
        action: impl FnOnce([&'a [u8]; 2]) -> Result<Action<'a>, Short>,
    ) -> Result<Step<Request<'a>>, Short> {
        let [Some(key), Some(value)] = sizes else {
            return Ok(Step::Close);
        };
        let (key, value) = (key as usize, value as usize);
        if key > limits::KEY_BYTES_MAX || value > limits::VALUE_BYTES_MAX {
            return Ok(self.refuse(verb, fields, sizes, 0, refusal));
        }
        fields.whole(key + value)?;
        let strings = [fields.bytes(key)?, fields.bytes(value)?];
        Ok(fields.done(verb, action(strings)?))
    }

    /// Keys are walked as they come, and taken when all are there, so that no byte is looked at
    /// more than twice.
    fn mget<'a>(&mut self, fields: &mut Fields<'a>) -> Result<Step<Request<'a>>, Short> {
        let count = fields.u32()?;
        if count > COUNT_MAX {
            return Ok(Step::Close);
        }
        let first = fields.at;
        if self.walked == 0 {
            (self.walked, self.left) = (first, count);
        }
        fields.at = self.walked;
        while self.left > 0 {
            let Some(size) = fields.size()? else {
                return Ok(Step::Close);
            };
            if fields.at + size as usize > REQUEST_BYTES_MAX {
                return Ok(Step::Close);
            }
            fields.bytes(size as usize)?;
            self.walked = fields.at;
            self.left -= 1;
        }
        self.walked = 0;
        fields.at = first;
        // All of them are there, so this is no more than a few times what has come.
        let mut keys = Vec::with_capacity(count as usize);
        for _ in 0..count {
            let size = fields.u32()?;
            keys.push(fields.bytes(size as usize)?);
        }
        let action = Action::Call(Command::GetMany { keys }, Answer::List);
        Ok(fields.done(Verb::MGet, action))
    }

    fn refuse<'a, const N: usize>(
        &mut self,
        verb: Verb,
        fields: &Fields<'a>,
        sizes: [Option<u32>; N],
        arguments: u32,
        refusal: Refusal,
    ) -> Step<Request<'a>> {
        let mut bytes = 0;
        for size in sizes {
            match size {
                Some(size) => bytes += u64::from(size),
                None => return Step::Close,
            }
        }
        self.skip = Some(Skip {
            verb,
            bytes,
            arguments,
            refusal,
        });
        self.skip(fields.input, fields.at)
    }

    /// Passes over what belongs to a request that is refused, from `at` on.
    fn skip<'a>(&mut self, input: &'a [u8], mut at: usize) -> Step<Request<'a>> {
        let Some(skip) = &mut self.skip else {
            return Step::Close;
        };
        loop {
            let there = input.len() - at;
            let step = usize::try_from(skip.bytes).map_or(there, |bytes| bytes.min(there));
            at += step;
            skip.bytes -= step as u64;
            if skip.bytes > 0 {
                return Step::Partial {
                    consumed: at,
                    need: 0,
                };
            }
            if skip.arguments == 0 {
                break;
            }
            let mut fields = Fields { input, at };
            match fields.size() {
                Ok(Some(size)) => {
                    at = fields.at;
                    skip.bytes = u64::from(size);
                    skip.arguments -= 1;
                }
                Ok(None) => return Step::Close,
                Err(_) => {
                    return Step::Partial {
                        consumed: at,
                        need: 4,
                    };
                }
            }
        }
        let (verb, refusal) = (skip.verb, skip.refusal);
        self.skip = None;
        let action = Action::Refuse(refusal);
        Step::Request(Request { verb, action }, at)
    }
}

fn need<R>(bytes: usize) -> Step<R> {
    Step::Partial {
        consumed: 0,
        need: bytes,
    }
}

/// The input ends before the request does: so many bytes are needed at least.
struct Short {
    need: usize,
}

struct Fields<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Fields<'a> {
    /// Whether the next so many bytes are there.
    fn whole(&self, bytes: usize) -> Result<(), Short> {
        let need = self.at + bytes;
        if self.input.len() < need {
            return Err(Short { need });
        }
        Ok(())
    }

    fn bytes(&mut self, bytes: usize) -> Result<&'a [u8], Short> {
        let end = self.at + bytes;
        let found = self.input.get(self.at..end).ok_or(Short { need: end })?;
        self.at = end;
        Ok(found)
    }

    fn u32(&mut self) -> Result<u32, Short> {
        let end = self.at + 4;
        let bytes = self
            .input
            .get(self.at..end)
            .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok())
            .ok_or(Short { need: end })?;
        self.at = end;
        Ok(u32::from_be_bytes(bytes))
    }

    fn i64(&mut self) -> Result<i64, Short> {
        let number = (u64::from(self.u32()?) << 32) | u64::from(self.u32()?);
        Ok(number.cast_signed())
    }

    /// A size, `None` where it is over the protocol's limit.
    fn size(&mut self) -> Result<Option<u32>, Short> {
        Ok(Some(self.u32()?).filter(|&size| size <= SIZE_MAX))
    }

    fn done(&self, verb: Verb, action: Action<'a>) -> Step<Request<'a>> {
        Step::Request(Request { verb, action }, self.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_were_passed_are_not_looked_at_again() {
        let mut decoder = Decoder::default();
        let first = b"\xc8\x31\0\0\0\x03\0\0\0\x01a\0\0\0";
        assert_eq!(decoder.decode(first), need(15));
        // The size of the first key has become one that would close.
        let second = b"\xc8\x31\0\0\0\x03\xff\0\0\x01a\0\0\0\x01b\0\0\0\x09";
        assert_eq!(decoder.decode(second), need(20 + 9));
    }

    #[test]
    fn a_partial_request_says_how_much_it_needs() {
        let check = |input: &[u8], expected| {
            assert_eq!(Decoder::default().decode(input), need(expected));
        };
        check(b"\xc8", 2);
        check(b"\xc8\x10", 2 + 8);
        check(b"\xc8\x10\0\0\0\x03\x02\0\0\0", 10 + 3 + (32 << 20));
        check(b"\xc8\x31\0\0\0\x03", 10);
        check(b"\xc8\x30\0\0", 6);
    }
}
