//! `hakone bench load`: many records into an empty server, and what they cost in memory and disk.

use super::generator::{Counts, Generator, Until};
use super::peers::Server;
use super::process::{self, Memory};
use super::report::known;
use super::workload::{Source, Workload};
use super::{Servers, faults, of, print, value_bytes};
use crate::failure::{Failure, Outcome, Result};

/// Requests that the pipelined load sends in one write.
const PIPELINE: usize = 100;

/// Write records into empty servers, read all back, and print time, memory and disk a record.
///
/// Each server is loaded twice, anew each time if it was started here: through one connection that
/// sends 100 requests at once, and through 50 connections that wait for each reply. Memory is what
/// is resident now and was not before; "own" is the part of it that is no mapped file. Exit status:
/// 0, or 2 if something failed or an answer was not right.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone bench load
  hakone bench load --records 20000 --value-bytes 10 --kind hash
  hakone bench load --against redis,memcached")]
pub(super) struct Args {
    #[command(flatten)]
    servers: Servers,
    /// How many records
    #[arg(long, value_name = "N", default_value = "2000000",
          value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    records: u64,
    /// Bytes of each value
    #[arg(long, value_name = "N", default_value = "100", value_parser = value_bytes)]
    value_bytes: usize,
}

/// What a load cost.
#[derive(Debug)]
pub(super) struct Loaded {
    counts: Counts,
    cpu_micros: f64,
    memory: Option<(Memory, Memory)>,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    let workload = Workload::new(args.value_bytes);
    let ground = args.servers.ground()?;
    let mut faults_count = 0;
    for (connections, pipeline) in [(1, PIPELINE), (50, 1)] {
        print(&format!(
            "{} records with values of {} bytes; {connections} connections, pipeline {pipeline}\n",
            args.records, args.value_bytes
        ))?;
        for named in &args.servers.server {
            let protocol = named.protocol.unwrap_or(args.servers.protocol);
            let server = Server::running(named.address.clone(), protocol);
            faults_count += one(&server, &workload, args.records, connections, pipeline)?;
        }
        for program in args.servers.programs() {
            let server = ground.start(program)?;
            faults_count += one(&server, &workload, args.records, connections, pipeline)?;
        }
    }
    if faults_count > 0 {
        return Err(Failure::new(format_args!(
            "{faults_count} answers were wrong, missing or errors"
        )));
    }
    Ok(Outcome::Done)
}

/// Loads one server, prints what it cost, and reads everything back.
fn one(
    server: &Server,
    workload: &Workload,
    records: u64,
    connections: usize,
    pipeline: usize,
) -> Result<u64> {
    let loaded = fill(server, workload, records, connections, pipeline)?;
    print(&loaded.line(server))?;
    let mut all = Source::Gets {
        next: 0,
        end: records,
    };
    let read = Generator::connect(&server.address, server.protocol, 8, 32, workload)
        .and_then(|mut generator| generator.run(&mut all, Until::Empty))
        .map_err(|failure| of(server, failure))?;
    Ok(loaded.faults(server) + faults(server, &read))
}

/// Writes the records from 0 on.
pub(super) fn fill(
    server: &Server,
    workload: &Workload,
    records: u64,
    connections: usize,
    pipeline: usize,
) -> Result<Loaded> {
    let memory = || server.pid.and_then(process::memory);
    let cpu = || server.pid.and_then(process::cpu_micros);
    let mut all = Source::Sets {
        next: 0,
        end: records,
    };
    let mut generator = Generator::connect(
        &server.address,
        server.protocol,
        connections,
        pipeline,
        workload,
    )
    .map_err(|failure| of(server, failure))?;
    let (memory_before, cpu_before) = (memory(), cpu());
    let counts = generator
        .run(&mut all, Until::Empty)
        .map_err(|failure| of(server, failure))?;
    Ok(Loaded {
        counts,
        cpu_micros: match (cpu_before, cpu()) {
            (Some(before), Some(after)) => after - before,
            _ => f64::NAN,
        },
        memory: memory_before.zip(memory()),
    })
}

impl Loaded {
    /// Answers that were not right.
    pub(super) fn faults(&self, server: &Server) -> u64 {
        faults(server, &self.counts)
    }

    /// A line of a report.
    pub(super) fn line(&self, server: &Server) -> String {
        let records = self.counts.requests as f64;
        let grown = |of: fn(&Memory) -> u64| {
            let grown = self
                .memory
                .map(|(before, after)| of(&after).saturating_sub(of(&before)) as f64);
            known(grown.unwrap_or(f64::NAN) / records, 0)
        };
        let disk = server.disk_bytes().map_or(f64::NAN, |bytes| bytes as f64);
        format!(
            "  {:<22} loaded {} records in {:.2} s, {:.0}/s, CPU {} us a record; bytes a record: \
             memory {} (own {}), disk {}\n",
            server.name,
            self.counts.requests,
            self.counts.elapsed.as_secs_f64(),
            records / self.counts.elapsed.as_secs_f64(),
            known(self.cpu_micros / records, 3),
            grown(|memory| memory.resident),
            grown(|memory| memory.anonymous),
            known(disk / records, 0),
        )
    }
}
