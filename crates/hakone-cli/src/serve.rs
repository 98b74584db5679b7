//! `hakone serve`: the flags of the server.

use hakone_server::config::{
    ByteSize, DatabaseSpec, DurabilityLevel, Endpoint, HttpDialect, LogLevel,
};
use hakone_server::{Config, Settings};
use std::path::PathBuf;
use std::process::ExitCode;

/// Serve the databases of a directory to the network
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Each option may also stand in the environment (HAKONE_DATA, HAKONE_LISTEN, ...; those that may be
repeated take several values, separated by blanks) and in the file that --config names (data =
'DIR', listen = ['ADDR'], ...). Flags win over the environment, and that over the file.

Examples:
  hakone serve
      one tree named `default` in ./hakone-data, on 127.0.0.1:1978, every protocol on one port
  hakone serve --data /var/lib/hakone --database sessions=hash --database names=tree
  hakone serve --listen 0.0.0.0:1978 --listen redis://127.0.0.1:6379 --listen unix:/run/hakone.sock
  hakone serve --database cache=hash,memory=true --durability process --admin 127.0.0.1:1979
  hakone serve --database scores=tree,comparator=decimal-reverse,duplicates=true

Orders: bytes, decimal, int32, int64, and bytes-reverse and so on for the greatest first.
Compression: none, lz4, zstd, or zstd-dictionary for many small values alike.

Signals: SIGTERM and SIGINT finish what is in flight, sync and stop; SIGHUP reopens the log file.")]
pub(crate) struct Args {
    /// The directory of the databases, made if there is none [default: ./hakone-data]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Where to listen, HOST:PORT or unix:PATH, with tyrant://, tycoon://, memcached://, http:// or
    /// redis:// in front for only that protocol; may be repeated [default: 127.0.0.1:1978]
    #[arg(long, value_name = "[PROTO://]ADDR")]
    listen: Vec<Endpoint>,
    /// Where to serve operators over HTTP (/healthz, /readyz, /metrics) [default: nowhere]
    #[arg(long, value_name = "ADDR")]
    admin: Option<Endpoint>,
    /// A TOML file with the same options under the same names
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// A database, made if there is none; may be repeated, the first is database 0. KIND is hash,
    /// tree or array; options are memory=true (keep it in memory only), comparator=ORDER and
    /// duplicates=true of a tree, width=BYTES of an array, and compression=METHOD (see below)
    /// [default: default=tree]
    #[arg(long, value_name = "NAME=KIND[,OPTION=VALUE]...")]
    database: Vec<DatabaseSpec>,
    /// When a write is acknowledged: process (it survives the end of the process), interval (and
    /// is on the disk within 100 ms) or commit (once it is on the disk) [default: interval]
    #[arg(long, value_name = "LEVEL")]
    durability: Option<DurabilityLevel>,
    /// Whose requests over HTTP are meant that do not tell it themselves: tyrant or tycoon
    /// [default: tycoon]
    #[arg(long, value_name = "DIALECT")]
    http: Option<HttpDialect>,
    /// Memory to use, such as 512MiB or 4GiB [default: half of what there is]
    #[arg(long, value_name = "SIZE")]
    memory: Option<ByteSize>,
    /// The log file, appended to [default: standard error]
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// How much to log: error, warn, info, debug or trace [default: info]
    #[arg(long, value_name = "LEVEL")]
    log_level: Option<LogLevel>,
    /// Worker threads [default: one a core]
    #[arg(long, value_name = "N")]
    threads: Option<usize>,
}

/// Serves until a signal stops it.
pub(crate) fn run(args: Args) -> ExitCode {
    let some = |list: Vec<_>| (!list.is_empty()).then_some(list);
    let databases = args.database;
    let flags = Settings {
        data: args.data,
        listen: some(args.listen),
        admin: args.admin,
        config: args.config,
        database: (!databases.is_empty()).then_some(databases),
        durability: args.durability,
        http: args.http,
        memory: args.memory,
        log: args.log,
        log_level: args.log_level,
        threads: args.threads,
    };
    let served = Config::gather(flags).and_then(hakone_server::serve);
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "the command's own last word")]
            {
                eprintln!("hakone: {error}");
            }
            ExitCode::from(error.exit_status())
        }
    }
}
