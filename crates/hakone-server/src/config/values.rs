//! The values that options take, as they are written and as they are meant.

use hakone::Durability;
use hakone_wire::Protocol;
use serde::Deserialize;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Why a text is no such value: a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue(pub(super) String);

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
