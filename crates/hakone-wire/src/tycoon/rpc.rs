//! Procedures called over HTTP: their parameters to what they ask for.

use super::codec::Encoding;
use super::columns::TooMany;
use super::{Columns, Procedure, Status, expiry_of_xt, parse_double, parse_integer};
use hakone_command::{Amount, Command, Condition, End, ExpirySet, Fixed, Millis};

/// The parameters of a call: those of the query, then those of the body if its content type says
/// that it has some.
///
/// # Errors
/// If there are too many.
pub fn read(query: &[u8], content_type: Option<&[u8]>, body: &[u8]) -> Result<Columns, TooMany> {
    let content_type = content_type.unwrap_or_default();
    let is = |kind: &[u8]| {
        content_type
            .get(..kind.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(kind))
    };
    let mut columns = Columns::default();
    columns.add_form(query)?;
    let mut encoding = Encoding::Raw;
    if is(b"application/x-www-form-urlencoded") {
        columns.add_form(body)?;
    } else if is(b"text/tab-separated-values") {
        encoding = Encoding::of_content_type(content_type);
        columns.add_lines(body)?;
    }
    columns.settle();
    Ok(match encoding {
        Encoding::Raw => columns,
        // Those of the query, too, as in the original.
        _ => columns.decoded(encoding),
    })
}

/// A call of a procedure.
#[derive(Debug, PartialEq)]
pub struct Call<'a> {
    /// The database that it speaks to: a number or a name; nothing is number 0.
    pub database: &'a [u8],
    /// What it asks for.
    pub action: Action<'a>,
}

/// What a call asks for.
#[derive(Debug, PartialEq)]
pub enum Action<'a> {
    /// Nothing.
    Void,
    /// Its own parameters.
    Echo,
    /// The server's report.
    Report,
    /// The database's report.
    Status,
    /// Make everything durable.
    Synchronize,
    /// A command, and the form of its answer.
    Call(Command<'a>, Answer),
    /// Write a counter, whatever is there, and answer it.
    Reset {
        /// The key.
        key: &'a [u8],
        /// The counter.
        counter: Counter,
        /// When it expires.
        expiry: Millis,
    },
    /// What is to be done with all records of the call ([`Columns::records`]), at once or one after
    /// the other.
    Bulk {
        /// What.
        bulk: Bulk,
        /// As one batch, or as of one moment.
        atomic: bool,
    },
    /// The keys that match.
    Match(Matching<'a>, Option<u64>),
    /// Nothing: it can't be done.
    Refuse(Refusal),
}

/// What a bulk call does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bulk {
    /// Write records that expire then.
    Set(Millis),
    /// Remove records.
    Remove,
    /// Read records.
    Get,
}

/// Which keys match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matching<'a> {
    /// Those that begin with this.
    Prefix(&'a [u8]),
    /// Those in which this POSIX extended regular expression finds something.
    Regex(&'a [u8]),
    /// Those that become `origin` by so many insertions, deletions and replacements at most.
    Similar {
        /// What they are compared with.
        origin: &'a [u8],
        /// The most steps.
        range: u64,
        /// Steps are of characters, not bytes.
        utf: bool,
    },
}

/// The form of a command's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing.
    Nothing,
    /// Nothing; refused if the record exists.
    Add,
    /// Nothing; refused if there is no record.
    Replace,
    /// Nothing; refused if the record is not the expected one.
    Cas,
    /// The value and the expiry.
    Value,
    /// The size of the value, and the expiry.
    Size,
    /// The sum, an integer.
    Sum,
    /// The sum, a real number.
    Double,
}

/// A counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// An integer, kept in eight bytes.
    Integer(i64),
    /// A real number, kept in sixteen.
    Double(Fixed),
}

impl Counter {
    /// The value of a record that holds it.
    pub fn to_bytes(self) -> Vec<u8> {
        match self {
            Counter::Integer(number) => number.to_be_bytes().to_vec(),
            Counter::Double(number) => number.to_bytes().to_vec(),
        }
    }
}

/// Why a call can't be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A parameter is missing or makes no sense.
    Parameters,
    /// There are too many parameters.
    TooMany,
    /// `WAIT` is not served.
    Wait,
    /// Scripts are not served.
    Scripts,
    /// A follower's time stamp is not kept in a file.
    NoStampFile,
    /// There is no update log.
    NoUpdateLog,
    /// Commands are not run after a synchronization.
    PostProcessing,
}

impl Refusal {
    /// The status and the text of the answer.
    pub fn answer(self) -> (Status, &'static str) {
        match self {
            Refusal::Parameters => (Status::Invalid, "invalid parameters"),
            Refusal::TooMany => (Status::Invalid, "too many parameters"),
            Refusal::Wait => (Status::NotImplemented, "not implemented: WAIT"),
            // The spelling is the original's; clients may know it.
            Refusal::Scripts => (
                Status::NotImplemented,
                "the scripting extention is disabled",
            ),
            Refusal::NoStampFile => (Status::NotImplemented, "the RTS file is not set"),
            Refusal::NoUpdateLog => (Status::Invalid, "no update log allows no replication"),
            Refusal::PostProcessing => (
                Status::Internal,
                "DB: 8: logical inconsistency: postprocessing failed",
            ),
        }
    }
}

/// What a call of `procedure` with these parameters asks for at the time `now`.
pub fn translate(procedure: Procedure, columns: &Columns, now: Millis) -> Call<'_> {
    let database = columns.get(b"DB").unwrap_or_default();
    let action = if columns.get(b"WAIT").is_some() {
        Action::Refuse(Refusal::Wait)
    } else {
        let parameters = Parameters { columns, now };
        action(procedure, &parameters).unwrap_or(Action::Refuse(Refusal::Parameters))
    };
    Call { database, action }
}

struct Parameters<'a> {
    columns: &'a Columns,
    now: Millis,
}

impl<'a> Parameters<'a> {
    fn get(&self, name: &str) -> Option<&'a [u8]> {
        self.columns.get(name.as_bytes())
    }

    /// Flags are set by being there, whatever they say.
    fn is(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The expiry of what is written: none takes away the one that is there.
    fn expiry(&self) -> Millis {
        self.get("xt")
            .map_or(0, |xt| expiry_of_xt(parse_integer(xt), self.now))
    }
}

/// `None` where a parameter is missing.
fn action<'a>(procedure: Procedure, parameters: &Parameters<'a>) -> Option<Action<'a>> {
    let key = || parameters.get("key");
    let max = || {
        let max = parameters.get("max").map(parse_integer);
        max.and_then(|max| u64::try_from(max).ok())
    };
    let bulk = |bulk| Action::Bulk {
        bulk,
        atomic: parameters.is("atomic"),
    };
    Some(match procedure {
        // What has expired is reclaimed without being asked.
        Procedure::Void | Procedure::Vacuum => Action::Void,
        Procedure::Echo => Action::Echo,
        Procedure::Report => Action::Report,
        Procedure::PlayScript => Action::Refuse(Refusal::Scripts),
        Procedure::TuneReplication => Action::Refuse(Refusal::NoStampFile),
        Procedure::UlogList | Procedure::UlogRemove => Action::Refuse(Refusal::NoUpdateLog),
        Procedure::Status => Action::Status,
        Procedure::Clear => Action::Call(Command::Clear, Answer::Nothing),
        Procedure::Synchronize if parameters.is("command") => {
            Action::Refuse(Refusal::PostProcessing)
        }
        Procedure::Synchronize => Action::Synchronize,
        Procedure::Set => put(parameters, Condition::Always, Answer::Nothing)?,
        Procedure::Add => put(parameters, Condition::IfAbsent, Answer::Add)?,
        Procedure::Replace => put(parameters, Condition::IfPresent, Answer::Replace)?,
        Procedure::Append => {
            let command = Command::Append {
                key: key()?,
                value: parameters.get("value")?,
                end: End::Back,
                width: None,
                condition: Condition::Always,
                expiry: ExpirySet::At(parameters.expiry()),
            };
            Action::Call(command, Answer::Nothing)
        }
        Procedure::Increment => increment(parameters, key()?)?,
        Procedure::IncrementDouble => increment_double(parameters, key()?)?,
        Procedure::Cas => {
            let command = Command::CompareSwap {
                key: key()?,
                old: parameters.get("oval"),
                new: parameters.get("nval"),
                expiry: ExpirySet::At(parameters.expiry()),
            };
            Action::Call(command, Answer::Cas)
        }
        Procedure::Remove => remove(key()?, false, Answer::Nothing),
        Procedure::Seize => remove(key()?, true, Answer::Value),
        Procedure::Get => Action::Call(Command::Get { key: key()? }, Answer::Value),
        Procedure::Check => Action::Call(Command::Describe { key: key()? }, Answer::Size),
        Procedure::SetBulk => bulk(Bulk::Set(parameters.expiry())),
        Procedure::RemoveBulk => bulk(Bulk::Remove),
        Procedure::GetBulk => bulk(Bulk::Get),
        Procedure::MatchPrefix => Action::Match(Matching::Prefix(parameters.get("prefix")?), max()),
        Procedure::MatchRegex => Action::Match(Matching::Regex(parameters.get("regex")?), max()),
        Procedure::MatchSimilar => {
            let range = parameters.get("range").map_or(1, parse_integer);
            let matching = Matching::Similar {
                origin: parameters.get("origin")?,
                range: u64::try_from(range).unwrap_or(1),
                utf: parameters.is("utf"),
            };
            Action::Match(matching, max())
        }
    })
}

fn put<'a>(
    parameters: &Parameters<'a>,
    condition: Condition,
    answer: Answer,
) -> Option<Action<'a>> {
    let command = Command::Put {
        key: parameters.get("key")?,
        value: parameters.get("value")?,
        condition,
        expiry: ExpirySet::At(parameters.expiry()),
        flags: 0,
        want_old: false,
    };
    Some(Action::Call(command, answer))
}

fn remove(key: &[u8], want_old: bool, answer: Answer) -> Action<'_> {
    Action::Call(Command::Remove { key, want_old }, answer)
}

/// What a counter starts from.
enum Origin<'a> {
    /// An absent record counts as this.
    Number(&'a [u8]),
    /// There must be a record.
    Try,
    /// Whatever is there is replaced.
    Set,
}

impl<'a> Origin<'a> {
    fn of(parameters: &Parameters<'a>) -> Origin<'a> {
        match parameters.get("orig") {
            Some(b"try") => Origin::Try,
            Some(b"set") => Origin::Set,
            text => Origin::Number(text.unwrap_or_default()),
        }
    }
}

fn increment<'a>(parameters: &Parameters<'a>, key: &'a [u8]) -> Option<Action<'a>> {
    let number = parse_integer(parameters.get("num")?);
    let absent = match Origin::of(parameters) {
        Origin::Number(text) => Some(Amount::Int64(parse_integer(text))),
        Origin::Try => None,
        Origin::Set => return Some(reset(parameters, key, Counter::Integer(number))),
    };
    let amount = Amount::Int64(number);
    Some(add(parameters, key, amount, absent, Answer::Sum))
}

fn increment_double<'a>(parameters: &Parameters<'a>, key: &'a [u8]) -> Option<Action<'a>> {
    let number = Fixed::from_f64(parse_double(parameters.get("num")?));
    let absent = match Origin::of(parameters) {
        Origin::Number(text) => Some(Amount::Fixed(Fixed::from_f64(parse_double(text)))),
        Origin::Try => None,
        Origin::Set => return Some(reset(parameters, key, Counter::Double(number))),
    };
    let amount = Amount::Fixed(number);
    Some(add(parameters, key, amount, absent, Answer::Double))
}

fn reset<'a>(parameters: &Parameters<'a>, key: &'a [u8], counter: Counter) -> Action<'a> {
    Action::Reset {
        key,
        counter,
        expiry: parameters.expiry(),
    }
}

fn add<'a>(
    parameters: &Parameters<'a>,
    key: &'a [u8],
    amount: Amount,
    absent: Option<Amount>,
    answer: Answer,
) -> Action<'a> {
    let command = Command::Add {
        key,
        amount,
        absent,
        expiry: ExpirySet::At(parameters.expiry()),
    };
    Action::Call(command, answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call<'a>(columns: &'a mut Columns, procedure: &str, query: &str) -> Call<'a> {
        *columns = read(query.as_bytes(), None, b"").unwrap();
        let procedure = Procedure::from_name(procedure.as_bytes()).unwrap();
        assert_eq!(
            Procedure::from_name(procedure.name().as_bytes()),
            Some(procedure)
        );
        translate(procedure, columns, 100_700)
    }

    #[test]
    fn a_missing_parameter_is_refused() {
        let mut columns = Columns::default();
        for procedure in [
            "set",
            "add",
            "replace",
            "append",
            "increment",
            "increment_double",
            "cas",
            "remove",
            "get",
            "check",
            "seize",
            "match_prefix",
            "match_regex",
            "match_similar",
        ] {
            let refused = Action::Refuse(Refusal::Parameters);
            assert_eq!(call(&mut columns, procedure, "").action, refused);
        }
        for procedure in ["set_bulk", "get_bulk", "remove_bulk", "status", "vacuum"] {
            let refused = Action::Refuse(Refusal::Parameters);
            assert_ne!(call(&mut columns, procedure, "").action, refused);
        }
    }

    #[test]
    fn an_expiry_is_seconds_from_now_or_of_the_epoch() {
        let mut columns = Columns::default();
        for (xt, expected) in [
            ("", 0),
            ("&xt=0", 101_000),
            ("&xt=60x", 161_000),
            ("&xt=-7", 8_000),
        ] {
            let query = format!("key=k&value=v{xt}");
            match call(&mut columns, "set", &query).action {
                Action::Call(Command::Put { expiry, .. }, Answer::Nothing) => {
                    assert_eq!(expiry, ExpirySet::At(expected));
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn bodies_count_only_with_their_content_type() {
        let check = |content_type: &str, body: &str, expected: Option<&[u8]>| {
            let content_type = Some(content_type.as_bytes());
            let columns = read(b"a=1", content_type, body.as_bytes()).unwrap();
            assert_eq!(columns.get(b"b"), expected, "{content_type:?}");
        };
        check("text/plain", "b=2", None);
        check(
            "Application/X-WWW-form-urlencoded; charset=x",
            "b=2",
            Some(b"2"),
        );
        check(
            "TEXT/tab-separated-values",
            "b\t2\tx\r\nnothing",
            Some(b"2\tx"),
        );
        check(
            "text/tab-separated-values; colenc=B",
            "Yg==\tMg==",
            Some(b"2"),
        );
    }
}
