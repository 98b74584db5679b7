//! A database of a running server, over RESP3.

use super::Target;
use crate::failure::{Failure, Result};
use hakone::{Command, Compression, Condition, ExpirySet, Reply};
use hakone_client::{Address, Client, Reply as Heard};
use hakone_server::{Ended, ListAnswer, Told};
use hakone_wire::resp::verbs::{self, ListRequest, Step};
use std::borrow::Cow;
use std::time::Duration;

/// How long it waits before it asks again whether something is done.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Bytes of requests that are sent at once. Replies to writes are some bytes each, so that two
/// batches on their way never fill the sockets' buffers with replies.
const BATCH_BYTES: usize = 256 << 10;

/// Records of one batch, so that many tiny ones are bounded too.
const BATCH_RECORDS: u64 = 2000;

/// A database of a server, and the writes to it that are on their way.
#[derive(Debug)]
pub(super) struct Running {
    client: Client,
    /// Requests in the client's buffer.
    unsent: u64,
    /// Requests that were sent and not answered yet.
    unanswered: u64,
    acknowledged: u64,
}

impl Running {
    pub(super) fn connect(address: &Address, database: Option<&str>) -> Result<Running> {
        let mut client = Client::connect(address)?;
        if let Some(database) = database {
            if database.parse::<u32>().is_ok() {
                client.call(&[b"SELECT", database.as_bytes()])?;
            } else {
                client.call(&[b"HAKONE", b"USE", database.as_bytes()])?;
            }
        }
        Ok(Running {
            client,
            unsent: 0,
            unanswered: 0,
            acknowledged: 0,
        })
    }

    /// Sends the batch at hand, then waits for the replies to the one before it.
    fn turn(&mut self) -> Result<()> {
        self.client.flush()?;
        self.receive(self.unanswered)?;
        self.unanswered += std::mem::take(&mut self.unsent);
        Ok(())
    }

    fn receive(&mut self, count: u64) -> Result<()> {
        for _ in 0..count {
            let reply = self.client.receive()?;
            self.unanswered -= 1;
            let is_done = match &reply {
                Heard::Text(text) => text == "OK",
                Heard::Array(stored) => stored.len() == 1,
                _ => false,
            };
            if !is_done {
                return Err(self.unexpected("a write"));
            }
            self.acknowledged += 1;
        }
        Ok(())
    }

    /// The reply to `HAKONE`, these words and those.
    fn ask(&mut self, words: &[&[u8]], more: &[Cow<'_, [u8]>]) -> Result<Heard> {
        let mut said: Vec<&[u8]> = vec![b"HAKONE"];
        said.extend(words);
        said.extend(more.iter().map(|word| &**word));
        Ok(self.client.call(&said)?)
    }

    /// Waits for what the server does beside, and says what it has come to.
    fn job(&mut self, begun: &Heard) -> Result<u64> {
        let Heard::Number(number) = begun else {
            return Err(self.unexpected("HAKONE"));
        };
        let number = number.to_string();
        loop {
            match self.ask(&[b"JOB", number.as_bytes()], &[])? {
                Heard::Missing => std::thread::sleep(ASK_AGAIN),
                Heard::Number(outcome) => return Ok(u64::try_from(outcome).unwrap_or(0)),
                _ => return Err(self.unexpected("HAKONE JOB")),
            }
        }
    }

    fn unexpected(&self, request: &str) -> Failure {
        let what = format!("its reply to {request} has another shape");
        self.client.unexpected(what).into()
    }
}

impl Target for Running {
    fn call(&mut self, command: &Command<'_>, answer: &mut dyn FnMut(Reply<'_>)) -> Result<()> {
        Ok(self.client.command(command, answer)?)
    }

    fn send(&mut self, command: &Command<'_>) -> Result<()> {
        match *command {
            // Redis' own words are the shorter ones, and most records need no other.
            Command::Put {
                key,
                value,
                condition: Condition::Always,
                expiry: ExpirySet::At(0),
                flags: 0,
                want_old: false,
            } => self.client.send(&[b"SET", key, value]),
            _ => self.client.send_command(command)?,
        }
        self.unsent += 1;
        if self.unsent >= BATCH_RECORDS || self.client.unsent_bytes() >= BATCH_BYTES {
            self.turn()?;
        }
        Ok(())
    }

    fn acknowledged(&self) -> u64 {
        self.acknowledged
    }

    fn finish(&mut self) -> Result<()> {
        self.turn()?;
        self.receive(self.unanswered)
    }

    fn transact(&mut self, steps: &[Step<'_>], tell: &mut dyn FnMut(Told<'_>)) -> Result<Ended> {
        let said = verbs::step_words(steps)
            .ok_or_else(|| Failure::new("a step of the transaction has no words"))?;
        match self.ask(&[b"TRANSACTION"], &said)? {
            Heard::Array(replies) => {
                tell(Told::Begun);
                for reply in replies {
                    self.client
                        .understand(reply, &mut |reply| tell(Told::Reply(reply)))?;
                }
                Ok(Ended::Committed(0))
            }
            Heard::Number(step) => Ok(Ended::Unexpected(usize::try_from(step).unwrap_or(0))),
            _ => Err(self.unexpected("HAKONE TRANSACTION")),
        }
    }

    fn list(&mut self, name: &[u8], request: &ListRequest<'_>) -> Result<ListAnswer> {
        match self.ask(&[], &request.words(name))? {
            Heard::Number(count) => Ok(ListAnswer::Count(u64::try_from(count).unwrap_or(0))),
            Heard::Array(elements) => {
                let mut elements = elements.into_iter();
                let first = elements.next().and_then(|first| first.as_number());
                let elements: Option<Vec<_>> = elements.map(Heard::into_bytes).collect();
                match (first, elements) {
                    (Some(first), Some(elements)) => {
                        let first = u64::try_from(first).unwrap_or(0);
                        Ok(ListAnswer::Elements(first, elements))
                    }
                    _ => Err(self.unexpected("HAKONE LIST")),
                }
            }
            _ => Err(self.unexpected("HAKONE LIST")),
        }
    }

    fn compact(&mut self) -> Result<u64> {
        let begun = self.ask(&[b"COMPACT"], &[])?;
        self.job(&begun)
    }

    fn alter(&mut self, compression: Compression) -> Result<()> {
        let begun = self.ask(&[b"ALTER", compression.name().as_bytes()], &[])?;
        self.job(&begun).map(|_| ())
    }

    fn stat(&mut self) -> Result<Vec<(String, String)>> {
        let Some(stat) = self.client.call(&[b"HAKONE", b"STAT"])?.into_bytes() else {
            return Err(self.unexpected("HAKONE STAT"));
        };
        Ok(String::from_utf8_lossy(&stat)
            .lines()
            .filter_map(|line| line.split_once('\t'))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect())
    }
}
