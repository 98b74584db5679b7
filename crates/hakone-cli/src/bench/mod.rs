//! `hakone bench`: the same load on Hakone and its peers, in turns, in one run.

#![expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    reason = "figures for people are far below 2^52, and record numbers are mixed to be cut"
)]

mod crowd;
mod generator;
mod histogram;
mod leash;
mod load;
mod peers;
mod process;
mod report;
mod wire;
mod workload;

use crate::failure::{Failure, Outcome, Result, say};
use generator::{Counts, Generator, Until};
use hakone::Kind;
use hakone::limits::VALUE_BYTES_MAX;
use hakone_client::Address;
use peers::{Ground, Program, Server};
use process::Cores;
use report::{Row, Sample};
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use wire::Protocol;
use workload::{KEY_BYTES, Random, Source, Workload};

/// Put the same load on Hakone and other servers, and print them side by side.
///
/// Starts a Hakone server with one thread on a hash database, and one on a tree, unless --server
/// names servers that run already; and the servers named by --against. All are loaded with the
/// same records and then measured in turns, case by case; figures are medians of the repetitions.
/// With two cores or more, servers are kept on the first and the load on the second.
///
/// CPU us/req is the time that the server's process has used for one request (from /proc): it
/// depends far less than the rate on what else the machine does. Ratios are to the first server,
/// medians of those within each repetition. Faults are answers that were wrong, missing or errors.
/// Exit status: 0, or 2 if something failed or there were faults.
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  hakone bench
  hakone bench --against redis,memcached
  hakone bench --protocol tycoon --against installed
  hakone bench --kind hash --mix 90 --pipeline 1 --keys 10000 --seconds 0.1 --repetitions 1
  hakone bench --server 127.0.0.1:1978 --server redis://127.0.0.1:6379
  hakone bench load
  hakone bench crowd"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    servers: Servers,
    /// Connections at once
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "50")]
    connections: Vec<usize>,
    /// Requests sent in one write, then awaited
    #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1,16")]
    pipeline: Vec<usize>,
    /// Reads among 100 requests; the others are writes
    #[arg(long, value_name = "PERCENT", value_delimiter = ',', default_value = "90,100,0",
          value_parser = clap::value_parser!(u64).range(0..=100))]
    mix: Vec<u64>,
    /// How long each repetition of a case takes, in seconds
    #[arg(
        long,
        value_name = "S",
        default_value = "1",
        conflicts_with = "requests"
    )]
    seconds: f64,
    /// How many requests each repetition of a case takes, in place of --seconds
    #[arg(long, value_name = "N")]
    requests: Option<u64>,
    /// How often each case is measured
    #[arg(long, value_name = "N", default_value = "3",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    repetitions: u32,
    /// Records in each server
    #[arg(long, value_name = "N", default_value = "1000000",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    keys: u64,
    /// Bytes of each value
    #[arg(long, value_name = "N", default_value = "100", value_parser = value_bytes)]
    value_bytes: usize,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Load(load::Args),
    Crowd(crowd::Args),
}

/// Which servers are measured.
#[derive(Clone, Debug, clap::Args)]
struct Servers {
    /// A server that runs already, with redis://, memcached://, tyrant://, tycoon:// or http:// in
    /// front unless --protocol tells; its records may be overwritten [default: none, but start
    /// Hakone]
    #[arg(long, value_name = "[PROTO://]ADDR")]
    server: Vec<Named>,
    /// Start these too, in memory and with one thread, or all of them that are installed
    /// [default: none]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    against: Vec<Against>,
    /// The kinds of database that Hakone is started with
    #[arg(long, value_name = "KIND", value_delimiter = ',', default_value = "hash,tree",
          value_parser = kind)]
    kind: Vec<Kind>,
    /// What Hakone is spoken to with
    #[arg(long, value_name = "PROTO", value_enum, default_value = "redis")]
    protocol: Protocol,
    /// Worker threads of the Hakone server that is started
    #[arg(long, value_name = "N", default_value = "1")]
    threads: usize,
    /// When the Hakone server that is started acknowledges a write: process, interval or commit
    #[arg(long, value_name = "LEVEL", default_value = "interval")]
    durability: String,
    /// Where the servers that are started keep their files [default: the system's temporary
    /// directory]
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// Leave it to the kernel on which cores all run
    #[arg(long)]
    no_pin: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Against {
    /// redis-server, without persistence
    Redis,
    /// memcached
    Memcached,
    /// ttserver on a hash in memory, over Tyrant's protocol
    Ttserver,
    /// ktserver on a hash in memory, over Tycoon's binary protocol
    Ktserver,
    /// Each of them that is installed
    Installed,
}

/// An address with a protocol in front of it.
#[derive(Clone, Debug)]
struct Named {
    protocol: Option<Protocol>,
    address: Address,
}

impl FromStr for Named {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Named, String> {
        let (protocol, address) = match text.split_once("://") {
            None => (None, text),
            Some((scheme, address)) => match Protocol::from_scheme(scheme) {
                None => return Err(format!("{scheme} is no protocol that bench speaks")),
                protocol => (protocol, address),
            },
        };
        let address = address.parse().map_err(|error| format!("{error}"))?;
        Ok(Named { protocol, address })
    }
}

fn kind(name: &str) -> std::result::Result<Kind, String> {
    // An array has no keys of the bench's own making.
    let is_benched = |kind: &Kind| *kind != Kind::Array;
    let kind = Kind::from_name(name).filter(is_benched);
    kind.ok_or_else(|| "write hash or tree".to_owned())
}

fn value_bytes(text: &str) -> std::result::Result<usize, String> {
    let bytes: usize = text.parse().map_err(|_| "write a number".to_owned())?;
    if bytes > VALUE_BYTES_MAX {
        return Err(format!("values have at most {VALUE_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

pub(crate) fn run(args: &Args) -> Result<Outcome> {
    match &args.verb {
        Some(Verb::Load(load)) => load::run(load),
        Some(Verb::Crowd(crowd)) => crowd::run(crowd),
        None => compare(args),
    }
}

impl Servers {
    /// Makes room for the servers, and chooses their core.
    fn ground(&self) -> Result<Ground> {
        let cores = if self.no_pin { None } else { Cores::find() };
        if let Some(cores) = cores {
            process::pin(cores.generator)?;
        }
        process::raise_open_files();
        let parent = self.directory.clone().unwrap_or_else(std::env::temp_dir);
        let durability = self.durability.clone();
        Ground::prepare(&parent, cores, self.protocol, self.threads, durability)
    }

    /// What is to be started, Hakone first.
    fn programs(&self) -> Vec<Program> {
        let mut programs = Vec::new();
        if self.server.is_empty() {
            programs.extend(self.kind.iter().copied().map(Program::Hakone));
        }
        for against in &self.against {
            match against {
                Against::Redis => programs.push(Program::Redis),
                Against::Memcached => programs.push(Program::Memcached),
                Against::Ttserver => programs.push(Program::Ttserver),
                Against::Ktserver => programs.push(Program::Ktserver),
                Against::Installed => programs.extend(peers::installed()),
            }
        }
        programs
    }
}

/// One case: what all servers are measured with, one after the other.
#[derive(Clone, Copy, Debug)]
struct Case {
    connections: usize,
    pipeline: usize,
    gets_percent: u64,
}

fn compare(args: &Args) -> Result<Outcome> {
    let until = match args.requests {
        Some(count) => Until::Requests(count),
        None => Until::Time(
            Duration::try_from_secs_f64(args.seconds)
                .map_err(|_| Failure::new("--seconds must be a time"))?,
        ),
    };
    let workload = Workload::new(args.value_bytes);
    let ground = args.servers.ground()?;
    let mut servers: Vec<Server> = args
        .servers
        .server
        .iter()
        .map(|named| {
            let protocol = named.protocol.unwrap_or(args.servers.protocol);
            Server::running(named.address.clone(), protocol)
        })
        .collect();
    for program in args.servers.programs() {
        servers.push(ground.start(program)?);
    }
    print(&format!(
        "{} records, keys of {KEY_BYTES} bytes, values of {} bytes, chosen uniformly; {}\n",
        args.keys,
        args.value_bytes,
        match ground.cores {
            Some(cores) => format!(
                "servers on core {}, load on core {}",
                cores.servers, cores.generator
            ),
            None => "not kept on cores".to_owned(),
        }
    ))?;
    let mut faults = 0;
    for server in &servers {
        let loaded = load::fill(server, &workload, args.keys, 16, 64)?;
        faults += loaded.faults(server);
        print(&loaded.line(server))?;
    }
    for case in cases(args) {
        let mut rows: Vec<Row> = servers
            .iter()
            .map(|server| Row {
                name: server.name.clone(),
                samples: Vec::new(),
            })
            .collect();
        for repetition in 0..args.repetitions {
            for (server, row) in servers.iter().zip(&mut rows) {
                let seed = u64::from(repetition);
                let sample = measure(server, &workload, args.keys, case, until, seed)?;
                faults += sample.faults;
                row.samples.push(sample);
            }
        }
        let title = format!(
            "\n{} connections, pipeline {}, {} % reads; medians of {}",
            case.connections, case.pipeline, case.gets_percent, args.repetitions
        );
        print(&report::table(&title, &rows))?;
    }
    if faults > 0 {
        return Err(Failure::new(format_args!(
            "{faults} answers were wrong, missing or errors"
        )));
    }
    Ok(Outcome::Done)
}

fn cases(args: &Args) -> Vec<Case> {
    let mut cases = Vec::new();
    for &connections in &args.connections {
        for &pipeline in &args.pipeline {
            cases.extend(args.mix.iter().map(|&gets_percent| Case {
                connections: connections.max(1),
                pipeline: pipeline.max(1),
                gets_percent,
            }));
        }
    }
    cases
}

fn measure(
    server: &Server,
    workload: &Workload,
    keys_count: u64,
    case: Case,
    until: Until,
    seed: u64,
) -> Result<Sample> {
    let mut generator = Generator::connect(
        &server.address,
        server.protocol,
        case.connections,
        case.pipeline,
        workload,
    )
    .map_err(|failure| of(server, failure))?;
    let mut source = Source::Mixed {
        keys_count,
        gets_percent: case.gets_percent,
        random: Random::new(seed),
    };
    // A tenth of the time to warm up: connections accepted, buffers grown.
    let warm_up = match until {
        Until::Time(time) => Until::Time(time / 10),
        Until::Requests(count) => Until::Requests(count / 10),
        Until::Empty => Until::Empty,
    };
    let warmed = generator.run(&mut source, warm_up);
    let cpu = || server.pid.and_then(process::cpu_micros);
    let before = cpu();
    let counts = warmed
        .and_then(|_| generator.run(&mut source, until))
        .map_err(|failure| of(server, failure))?;
    let cpu_micros = match (before, cpu()) {
        (Some(before), Some(after)) => after - before,
        _ => f64::NAN,
    };
    Ok(sample(server, &counts, cpu_micros))
}

fn sample(server: &Server, counts: &Counts, cpu_micros: f64) -> Sample {
    let seconds = counts.elapsed.as_secs_f64();
    let micros = |permille| counts.latency.permille(permille) as f64 / 1e3;
    Sample {
        requests_per_second: counts.requests as f64 / seconds,
        p50_us: micros(500),
        p99_us: micros(990),
        p999_us: micros(999),
        cpu_us: cpu_micros / counts.requests as f64,
        busy_percent: cpu_micros / seconds / 1e4,
        faults: faults(server, counts),
    }
}

/// Counts what was answered wrongly, and tells of errors.
fn faults(server: &Server, counts: &Counts) -> u64 {
    if let Some(refusal) = &counts.refusal {
        say(&format!("hakone: {} answered: {refusal}", server.name));
    }
    counts.wrong + counts.missing + counts.refused
}

fn of(server: &Server, failure: Failure) -> Failure {
    match failure {
        Failure::Message(message) => Failure::Message(format!("{}: {message}", server.name)),
        Failure::OutputClosed => Failure::OutputClosed,
    }
}

fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .map_err(|error| Failure::output("standard output", &error))
}
