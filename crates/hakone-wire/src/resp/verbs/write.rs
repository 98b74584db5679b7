//! Commands to words.

use hakone_command::{
    Amount, COMMANDS, Command, Condition, Direction, End, ExpiryCondition, ExpirySet, Filter,
    Place, Position, Range,
};
use std::borrow::Cow;
use std::ops::Bound;

type Word<'a> = Cow<'a, [u8]>;

/// The words that follow `HAKONE` to ask for this command, the verb first. `None` for the few
/// commands that only other protocols ask for.
pub fn words<'a>(command: &Command<'a>) -> Option<Vec<Word<'a>>> {
    let mut said = Said(vec![text(COMMANDS[command.index()].name)]);
    match *command {
        Command::Get { key } | Command::Describe { key } => said.bytes(key),
        Command::RemoveMany { ref keys } => keys.iter().for_each(|key| said.bytes(key)),
        Command::Clear | Command::Count | Command::Bytes => {}
        Command::Put {
            key,
            value,
            condition,
            expiry,
            flags,
            want_old: false,
        } => {
            said.bytes(key);
            said.bytes(value);
            said.condition(condition);
            said.expiry(expiry, ExpirySet::At(0));
            said.flags(flags);
        }
        Command::Append {
            key,
            value,
            end,
            width,
            condition,
            expiry,
        } => {
            said.bytes(key);
            said.bytes(value);
            said.end(end);
            if let Some(width) = width {
                said.option("WIDTH", number(width));
            }
            said.condition(condition);
            said.expiry(expiry, ExpirySet::Keep);
        }
        Command::CompareSwap {
            key,
            old,
            new,
            expiry,
        } => {
            said.bytes(key);
            for (name, value) in [("OLD", old), ("NEW", new)] {
                if let Some(value) = value {
                    said.option(name, Cow::Borrowed(value));
                }
            }
            said.expiry(expiry, ExpirySet::At(0));
        }
        Command::Add {
            key,
            amount,
            absent,
            expiry,
        } => {
            said.bytes(key);
            said.0.push(amount_text(amount)?);
            if let Some(absent) = absent {
                said.option("ABSENT", amount_text(absent)?);
            }
            if matches!(amount, Amount::Float(_)) {
                said.0.push(text("FLOAT"));
            }
            said.expiry(expiry, ExpirySet::Keep);
        }
        Command::Touch {
            key,
            expiry,
            condition,
            want,
        } => {
            said.bytes(key);
            said.0.push(number(expiry));
            if condition != ExpiryCondition::Always {
                said.option("IF", text(expiry_condition(condition)));
            }
            if want {
                said.0.push(text("WANT"));
            }
        }
        Command::Scan {
            from,
            range,
            direction,
            filter,
            limit,
            values,
        } => {
            said.position(from);
            said.range(range);
            if direction == Direction::Backward {
                said.0.push(text("BACKWARD"));
            }
            said.filter(filter);
            said.option("LIMIT", number(limit));
            if !values {
                said.0.push(text("KEYS"));
            }
        }
        Command::CountRange { range } => said.range(range),
        Command::RemoveRange { range, limit } => {
            said.range(range);
            said.option("LIMIT", number(limit));
        }
        Command::PutDuplicate {
            key,
            value,
            end,
            expiry,
            flags,
        } => {
            said.bytes(key);
            said.bytes(value);
            said.end(end);
            said.expiry(ExpirySet::At(expiry), ExpirySet::At(0));
            said.flags(flags);
        }
        Command::PutAt {
            position,
            place,
            value,
            expiry,
            flags,
        } => {
            said.bytes(position);
            said.0.push(text(match place {
                Place::Current => "current",
                Place::Before => "before",
                Place::After => "after",
            }));
            said.bytes(value);
            said.expiry(expiry, ExpirySet::At(0));
            said.flags(flags);
        }
        Command::RemoveAt { position } => said.bytes(position),
        _ => return None,
    }
    Some(said.0)
}

/// The words so far.
struct Said<'a>(Vec<Word<'a>>);

impl<'a> Said<'a> {
    fn bytes(&mut self, bytes: &'a [u8]) {
        self.0.push(Cow::Borrowed(bytes));
    }

    fn option(&mut self, name: &'static str, value: Word<'a>) {
        self.0.push(text(name));
        self.0.push(value);
    }

    fn condition(&mut self, condition: Condition) {
        match condition {
            Condition::Always => {}
            Condition::IfAbsent => self.option("IF", text("absent")),
            Condition::IfPresent => self.option("IF", text("present")),
            Condition::IfVersion(version) => self.option("IF", number(version)),
        }
    }

    fn expiry(&mut self, expiry: ExpirySet, unsaid: ExpirySet) {
        match expiry {
            _ if expiry == unsaid => {}
            ExpirySet::Keep => self.option("EXPIRY", text("keep")),
            ExpirySet::At(expiry) => self.option("EXPIRY", number(expiry)),
        }
    }

    fn flags(&mut self, flags: u32) {
        if flags != 0 {
            self.option("FLAGS", number(flags));
        }
    }

    fn end(&mut self, end: End) {
        if end == End::Front {
            self.0.push(text("FRONT"));
        }
    }

    fn position(&mut self, from: Position<'a>) {
        match from {
            Position::Start => {}
            Position::At(key) => self.option("AT", Cow::Borrowed(key)),
            Position::After(key) => self.option("AFTER", Cow::Borrowed(key)),
            Position::Resume(position) => self.option("RESUME", Cow::Borrowed(position)),
            Position::Cursor(cursor) => self.option("CURSOR", number(cursor)),
            Position::Random(draw) => self.option("RANDOM", number(draw)),
        }
    }

    fn range(&mut self, range: Range<'a>) {
        match range {
            Range::All => {}
            Range::Prefix(prefix) => self.option("PREFIX", Cow::Borrowed(prefix)),
            Range::Between(from, to) => {
                match from {
                    Bound::Included(key) => self.option("FROM", Cow::Borrowed(key)),
                    Bound::Excluded(key) => self.option("ABOVE", Cow::Borrowed(key)),
                    Bound::Unbounded => {}
                }
                match to {
                    Bound::Included(key) => self.option("TO", Cow::Borrowed(key)),
                    Bound::Excluded(key) => self.option("BELOW", Cow::Borrowed(key)),
                    Bound::Unbounded => {}
                }
            }
        }
    }

    fn filter(&mut self, filter: Filter<'a>) {
        match filter {
            Filter::All => {}
            Filter::Regex(pattern) => self.option("REGEX", Cow::Borrowed(pattern)),
            Filter::Similar { to, distance, utf8 } => {
                let name = if utf8 { "SIMILAR" } else { "SIMILAR_BYTES" };
                self.option(name, Cow::Borrowed(to));
                self.0.push(number(distance));
            }
        }
    }
}

fn text(text: &'static str) -> Word<'static> {
    Cow::Borrowed(text.as_bytes())
}

fn number(number: impl std::fmt::Display) -> Word<'static> {
    Cow::Owned(number.to_string().into_bytes())
}

fn amount_text(amount: Amount) -> Option<Word<'static>> {
    match amount {
        Amount::Decimal(amount) => Some(number(amount)),
        Amount::Float(amount) => Some(number(amount)),
        _ => None,
    }
}

fn expiry_condition(condition: ExpiryCondition) -> &'static str {
    match condition {
        ExpiryCondition::Always => "always",
        ExpiryCondition::IfNone => "none",
        ExpiryCondition::IfSome => "some",
        ExpiryCondition::IfLater => "later",
        ExpiryCondition::IfEarlier => "earlier",
        ExpiryCondition::IfSomeEarlier => "some_earlier",
    }
}
