//! One line to its request.

use super::words::{signed, unsigned};
use super::{Action, Exptime, KEY_BYTES_MAX, KEYS_MAX, Mode, Refusal, Request, Sub, Verb, Words};
use hakone_command::{Amount, limits};

/// A line that is whole, and what else belongs to its request.
#[derive(Debug, PartialEq)]
pub(super) enum Line<'a> {
    /// Nothing.
    Whole(Request<'a>),
    /// A block of so many bytes, which is the value of this store.
    Block(Request<'a>, usize),
    /// A block of so many bytes, which is to be passed over.
    Pass(Request<'a>, u64),
}

/// Bytes of a block that the protocol can announce: what fits an i32, less the end of its line.
const BLOCK_BYTES_MAX: u64 = 0x7fff_fffd;

/// Words after a verb that takes few.
const ARGUMENTS_MAX: usize = 6;

type Result<'a> = std::result::Result<Action<'a>, Refusal>;

/// The words after a verb, on the stack: a request costs no allocation.
struct Arguments<'a> {
    taken: [&'a [u8]; ARGUMENTS_MAX],
    count: usize,
    /// How many there are, with those that were not taken.
    total: usize,
}

impl<'a> Arguments<'a> {
    fn new(words: Words<'a>) -> Arguments<'a> {
        let mut arguments = Arguments {
            taken: [&[]; ARGUMENTS_MAX],
            count: 0,
            total: 0,
        };
        for word in words {
            if let Some(place) = arguments.taken.get_mut(arguments.count) {
                *place = word;
                arguments.count += 1;
            }
            arguments.total += 1;
        }
        arguments
    }

    fn words(&self) -> &[&'a [u8]] {
        &self.taken[..self.count]
    }

    /// Whether nothing is to be answered.
    fn quiet(&self) -> bool {
        self.words().last() == Some(&&b"noreply"[..])
    }
}

/// Reads a line without its end.
pub(super) fn parse(line: &[u8]) -> Line<'_> {
    let mut words = Words::new(line);
    let Some(verb) = words.next().and_then(Verb::from_word) else {
        return Line::Whole(Request::refuse(None, false, Refusal::Error));
    };
    if verb.stores() {
        return store(verb, &Arguments::new(words));
    }
    let mut quiet = false;
    let action = match verb {
        Verb::Get | Verb::Gets | Verb::Bget => read(words),
        Verb::Gat | Verb::Gats => read_and_touch(words),
        Verb::Stats => stats(&Arguments::new(words)),
        Verb::Version => Ok(Action::Version),
        Verb::Quit => Ok(Action::Quit),
        Verb::Shutdown => Err(Refusal::Shutdown),
        Verb::Slabs => slabs(&Arguments::new(words)),
        Verb::Lru => lru(&Arguments::new(words)),
        Verb::LruCrawler => lru_crawler(&Arguments::new(words)),
        Verb::Watch => Err(Refusal::Watch),
        _ => {
            let arguments = Arguments::new(words);
            let (least, most) = count_of(verb);
            if (least..=most).contains(&arguments.total) {
                quiet = arguments.quiet();
                short(verb, arguments.words(), quiet)
            } else {
                Err(Refusal::Error)
            }
        }
    };
    Line::Whole(Request {
        verb: Some(verb),
        quiet,
        action: action.unwrap_or_else(Action::Refuse),
    })
}

/// How many words the verb takes at least and at most, `noreply` among them.
fn count_of(verb: Verb) -> (usize, usize) {
    match verb {
        Verb::Incr | Verb::Decr | Verb::Touch => (2, 3),
        Verb::FlushAll => (0, 2),
        Verb::Delete => (1, 3),
        // verbosity, cache_memlimit
        _ => (1, 2),
    }
}

/// The verbs that take few words.
fn short<'a>(verb: Verb, words: &[&'a [u8]], quiet: bool) -> Result<'a> {
    let number = words.get(1).copied().unwrap_or_default();
    match verb {
        Verb::Incr | Verb::Decr => {
            let key = key(words)?;
            let delta = unsigned(number).ok_or(Refusal::Delta)?;
            let amount = match verb {
                Verb::Incr => Amount::Up(delta),
                _ => Amount::Down(delta),
            };
            Ok(Action::Count { key, amount })
        }
        Verb::Touch => {
            let key = key(words)?;
            let expiry = exptime(number)?;
            Ok(Action::Touch { key, expiry })
        }
        Verb::Delete => {
            let key = key(words)?;
            // Old clients give a time, of which only 0 was ever of use.
            match &words[1..] {
                [] | [b"0" | b"noreply"] | [b"0", b"noreply"] => Ok(Action::Delete { key }),
                _ => Err(Refusal::Delete),
            }
        }
        Verb::FlushAll => {
            let delays = &words[..words.len() - usize::from(quiet)];
            let delay = delays
                .first()
                .map_or(Ok(Exptime(0)), |word| exptime(word))?;
            Ok(Action::Flush(delay))
        }
        Verb::Verbosity => match words {
            [b"noreply"] => Ok(Action::Accept),
            [level, ..] if unsigned(level).is_some() => Ok(Action::Accept),
            _ => Err(Refusal::Format),
        },
        // cache_memlimit
        _ => match words.first().and_then(|word| unsigned(word)) {
            Some(_) => Err(Refusal::MemoryLimit),
            None => Err(Refusal::Error),
        },
    }
}

fn store<'a>(verb: Verb, arguments: &Arguments<'a>) -> Line<'a> {
    let words = arguments.words();
    let bytes = words.get(3).and_then(|word| unsigned(word));
    let least = if verb == Verb::Cas { 5 } else { 4 };
    let shaped = (least..=least + 1).contains(&arguments.total);
    let quiet = shaped && arguments.quiet();
    let request = if shaped {
        fields(verb, words)
    } else {
        Err(Refusal::Error)
    };
    match (request, bytes) {
        (Err(refusal), bytes) => {
            let request = Request::refuse(Some(verb), quiet, refusal);
            match bytes {
                Some(bytes) => Line::Pass(request, bytes),
                None => Line::Whole(request),
            }
        }
        (Ok(_), None) => Line::Whole(Request::refuse(Some(verb), quiet, Refusal::Format)),
        (Ok(_), Some(bytes)) if bytes > BLOCK_BYTES_MAX => {
            Line::Pass(Request::refuse(Some(verb), quiet, Refusal::Format), bytes)
        }
        (Ok(action), Some(bytes)) => match usize::try_from(bytes) {
            Ok(bytes) if bytes <= limits::VALUE_BYTES_MAX => Line::Block(
                Request {
                    verb: Some(verb),
                    quiet,
                    action,
                },
                bytes,
            ),
            _ => {
                // What a client has set anew must not be read as it was.
                let stale = words.first().filter(|_| verb == Verb::Set);
                let refusal = Refusal::TooLarge(stale.map(|&key| key.into()));
                Line::Pass(Request::refuse(Some(verb), quiet, refusal), bytes)
            }
        },
    }
}

/// What a store says but for its value.
fn fields<'a>(verb: Verb, words: &[&'a [u8]]) -> Result<'a> {
    let key = key(words)?;
    let flags = unsigned(words[1]).and_then(|flags| u32::try_from(flags).ok());
    let expiry = signed(words[2]).map(Exptime);
    let (Some(flags), Some(expiry)) = (flags, expiry) else {
        return Err(Refusal::Format);
    };
    let mode = match verb {
        Verb::Add => Mode::Add,
        Verb::Replace => Mode::Replace,
        Verb::Append => Mode::Append,
        Verb::Prepend => Mode::Prepend,
        Verb::Cas => Mode::Cas(unsigned(words[4]).ok_or(Refusal::Format)?),
        _ => Mode::Set,
    };
    Ok(Action::Store {
        key,
        value: &[],
        flags,
        expiry,
        mode,
    })
}

fn is_key(word: &[u8]) -> bool {
    word.len() <= KEY_BYTES_MAX && !word.contains(&0)
}

/// The first word as a key.
fn key<'a>(words: &[&'a [u8]]) -> std::result::Result<&'a [u8], Refusal> {
    let key = words.first().copied().filter(|word| is_key(word));
    key.ok_or(Refusal::Format)
}

fn exptime(word: &[u8]) -> std::result::Result<Exptime, Refusal> {
    signed(word).map(Exptime).ok_or(Refusal::Exptime)
}

fn read(keys: Words<'_>) -> Result<'_> {
    let count = count_keys(keys.clone())?;
    Ok(Action::Read { keys, count })
}

fn read_and_touch(mut words: Words<'_>) -> Result<'_> {
    let time = words.next().ok_or(Refusal::Error)?;
    let expiry = exptime(time)?;
    count_keys(words.clone())?;
    let keys = words;
    Ok(Action::ReadAndTouch { keys, expiry })
}

fn count_keys(keys: Words<'_>) -> std::result::Result<usize, Refusal> {
    let mut count = 0;
    for word in keys {
        if !is_key(word) {
            return Err(Refusal::Format);
        }
        count += 1;
        if count > KEYS_MAX {
            return Err(Refusal::Keys);
        }
    }
    if count == 0 {
        return Err(Refusal::Error);
    }
    Ok(count)
}

fn stats<'a>(arguments: &Arguments<'_>) -> Result<'a> {
    let sub = match arguments.words() {
        [] => Sub::General,
        [b"settings", ..] => Sub::Settings,
        [b"items", ..] => Sub::Items,
        [b"slabs", ..] => Sub::Slabs,
        [b"sizes", ..] => Sub::Sizes,
        [b"conns", ..] => Sub::Connections,
        [b"reset", ..] => Sub::Reset,
        [b"detail", b"on", ..] => Sub::Detail(true),
        [b"detail", b"off", ..] => Sub::Detail(false),
        [b"detail", b"dump", ..] => Sub::DetailDump,
        [b"detail", ..] => return Err(Refusal::Detail),
        [b"cachedump", class, limit, ..] => match (unsigned(class), unsigned(limit)) {
            (Some(CLASS), Some(limit)) => {
                Sub::CacheDump(usize::try_from(limit).unwrap_or(usize::MAX))
            }
            (Some(_), Some(_)) => return Err(Refusal::Class),
            _ => return Err(Refusal::Format),
        },
        [b"cachedump", ..] => return Err(Refusal::CacheDump),
        _ => return Err(Refusal::Error),
    };
    Ok(Action::Stats(sub))
}

/// The one class of sizes that all records count to.
const CLASS: u64 = 1;

fn slabs<'a>(arguments: &Arguments<'_>) -> Result<'a> {
    Err(match arguments.words() {
        [b"reassign", _, _] | [b"automove", _] => Refusal::Slabs,
        _ => Refusal::Error,
    })
}

fn lru<'a>(arguments: &Arguments<'_>) -> Result<'a> {
    Err(match arguments.words() {
        [b"tune" | b"mode" | b"temp_ttl", _, ..] => Refusal::Unsupported,
        _ => Refusal::Error,
    })
}

/// What has expired is always reclaimed: that can be neither begun nor ended, nor made slower.
fn lru_crawler<'a>(arguments: &Arguments<'_>) -> Result<'a> {
    let of_class = |classes: &[u8], hash: bool| {
        let numbered = classes
            .split(|&byte| byte == b',')
            .all(|class| unsigned(class) == Some(CLASS));
        classes == b"all" || numbered || (hash && classes == b"hash")
    };
    match arguments.words() {
        [b"enable"] => Ok(Action::Accept),
        [b"disable"] => Err(Refusal::Unsupported),
        [b"sleep" | b"tocrawl", number] => Err(match unsigned(number) {
            Some(_) => Refusal::Unsupported,
            None => Refusal::Format,
        }),
        [b"crawl", classes] if of_class(classes, false) => Ok(Action::Accept),
        [b"metadump", classes] if of_class(classes, true) => Ok(Action::MetaDump),
        [b"crawl" | b"metadump", _] => Err(Refusal::CrawlClass),
        _ => Err(Refusal::Error),
    }
}
