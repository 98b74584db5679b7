//! The values that options take, as they are written and as they are meant.

use hakone::{DatabaseOptions, Durability, Kind};
use hakone_wire::Protocol;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Why a text is no such value: a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue(String);

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidValue {}

/// Where a listener listens, and for what: `[PROTO://]HOST:PORT` or `[PROTO://]unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Endpoint {
    /// The only protocol it speaks; `None` where the first bytes tell.
    pub protocol: Option<Protocol>,
    /// The address.
    pub place: Place,
}

/// An address to listen on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A host (a name, an IPv4 address or an IPv6 address in brackets) and a port.
    Tcp(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl FromStr for Endpoint {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<Endpoint, InvalidValue> {
        let (protocol, address) = match text.split_once("://") {
            None => (None, text),
            Some((name, address)) => {
                let known = Protocol::from_name(name)
                    .or_else(|| (name == "resp").then_some(Protocol::Resp))
                    .ok_or_else(|| {
                        let names = Protocol::ALL.iter().map(|protocol| protocol.name());
                        let names: Vec<&str> = names.collect();
                        let names = names.join(", ");
                        InvalidValue(format!("`{name}` is no protocol, there are {names}"))
                    })?;
                (Some(known), address)
            }
        };
        let place = if let Some(path) = address.strip_prefix("unix:") {
            if path.is_empty() {
                return Err(InvalidValue(format!("`{text}` lacks the socket's path")));
            }
            Place::Unix(PathBuf::from(path))
        } else {
            let valid = address
                .rsplit_once(':')
                .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
            if !valid {
                return Err(InvalidValue(format!(
                    "`{text}` is no address, use HOST:PORT or unix:PATH"
                )));
            }
            Place::Tcp(address.to_owned())
        };
        Ok(Endpoint { protocol, place })
    }
}

impl TryFrom<String> for Endpoint {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<Endpoint, InvalidValue> {
        text.parse()
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(protocol) = self.protocol {
            write!(f, "{}://", protocol.name())?;
        }
        match &self.place {
            Place::Tcp(address) => f.write_str(address),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A database to serve: `NAME=KIND[,option=value]...`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct DatabaseSpec {
    /// Its name.
    pub name: String,
    /// How it is made.
    pub options: DatabaseOptions,
}

/// Kinds that the design names and a later version brings.
const KINDS_LATER: [&str; 4] = ["array", "table", "queue", "cache"];

/// Bytes of a database's name: it stands in catalogues, reports and commands.
const NAME_BYTES_MAX: usize = 255;

impl DatabaseSpec {
    /// A tree on file.
    pub fn tree(name: &str) -> DatabaseSpec {
        DatabaseSpec {
            name: name.to_owned(),
            options: DatabaseOptions::new(Kind::Tree),
        }
    }
}

impl FromStr for DatabaseSpec {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<DatabaseSpec, InvalidValue> {
        let wrong = |why: String| InvalidValue(format!("database `{text}`: {why}"));
        let Some((name, rest)) = text.split_once('=') else {
            return Err(wrong("use NAME=KIND[,option=value]...".to_owned()));
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(plain) {
            return Err(wrong(
                "a name consists of letters, digits, `-`, `_` and `.`".to_owned(),
            ));
        }
        let mut parts = rest.split(',');
        let word = parts.next().unwrap_or_default();
        let kind = Kind::from_name(word).ok_or_else(|| {
            wrong(if KINDS_LATER.contains(&word) {
                format!("kind {word} is not yet in this version, use hash or tree")
            } else {
                format!("`{word}` is no kind, use hash or tree")
            })
        })?;
        let mut memory = false;
        for option in parts {
            match option.split_once('=') {
                Some(("memory", "true")) => memory = true,
                Some(("memory", "false")) => memory = false,
                Some(("memory", value)) => {
                    return Err(wrong(format!("memory is true or false, not `{value}`")));
                }
                Some(("max", _)) => {
                    return Err(wrong("option max is not yet in this version".to_owned()));
                }
                _ => return Err(wrong(format!("`{option}` is no option of a database"))),
            }
        }
        Ok(DatabaseSpec {
            name: name.to_owned(),
            options: DatabaseOptions {
                memory,
                ..DatabaseOptions::new(kind)
            },
        })
    }
}

impl TryFrom<String> for DatabaseSpec {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<DatabaseSpec, InvalidValue> {
        text.parse()
    }
}

impl fmt::Display for DatabaseSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.options.kind.name())?;
        if self.options.memory {
            f.write_str(",memory=true")?;
        }
        Ok(())
    }
}

/// When a write is acknowledged, by its word: `process`, `interval` or `commit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum DurabilityLevel {
    /// Once it survives the death of the process.
    Process,
    /// As `Process`, and it is on the disk within 100 ms.
    #[default]
    Interval,
    /// Once it is on the disk.
    Commit,
}

impl DurabilityLevel {
    /// The store's word for it.
    pub fn durability(self) -> Durability {
        match self {
            DurabilityLevel::Process => Durability::Process,
            DurabilityLevel::Interval => Durability::Interval,
            DurabilityLevel::Commit => Durability::Commit,
        }
    }
}

impl FromStr for DurabilityLevel {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<DurabilityLevel, InvalidValue> {
        match text {
            "process" => Ok(DurabilityLevel::Process),
            "interval" => Ok(DurabilityLevel::Interval),
            "commit" => Ok(DurabilityLevel::Commit),
            _ => Err(InvalidValue(format!(
                "`{text}` is no level, use process, interval or commit"
            ))),
        }
    }
}

impl TryFrom<String> for DurabilityLevel {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<DurabilityLevel, InvalidValue> {
        text.parse()
    }
}

impl fmt::Display for DurabilityLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            DurabilityLevel::Process => "process",
            DurabilityLevel::Interval => "interval",
            DurabilityLevel::Commit => "commit",
        })
    }
}

/// The dialect of requests of HTTP that do not tell it themselves, by its word: `tyrant` or
/// `tycoon`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum HttpDialect {
    /// Tokyo Tyrant's.
    Tyrant,
    /// Kyoto Tycoon's.
    #[default]
    Tycoon,
}

impl FromStr for HttpDialect {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<HttpDialect, InvalidValue> {
        match text {
            "tyrant" => Ok(HttpDialect::Tyrant),
            "tycoon" => Ok(HttpDialect::Tycoon),
            _ => Err(InvalidValue(format!(
                "`{text}` is no dialect of HTTP, use tyrant or tycoon"
            ))),
        }
    }
}

impl TryFrom<String> for HttpDialect {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<HttpDialect, InvalidValue> {
        text.parse()
    }
}

/// How much is logged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum LogLevel {
    /// What failed.
    Error,
    /// And what may soon fail.
    Warn,
    /// And starts and stops.
    #[default]
    Info,
    /// And each connection.
    Debug,
    /// Everything.
    Trace,
}

impl FromStr for LogLevel {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<LogLevel, InvalidValue> {
        match text {
            "error" => Ok(LogLevel::Error),
            "warn" => Ok(LogLevel::Warn),
            "info" => Ok(LogLevel::Info),
            "debug" => Ok(LogLevel::Debug),
            "trace" => Ok(LogLevel::Trace),
            _ => Err(InvalidValue(format!(
                "`{text}` is no log level, use error, warn, info, debug or trace"
            ))),
        }
    }
}

impl TryFrom<String> for LogLevel {
    type Error = InvalidValue;

    fn try_from(text: String) -> Result<LogLevel, InvalidValue> {
        text.parse()
    }
}

/// A number of bytes: digits and a unit, powers of 1024: `k`, `m`, `g`, `t`, or with `iB` or `B`
/// behind, in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "SizeForm")]
pub struct ByteSize(pub u64);

/// How a size may stand in TOML.
#[derive(Deserialize)]
#[serde(untagged)]
enum SizeForm {
    Bytes(u64),
    Text(String),
}

impl TryFrom<SizeForm> for ByteSize {
    type Error = InvalidValue;

    fn try_from(form: SizeForm) -> Result<ByteSize, InvalidValue> {
        match form {
            SizeForm::Bytes(bytes) => Ok(ByteSize(bytes)),
            SizeForm::Text(text) => text.parse(),
        }
    }
}

impl FromStr for ByteSize {
    type Err = InvalidValue;

    fn from_str(text: &str) -> Result<ByteSize, InvalidValue> {
        let wrong = || InvalidValue(format!("`{text}` is no size, write it as 512MiB or 4g"));
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
            "" | "b" => 0,
            "k" | "kb" | "kib" => 10,
            "m" | "mb" | "mib" => 20,
            "g" | "gb" | "gib" => 30,
            "t" | "tb" | "tib" => 40,
            _ => return Err(wrong()),
        };
        number
            .checked_mul(1 << shift)
            .map(ByteSize)
            .ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_name_their_protocol_and_place() {
        for text in [
            "127.0.0.1:1978",
            "[::1]:0",
            "localhost:65535",
            "unix:/run/hakone.sock",
            "tyrant://0.0.0.0:1978",
            "redis://unix:relative/path",
        ] {
            let endpoint: Endpoint = text.parse().unwrap();
            assert_eq!(endpoint.to_string(), text);
        }
        let resp: Endpoint = "resp://h:1".parse().unwrap();
        assert_eq!(resp.to_string(), "redis://h:1");
        for text in [
            "",
            "host",
            ":1978",
            "host:99999",
            "host:",
            "unix:",
            "ftp://host:1",
            "h:-1",
        ] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn databases_name_their_kind_and_options() {
        for text in ["a=hash", "a-b_c.9=tree,memory=true"] {
            let spec: DatabaseSpec = text.parse().unwrap();
            assert_eq!(spec.to_string(), text);
        }
        let check = |text: &str, expected: &str| {
            let error = text.parse::<DatabaseSpec>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        for kind in KINDS_LATER {
            check(&format!("a={kind}"), "not yet in this version");
        }
        check("a=hash,max=1g", "not yet in this version");
        check("a=btree", "no kind");
        check("a", "NAME=KIND");
        check("=hash", "letters");
        check("a/b=hash", "letters");
        check("a=hash,memory=yes", "true or false");
        check("a=hash,color=red", "no option");
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        let check = |text: &str, expected: u64| {
            assert_eq!(text.parse(), Ok(ByteSize(expected)), "{text}");
        };
        check("0", 0);
        check("17", 17);
        check("64KiB", 64 << 10);
        check("3m", 3 << 20);
        check("2 GB", 2 << 30);
        check("1T", 1 << 40);
        for text in [
            "",
            "k",
            "1.5g",
            "-1",
            "9x",
            "99999999999999999999",
            "16777216t",
        ] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
    }
}
