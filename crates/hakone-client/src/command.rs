//! Commands over a connection, and replies as the store gives them.

use crate::{Client, Reply, Result};
use hakone_command::{Command, Millis, Next, PageBuilder, Record, Version};
use hakone_wire::resp::verbs;

impl Client {
    /// Sends a command to the selected database and hands the reply to `answer`, once, as the
    /// store of a cabinet in this process does ([`hakone_command::Reply`]). No other reply may be
    /// outstanding.
    ///
    /// # Errors
    /// `Refused` if the server answers with an error, also for the few commands that only other
    /// protocols ask for; see [`crate::Error`] for the rest.
    pub fn command(
        &mut self,
        command: &Command<'_>,
        answer: &mut dyn FnMut(hakone_command::Reply<'_>),
    ) -> Result<()> {
        self.send_command(command)?;
        self.flush()?;
        let reply = self.receive()?;
        self.understand(reply, answer)
    }

    /// Puts a command into the output buffer, as [`Client::send`] does.
    ///
    /// # Errors
    /// As [`Client::command`] for a command that only other protocols ask for.
    pub fn send_command(&mut self, command: &Command<'_>) -> Result<()> {
        let Some(said) = verbs::words(command) else {
            let name = hakone_command::COMMANDS[command.index()].name;
            return Err(self.unexpected(format!("it has no words for {name}")));
        };
        let mut words: Vec<&[u8]> = vec![b"HAKONE"];
        words.extend(said.iter().map(|word| &**word));
        self.send(&words);
        Ok(())
    }

    /// Hands over a reply that is part of another one, as [`Client::command`] does.
    ///
    /// # Errors
    /// `Protocol` if it is none to a command.
    pub fn understand(
        &self,
        reply: Reply,
        answer: &mut dyn FnMut(hakone_command::Reply<'_>),
    ) -> Result<()> {
        handed(reply, answer)
            .ok_or_else(|| self.unexpected("its reply to a command has another shape".to_owned()))
    }
}

/// Hands over what [`verbs::reply`] has written; `None` if it has not.
fn handed(reply: Reply, answer: &mut dyn FnMut(hakone_command::Reply<'_>)) -> Option<()> {
    use hakone_command::Reply as Given;
    match reply {
        Reply::Missing => answer(Given::Missing),
        Reply::Number(number) => answer(Given::Number(number)),
        Reply::Bytes(value) => answer(Given::Value(&value)),
        Reply::Text(text) => answer(match text.as_str() {
            "OK" => Given::Done,
            "REFUSED" => Given::Refused,
            "NOTANUMBER" => Given::NotANumber,
            "OVERFLOW" => Given::Overflow,
            _ => return None,
        }),
        Reply::Array(elements) => match elements.first()? {
            Reply::Missing | Reply::Array(_) => return page(elements, answer),
            _ => return fields(elements, answer),
        },
        _ => return None,
    }
    Some(())
}

fn fields(elements: Vec<Reply>, answer: &mut dyn FnMut(hakone_command::Reply<'_>)) -> Option<()> {
    use hakone_command::Reply as Given;
    let count = elements.len();
    let mut elements = elements.into_iter();
    match count {
        1 => answer(Given::Stored(digits(elements.next()?)?)),
        2 => {
            let version = digits(elements.next()?)?;
            let position = elements.next()?.into_bytes()?;
            answer(Given::Placed {
                version,
                position: &position,
            });
        }
        5 => {
            let value = elements.next()?.into_bytes()?;
            let record = record(&value, &mut elements)?;
            answer(Given::Record(Record {
                value_bytes: digits(elements.next()?)?,
                ..record
            }));
        }
        _ => return None,
    }
    Some(())
}

fn page(elements: Vec<Reply>, answer: &mut dyn FnMut(hakone_command::Reply<'_>)) -> Option<()> {
    let mut elements = elements.into_iter();
    let next = elements.next()?;
    let mut page = PageBuilder::default();
    for element in elements {
        let mut fields = element.into_array()?.into_iter();
        let key = fields.next()?.into_bytes()?;
        let (value, record) = if fields.len() == 1 {
            (Vec::new(), None)
        } else {
            let value = fields.next()?.into_bytes()?;
            (value, Some(record(b"", &mut fields)?))
        };
        let record = Record {
            value: &value,
            value_bytes: value.len() as u64,
            ..record.unwrap_or(NOTHING)
        };
        match fields.next()? {
            Reply::Missing => page.push(&key, &record),
            position => page.push_at(&position.into_bytes()?, &key, &record),
        }
    }
    let page = match next {
        Reply::Missing => page.finish(Next::End),
        Reply::Array(next) => {
            let mut next = next.into_iter();
            match (next.next()?, next.next()) {
                (cursor, None) => page.finish(Next::Cursor(digits(cursor)?)),
                (_, Some(position)) => page.finish_at(&position.into_bytes()?),
            }
        }
        _ => return None,
    };
    answer(hakone_command::Reply::Page(&page));
    Some(())
}

/// A record of which only its key was asked for.
const NOTHING: Record<'static> = Record {
    value: &[],
    value_bytes: 0,
    expiry: 0,
    flags: 0,
    version: 0,
};

/// A record of this value and the three fields that follow it.
fn record<'v>(value: &'v [u8], fields: &mut impl Iterator<Item = Reply>) -> Option<Record<'v>> {
    let expiry: Millis = u64::try_from(fields.next()?.as_number()?).ok()?;
    let flags = u32::try_from(fields.next()?.as_number()?).ok()?;
    let version: Version = digits(fields.next()?)?;
    Some(Record {
        value,
        value_bytes: value.len() as u64,
        expiry,
        flags,
        version,
    })
}

fn digits(element: Reply) -> Option<u64> {
    str::from_utf8(&element.into_bytes()?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reply::read;
    use hakone_command::Reply as Given;
    use hakone_wire::resp::Writer;

    /// Writes a reply as the server does, reads it as the client does, and says what came of it.
    fn check(given: &Given<'_>, values: bool) {
        for resp3 in [false, true] {
            let mut bytes = Vec::new();
            let to = &mut Writer {
                out: &mut bytes,
                resp3,
            };
            verbs::reply(given, values, to);
            let reply = read(&mut bytes.as_slice()).unwrap();
            let mut count = 0;
            handed(reply, &mut |heard| {
                match (heard, given) {
                    // Where it goes on is one thing, whatever the last record is.
                    (Given::Page(heard), Given::Page(given)) => {
                        assert!(heard.iter().eq(given.iter()));
                        assert_eq!(heard.resume(), given.resume());
                        assert_eq!(heard.next == Next::End, given.next == Next::End);
                        for index in 0..heard.len() {
                            assert_eq!(heard.position(index), given.position(index));
                        }
                    }
                    (heard, given) => assert_eq!(&heard, given),
                }
                count += 1;
            })
            .unwrap();
            assert_eq!(count, 1);
        }
    }

    #[test]
    fn every_reply_is_heard_as_it_was_given() {
        let record = Record {
            value: b"value",
            value_bytes: 5,
            expiry: 1_900_000_000_000,
            flags: u32::MAX,
            version: u64::MAX,
        };
        let shown = Record {
            value: b"",
            ..record
        };
        for given in [
            Given::Done,
            Given::Refused,
            Given::Missing,
            Given::NotANumber,
            Given::Overflow,
            Given::Number(i64::MIN),
            Given::Value(b"1.5"),
            Given::Value(b""),
            Given::Stored(u64::MAX),
            Given::Placed {
                version: 7,
                position: b"\0",
            },
            Given::Record(record),
            Given::Record(shown),
        ] {
            check(&given, true);
        }
        for next in [Next::End, Next::Resume, Next::Cursor(u64::MAX)] {
            let mut page = PageBuilder::default();
            page.push(b"k", &record);
            page.push_at(b"p", b"k", &record);
            check(&Given::Page(&page.finish(next)), true);
            let mut page = PageBuilder::default();
            page.push(b"k", &NOTHING);
            page.push_at(b"p", b"k", &NOTHING);
            check(&Given::Page(&page.finish(next)), false);
        }
        check(
            &Given::Page(&PageBuilder::default().finish(Next::End)),
            true,
        );
        check(
            &Given::Page(&PageBuilder::default().finish_at(b"here")),
            true,
        );
    }

    #[test]
    fn what_no_server_says_is_not_understood() {
        for bytes in [
            "+SURELY\r\n",
            "*0\r\n",
            "*1\r\n$1\r\nx\r\n",
            "*3\r\n:1\r\n:1\r\n:1\r\n",
            "*2\r\n_\r\n*0\r\n",
            "*2\r\n_\r\n*1\r\n$1\r\nk\r\n",
            "*2\r\n_\r\n*2\r\n:1\r\n_\r\n",
            "*1\r\n*0\r\n",
            "%0\r\n",
        ] {
            let reply = read(&mut bytes.as_bytes()).unwrap();
            assert_eq!(handed(reply, &mut |_| ()), None, "{bytes:?}");
        }
    }
}
