//! Words to commands.

use super::super::failure::{Failure, with_bytes, wrong_subcommand_count};
use hakone_command::{
    Amount, COMMANDS, Command, Condition, Decimal, Direction, End, ExpiryCondition, ExpirySet,
    Filter, Millis, Place, Position, Range, parse_integer,
};
use std::ops::Bound;
use std::str::FromStr;

/// The command that a verb after `HAKONE` and its words ask for; `None` if the verb asks for none.
///
/// # Errors
/// What is wrong with the words, as an error reply.
pub fn command<'a>(verb: &[u8], words: &[&'a [u8]]) -> Option<Result<Command<'a>, Failure>> {
    let is_verb = |name: &str| name.as_bytes().eq_ignore_ascii_case(verb);
    let name = COMMANDS.iter().map(|row| row.name).find(|n| is_verb(n))?;
    let fixed = match name {
        "clear" | "count" | "bytes" | "scan" | "count_range" | "remove_range" | "remove_many" => 0,
        "get" | "describe" | "compare_swap" | "remove_at" => 1,
        "put" | "append" | "add" | "touch" | "put_duplicate" => 2,
        "put_at" => 3,
        _ => return None,
    };
    let Some((fixed, options)) = words.split_at_checked(fixed) else {
        return Some(Err(wrong_subcommand_count("hakone", name)));
    };
    Some(read(name, fixed, options))
}

fn read<'a>(name: &str, fixed: &[&'a [u8]], words: &[&'a [u8]]) -> Result<Command<'a>, Failure> {
    if name == "remove_many" {
        if words.is_empty() {
            return Err(wrong_subcommand_count("hakone", name));
        }
        let keys = words.to_vec();
        return Ok(Command::RemoveMany { keys });
    }
    let takes: &[&str] = match name {
        "put" => &["IF", "EXPIRY", "FLAGS"],
        "append" => &["FRONT", "WIDTH", "IF", "EXPIRY"],
        "compare_swap" => &["OLD", "NEW", "EXPIRY"],
        "add" => &["ABSENT", "FLOAT", "EXPIRY"],
        "touch" => &["IF", "WANT"],
        "scan" => &[
            "AT",
            "AFTER",
            "RESUME",
            "CURSOR",
            "RANDOM",
            "PREFIX",
            "FROM",
            "ABOVE",
            "TO",
            "BELOW",
            "BACKWARD",
            "REGEX",
            "SIMILAR",
            "SIMILAR_BYTES",
            "LIMIT",
            "KEYS",
        ],
        "count_range" => &["PREFIX", "FROM", "ABOVE", "TO", "BELOW"],
        "remove_range" => &["PREFIX", "FROM", "ABOVE", "TO", "BELOW", "LIMIT"],
        "put_duplicate" => &["FRONT", "EXPIRY", "FLAGS"],
        "put_at" => &["EXPIRY", "FLAGS"],
        _ => &[],
    };
    let options = Options::read(takes, words)?;
    Ok(match (name, fixed) {
        ("get", &[key]) => Command::Get { key },
        ("describe", &[key]) => Command::Describe { key },
        ("clear", _) => Command::Clear,
        ("count", _) => Command::Count,
        ("bytes", _) => Command::Bytes,
        ("put", &[key, value]) => Command::Put {
            key,
            value,
            condition: options.condition()?,
            expiry: options.expiry(ExpirySet::At(0))?,
            flags: options.flags()?,
            want_old: false,
        },
        ("append", &[key, value]) => Command::Append {
            key,
            value,
            end: options.end(),
            width: options.find("WIDTH").map(number).transpose()?,
            condition: options.condition()?,
            expiry: options.expiry(ExpirySet::Keep)?,
        },
        ("compare_swap", &[key]) => Command::CompareSwap {
            key,
            old: options.find("OLD"),
            new: options.find("NEW"),
            expiry: options.expiry(ExpirySet::At(0))?,
        },
        ("add", &[key, amount_text]) => Command::Add {
            key,
            amount: options.amount(amount_text)?,
            absent: match options.find("ABSENT") {
                None => None,
                Some(word) => Some(options.amount(word)?),
            },
            expiry: options.expiry(ExpirySet::Keep)?,
        },
        ("touch", &[key, expiry]) => Command::Touch {
            key,
            expiry: number(expiry)?,
            condition: options.expiry_condition()?,
            want: options.has("WANT"),
        },
        ("scan", _) => Command::Scan {
            from: options.position()?,
            range: options.range()?,
            direction: if options.has("BACKWARD") {
                Direction::Backward
            } else {
                Direction::Forward
            },
            filter: options.filter()?,
            limit: options.limit()?,
            values: !options.has("KEYS"),
        },
        ("count_range", _) => Command::CountRange {
            range: options.range()?,
        },
        ("remove_range", _) => Command::RemoveRange {
            range: options.range()?,
            limit: options.limit()?,
        },
        ("put_duplicate", &[key, value]) => Command::PutDuplicate {
            key,
            value,
            end: options.end(),
            expiry: match options.expiry(ExpirySet::At(0))? {
                ExpirySet::At(expiry) => expiry,
                ExpirySet::Keep => return Err(Failure::SYNTAX),
            },
            flags: options.flags()?,
        },
        ("put_at", &[position, place, value]) => Command::PutAt {
            position,
            place: place_of(place)?,
            value,
            expiry: options.expiry(ExpirySet::At(0))?,
            flags: options.flags()?,
        },
        ("remove_at", &[position]) => Command::RemoveAt { position },
        _ => return Err(Failure::SYNTAX),
    })
}

/// The options that follow the fixed words of a command, each said once.
struct Options<'a>(Vec<(&'static str, &'a [u8])>);

/// Options that are there or not, and have no value.
const BARE: [&str; 5] = ["FRONT", "WANT", "FLOAT", "BACKWARD", "KEYS"];

impl<'a> Options<'a> {
    fn read(takes: &[&'static str], mut words: &[&'a [u8]]) -> Result<Options<'a>, Failure> {
        let mut options = Options(Vec::new());
        while let Some((word, rest)) = words.split_first() {
            words = rest;
            let is_word = |name: &&&str| name.as_bytes().eq_ignore_ascii_case(word);
            let Some(&name) = takes.iter().find(is_word) else {
                return Err(with_bytes("ERR unknown or misplaced option '", word, "'"));
            };
            if options.has(name) {
                return Err(with_bytes("ERR option '", word, "' is given twice"));
            }
            let mut values = match name {
                "SIMILAR" | "SIMILAR_BYTES" => 2,
                _ if BARE.contains(&name) => 0,
                _ => 1,
            };
            if values == 0 {
                options.0.push((name, &[]));
            }
            while values > 0 {
                let Some((value, rest)) = words.split_first() else {
                    return Err(with_bytes("ERR option '", word, "' lacks its value"));
                };
                words = rest;
                options.0.push((name, value));
                values -= 1;
            }
        }
        Ok(options)
    }

    fn find(&self, name: &str) -> Option<&'a [u8]> {
        let found = self.0.iter().find(|(there, _)| *there == name);
        found.map(|(_, value)| *value)
    }

    fn has(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    fn condition(&self) -> Result<Condition, Failure> {
        match self.find("IF") {
            None => Ok(Condition::Always),
            Some(word) if word.eq_ignore_ascii_case(b"absent") => Ok(Condition::IfAbsent),
            Some(word) if word.eq_ignore_ascii_case(b"present") => Ok(Condition::IfPresent),
            Some(version) => number(version).map(Condition::IfVersion),
        }
    }

    fn expiry_condition(&self) -> Result<ExpiryCondition, Failure> {
        let Some(word) = self.find("IF") else {
            return Ok(ExpiryCondition::Always);
        };
        match word.to_ascii_lowercase().as_slice() {
            b"none" => Ok(ExpiryCondition::IfNone),
            b"some" => Ok(ExpiryCondition::IfSome),
            b"later" => Ok(ExpiryCondition::IfLater),
            b"earlier" => Ok(ExpiryCondition::IfEarlier),
            b"some_earlier" => Ok(ExpiryCondition::IfSomeEarlier),
            _ => Err(Failure::SYNTAX),
        }
    }

    fn expiry(&self, unsaid: ExpirySet) -> Result<ExpirySet, Failure> {
        match self.find("EXPIRY") {
            None => Ok(unsaid),
            Some(word) if word.eq_ignore_ascii_case(b"keep") => Ok(ExpirySet::Keep),
            Some(word) => number::<Millis>(word).map(ExpirySet::At),
        }
    }

    fn amount(&self, word: &[u8]) -> Result<Amount, Failure> {
        if self.has("FLOAT") {
            return Decimal::parse(word)
                .map(Amount::Float)
                .ok_or(Failure::Text("ERR value is not a valid float"));
        }
        parse_integer(word)
            .map(Amount::Decimal)
            .ok_or(Failure::NOT_AN_INTEGER)
    }

    fn flags(&self) -> Result<u32, Failure> {
        self.find("FLAGS").map_or(Ok(0), number)
    }

    fn end(&self) -> End {
        if self.has("FRONT") {
            End::Front
        } else {
            End::Back
        }
    }

    fn limit(&self) -> Result<usize, Failure> {
        let limit = self.find("LIMIT").ok_or(Failure::Text(
            "ERR LIMIT is missing: how many records at most",
        ))?;
        match number(limit)? {
            0 => Err(Failure::NOT_AN_INTEGER),
            limit => Ok(limit),
        }
    }

    fn position(&self) -> Result<Position<'a>, Failure> {
        let mut positions = [
            self.find("AT").map(|key| Ok(Position::At(key))),
            self.find("AFTER").map(|key| Ok(Position::After(key))),
            self.find("RESUME").map(|it| Ok(Position::Resume(it))),
            self.find("CURSOR")
                .map(|it| number(it).map(Position::Cursor)),
            self.find("RANDOM")
                .map(|it| number(it).map(Position::Random)),
        ]
        .into_iter()
        .flatten();
        match (positions.next(), positions.next()) {
            (None, _) => Ok(Position::Start),
            (Some(position), None) => position,
            (Some(_), Some(_)) => Err(Failure::Text(
                "ERR AT, AFTER, RESUME, CURSOR and RANDOM are one beginning each: give one",
            )),
        }
    }

    fn range(&self) -> Result<Range<'a>, Failure> {
        let bounds = ["FROM", "ABOVE", "TO", "BELOW"].map(|name| self.find(name));
        let from = match bounds {
            [Some(_), Some(_), ..] | [.., Some(_), Some(_)] => {
                return Err(Failure::Text(
                    "ERR FROM and ABOVE, TO and BELOW are one bound each: give one of each",
                ));
            }
            [Some(key), ..] => Bound::Included(key),
            [_, Some(key), ..] => Bound::Excluded(key),
            _ => Bound::Unbounded,
        };
        let to = match bounds {
            [.., Some(key), _] => Bound::Included(key),
            [.., Some(key)] => Bound::Excluded(key),
            _ => Bound::Unbounded,
        };
        match (self.find("PREFIX"), from, to) {
            (None, Bound::Unbounded, Bound::Unbounded) => Ok(Range::All),
            (None, from, to) => Ok(Range::Between(from, to)),
            (Some(prefix), Bound::Unbounded, Bound::Unbounded) => Ok(Range::Prefix(prefix)),
            (Some(_), _, _) => Err(Failure::Text(
                "ERR PREFIX is a range of its own: give it without other bounds",
            )),
        }
    }

    fn filter(&self) -> Result<Filter<'a>, Failure> {
        let similar = |utf8| {
            let name = if utf8 { "SIMILAR" } else { "SIMILAR_BYTES" };
            let mut values = self.0.iter().filter(|(there, _)| *there == name);
            let ((_, to), (_, distance)) = (values.next()?, values.next()?);
            Some(number(distance).map(|distance| Filter::Similar { to, distance, utf8 }))
        };
        let regex = self.find("REGEX").map(|pattern| Ok(Filter::Regex(pattern)));
        let mut filters = [regex, similar(true), similar(false)].into_iter().flatten();
        match (filters.next(), filters.next()) {
            (None, _) => Ok(Filter::All),
            (Some(filter), None) => filter,
            (Some(_), Some(_)) => Err(Failure::Text(
                "ERR REGEX, SIMILAR and SIMILAR_BYTES are one filter each: give one",
            )),
        }
    }
}

/// A number without sign, in digits alone.
fn number<T: FromStr>(word: &[u8]) -> Result<T, Failure> {
    str::from_utf8(word)
        .ok()
        .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))
        .and_then(|text| text.parse().ok())
        .ok_or(Failure::NOT_AN_INTEGER)
}

fn place_of(word: &[u8]) -> Result<Place, Failure> {
    match word.to_ascii_lowercase().as_slice() {
        b"current" => Ok(Place::Current),
        b"before" => Ok(Place::Before),
        b"after" => Ok(Place::After),
        _ => Err(Failure::Text(
            "ERR the place is one of current, before and after",
        )),
    }
}
