//! The configuration: what the server is told by flags, environment and file, in that order.

mod database;
mod values;

pub use database::{DatabaseForm, DatabaseSpec};
pub use values::{ByteSize, DurabilityLevel, Endpoint, HttpDialect, InvalidValue, LogLevel, Place};

use crate::ServeError;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// Where the server listens unless told otherwise.
const LISTEN_DEFAULT: &str = "127.0.0.1:1978";

/// What one source says: each option, or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The directory of the cabinet.
    pub data: Option<PathBuf>,
    /// Where to listen.
    pub listen: Option<Vec<Endpoint>>,
    /// Where to serve operators.
    pub admin: Option<Endpoint>,
    /// The file with further settings; not allowed in that file itself.
    #[serde(skip)]
    pub config: Option<PathBuf>,
    /// The databases, database 0 first.
    pub database: Option<Vec<DatabaseSpec>>,
    /// When a write is acknowledged.
    pub durability: Option<DurabilityLevel>,
    /// The dialect of requests of HTTP that do not tell it themselves.
    pub http: Option<HttpDialect>,
    /// Memory to use.
    pub memory: Option<ByteSize>,
    /// The log file.
    pub log: Option<PathBuf>,
    /// How much is logged.
    pub log_level: Option<LogLevel>,
    /// Worker threads.
    pub threads: Option<usize>,
}

/// What the server does, every option decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The directory of the cabinet.
    pub data: PathBuf,
    /// Where to listen; port 0 takes any free port.
    pub listen: Vec<Endpoint>,
    /// Where to serve operators, if anywhere.
    pub admin: Option<Endpoint>,
    /// The databases, database 0 first.
    pub databases: Vec<DatabaseSpec>,
    /// When a write is acknowledged.
    pub durability: DurabilityLevel,
    /// The dialect of requests of HTTP that do not tell it themselves.
    pub http: HttpDialect,
    /// Memory to use in bytes; `None`: half of what there is.
    pub memory_bytes: Option<u64>,
    /// The log file; `None`: standard error.
    pub log: Option<PathBuf>,
    /// How much is logged.
    pub log_level: LogLevel,
    /// Worker threads; `None`: one a core.
    pub threads: Option<usize>,
}

impl Config {
    /// The configuration that these flags, the process' environment and the file that either of
    /// them names give together.
    ///
    /// # Errors
    /// `Usage` for a value that means nothing, `Start` for a file that cannot be read.
    pub fn gather(flags: Settings) -> Result<Config, ServeError> {
        let environment = Settings::from_environment(|name| std::env::var(name).ok())?;
        let settings = flags.or(environment);
        let file = match &settings.config {
            Some(path) => Settings::from_file(path)?,
            None => Settings::default(),
        };
        settings.or(file).decide()
    }
}

impl Settings {
    /// These settings, those of `weaker` where these say nothing.
    #[must_use]
    pub fn or(self, weaker: Settings) -> Settings {
        Settings {
            data: self.data.or(weaker.data),
            listen: self.listen.or(weaker.listen),
            admin: self.admin.or(weaker.admin),
            config: self.config.or(weaker.config),
            database: self.database.or(weaker.database),
            durability: self.durability.or(weaker.durability),
            http: self.http.or(weaker.http),
            memory: self.memory.or(weaker.memory),
            log: self.log.or(weaker.log),
            log_level: self.log_level.or(weaker.log_level),
            threads: self.threads.or(weaker.threads),
        }
    }

    /// The configuration, defaults where nothing is said.
    ///
    /// # Errors
    /// `Usage` where settings contradict one another.
    pub fn decide(self) -> Result<Config, ServeError> {
        let databases = match self.database {
            Some(databases) if !databases.is_empty() => databases,
            _ => vec![DatabaseSpec::tree("default")],
        };
        for (index, database) in databases.iter().enumerate() {
            if databases[..index].iter().any(|d| d.name == database.name) {
                let text = format!("database {} is given twice", database.name);
                return Err(ServeError::Usage(text));
            }
        }
        let listen = match self.listen {
            Some(listen) if !listen.is_empty() => listen,
            _ => vec![parse("listen", LISTEN_DEFAULT)?],
        };
        if self.threads == Some(0) {
            return Err(ServeError::Usage("threads must be at least 1".to_owned()));
        }
        if let Some(admin) = &self.admin
            && admin.protocol.is_some()
        {
            let text = format!("admin address {admin} must not name a protocol");
            return Err(ServeError::Usage(text));
        }
        Ok(Config {
            data: self.data.unwrap_or_else(|| PathBuf::from("hakone-data")),
            listen,
            admin: self.admin,
            databases,
            durability: self.durability.unwrap_or_default(),
            http: self.http.unwrap_or_default(),
            memory_bytes: self.memory.map(|size| size.0),
            log: self.log,
            log_level: self.log_level.unwrap_or_default(),
            threads: self.threads,
        })
    }

    /// What the variables `HAKONE_DATA`, `HAKONE_LISTEN` and so on say; `variable` looks one up.
    /// Lists are separated by blanks. An empty variable says nothing.
    ///
    /// # Errors
    /// `Usage` for a value that means nothing.
    pub fn from_environment(
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Settings, ServeError> {
        let look_up = |name: &str| variable(name).filter(|text| !text.trim().is_empty());
        Ok(Settings {
            data: look_up("HAKONE_DATA").map(PathBuf::from),
            listen: list("HAKONE_LISTEN", look_up("HAKONE_LISTEN"))?,
            admin: one("HAKONE_ADMIN", look_up("HAKONE_ADMIN"))?,
            config: look_up("HAKONE_CONFIG").map(PathBuf::from),
            database: list("HAKONE_DATABASE", look_up("HAKONE_DATABASE"))?,
            durability: one("HAKONE_DURABILITY", look_up("HAKONE_DURABILITY"))?,
            http: one("HAKONE_HTTP", look_up("HAKONE_HTTP"))?,
            memory: one("HAKONE_MEMORY", look_up("HAKONE_MEMORY"))?,
            log: look_up("HAKONE_LOG").map(PathBuf::from),
            log_level: one("HAKONE_LOG_LEVEL", look_up("HAKONE_LOG_LEVEL"))?,
            threads: one("HAKONE_THREADS", look_up("HAKONE_THREADS"))?,
        })
    }

    /// What a TOML file says.
    ///
    /// # Errors
    /// `Start` if it cannot be read, `Usage` if it cannot be understood.
    fn from_file(path: &Path) -> Result<Settings, ServeError> {
        let text = std::fs::read_to_string(path).map_err(|error| {
            ServeError::Start(format!(
                "cannot read configuration {}: {error}",
                path.display()
            ))
        })?;
        Settings::from_toml(&text).map_err(|error| {
            ServeError::Usage(format!("configuration {}: {error}", path.display()))
        })
    }

    fn from_toml(text: &str) -> Result<Settings, toml::de::Error> {
        toml::from_str(text)
    }
}

fn parse<T: FromStr<Err: std::fmt::Display>>(name: &str, text: &str) -> Result<T, ServeError> {
    text.trim()
        .parse()
        .map_err(|error| ServeError::Usage(format!("{name}: {error}")))
}

fn one<T: FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<String>,
) -> Result<Option<T>, ServeError> {
    text.map(|text| parse(name, &text)).transpose()
}

fn list<T: FromStr<Err: std::fmt::Display>>(
    name: &str,
    text: Option<String>,
) -> Result<Option<Vec<T>>, ServeError> {
    let Some(text) = text else { return Ok(None) };
    text.split_whitespace()
        .map(|text| parse(name, text))
        .collect::<Result<_, _>>()
        .map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let flags = Settings {
            data: Some(PathBuf::from("/flag")),
            ..Settings::default()
        };
        let environment = Settings::from_environment(|name| {
            let text = match name {
                "HAKONE_DATA" => "/environment",
                "HAKONE_LISTEN" => "127.0.0.1:1  redis://[::1]:2",
                "HAKONE_THREADS" => "3",
                "HAKONE_LOG" => "",
                "HAKONE_HTTP" => "tyrant",
                _ => return None,
            };
            Some(text.to_owned())
        });
        let file = Settings::from_toml(
            "data = '/file'\nthreads = 4\nmemory = '2MiB'\nlog = '/log'\nlog-level = 'warn'\n\
             durability = 'commit'\nhttp = 'tycoon'\ndatabase = ['a=hash,memory=true', 'b=tree,comparator=int64']\n",
        );
        let config = flags.or(environment.unwrap()).or(file.unwrap());
        let config = config.decide().unwrap();
        assert_eq!(config.data, PathBuf::from("/flag"));
        assert_eq!(config.threads, Some(3));
        assert_eq!(config.memory_bytes, Some(2 << 20));
        assert_eq!(config.log, Some(PathBuf::from("/log")));
        assert_eq!(config.log_level, LogLevel::Warn);
        assert_eq!(config.durability, DurabilityLevel::Commit);
        assert_eq!(config.http, HttpDialect::Tyrant);
        let listen: Vec<_> = config.listen.iter().map(|e| e.to_string()).collect();
        assert_eq!(listen, ["127.0.0.1:1", "redis://[::1]:2"]);
        let databases: Vec<_> = config.databases.iter().map(|d| d.to_string()).collect();
        assert_eq!(databases, ["a=hash,memory=true", "b=tree,comparator=int64"]);
    }

    #[test]
    fn with_nothing_said_one_tree_is_served_on_loopback() {
        let config = Settings::default().decide().unwrap();
        assert_eq!(config.data, PathBuf::from("hakone-data"));
        assert_eq!(config.listen[0].to_string(), "127.0.0.1:1978");
        assert_eq!(config.databases[0].to_string(), "default=tree");
        assert_eq!(config.durability, DurabilityLevel::Interval);
        assert_eq!(config.http, HttpDialect::Tycoon);
        assert_eq!(config.admin, None);
    }

    #[test]
    fn contradictions_and_unknown_names_are_wrong_usage() {
        let check = |settings: Settings, expected: &str| {
            let error = settings.decide().unwrap_err();
            assert_eq!(error.exit_status(), 2);
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(
            Settings {
                database: Some(vec![DatabaseSpec::tree("a"), DatabaseSpec::tree("a")]),
                ..Settings::default()
            },
            "given twice",
        );
        check(
            Settings {
                threads: Some(0),
                ..Settings::default()
            },
            "threads",
        );
        check(
            Settings {
                admin: Some("redis://127.0.0.1:1".parse().unwrap()),
                ..Settings::default()
            },
            "admin",
        );
        for text in [
            "color = 1",
            "config = 'x'",
            "threads = 'many'",
            "http = 'gopher'",
        ] {
            assert!(Settings::from_toml(text).is_err(), "{text}");
        }
    }
}
