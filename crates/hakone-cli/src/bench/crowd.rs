//! `hakone bench crowd`: many connections that idle, dribble or do not read, and what the others
//! notice of them.

use super::generator::{Generator, Until};
use super::peers::Server;
use super::process;
use super::wire::Protocol;
use super::workload::{Ask, Random, Source, Workload};
use super::{Servers, faults, of, print};
use crate::failure::{Failure, Outcome, Result};
use clap::ValueEnum;
use hakone_client::Address;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Records in the server: few, so that the connections are what is measured.
const RECORDS: u64 = 10_000;

/// Requests of one slow reader: half a megabyte of replies.
const REQUESTS_UNREAD: u64 = 5000;

/// How often each slow peer moves.
const STEP: Duration = Duration::from_secs(1);

/// Connect many idle and many slow peers, and print what each costs and what the others notice.
///
/// First the active connections alone, then beside idle ones, with the memory that one of these
/// takes; then for each protocol beside slow senders (a request that comes a byte a second) and
/// slow readers (5000 requests at once, of whose replies a byte a second is read; first while the
/// server answers them, then while it waits for them). Latencies are those of the active
/// connections. Exit status: 0, or 2 if something failed, an answer was wrong
/// or a peer could not connect.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  hakone bench crowd
  hakone bench crowd --idle 1000 --slow 200 --seconds 0.5 --kind hash")]
pub(super) struct Args {
    #[command(flatten)]
    servers: Servers,
    /// Connections that have asked once and then say nothing
    #[arg(long, value_name = "N", default_value = "10000")]
    idle: usize,
    /// Connections that ask all the time
    #[arg(long, value_name = "N", default_value = "200")]
    active: usize,
    /// Slow senders, and as many slow readers, of each protocol
    #[arg(long, value_name = "N", default_value = "2000")]
    slow: usize,
    /// How long each step is measured, in seconds
    #[arg(long, value_name = "S", default_value = "5")]
    seconds: f64,
}

pub(super) fn run(args: &Args) -> Result<Outcome> {
    let time = Duration::try_from_secs_f64(args.seconds)
        .map_err(|_| Failure::new("--seconds must be a time"))?;
    let ground = args.servers.ground()?;
    let mut servers: Vec<Server> = Vec::new();
    for named in &args.servers.server {
        let protocol = named.protocol.unwrap_or(args.servers.protocol);
        servers.push(Server::running(named.address.clone(), protocol));
    }
    for program in args.servers.programs() {
        servers.push(ground.start(program)?);
    }
    let mut faults = 0;
    for server in &servers {
        faults += one(server, args, time)?;
    }
    if faults > 0 {
        return Err(Failure::new(format_args!(
            "{faults} answers were wrong, missing or errors"
        )));
    }
    Ok(Outcome::Done)
}

/// Who is there beside the active connections.
#[derive(Clone, Copy, Debug)]
enum Peers {
    Senders,
    Readers,
}

fn one(server: &Server, args: &Args, time: Duration) -> Result<u64> {
    let workload = Workload::new(100);
    let mut faults = super::load::fill(server, &workload, RECORDS, 16, 16)?.faults(server);
    print(&format!(
        "{}, {} active connections, pipeline 1, 90 % reads\n",
        server.name, args.active
    ))?;
    faults += measure(server, args.active, &workload, time, "alone")?;

    let memory = || server.pid.and_then(process::memory).map(|m| m.resident);
    let before = memory();
    let mut idle = Vec::with_capacity(args.idle);
    for _ in 0..args.idle {
        idle.push(ask_once(server, &workload)?);
    }
    if let (Some(before), Some(after)) = (before, memory()) {
        let each = after.saturating_sub(before) as f64 / args.idle.max(1) as f64;
        print(&format!(
            "  {} idle connections take {each:.0} bytes of memory each\n",
            args.idle
        ))?;
    }
    faults += measure(server, args.active, &workload, time, "beside the idle ones")?;
    drop(idle);

    for &protocol in Protocol::value_variants() {
        for peers in [Peers::Senders, Peers::Readers] {
            let crowd = connect(server, protocol, peers, args.slow, &workload)?;
            let text = match peers {
                Peers::Senders => "slow senders",
                Peers::Readers => "slow readers",
            };
            let text = format!("{} {text} of {protocol:?}", crowd.len());
            let stop = AtomicBool::new(false);
            faults += std::thread::scope(|scope| {
                let slow = scope.spawn(|| dribble(crowd, peers, protocol, &workload, &stop));
                let measure = |text: &str| measure(server, args.active, &workload, time, text);
                let mut measured = Ok(0);
                if let Peers::Readers = peers {
                    measured = measure(&format!("while {text} are answered"));
                    settle(server);
                }
                let measured =
                    measured.and_then(|faults| Ok(faults + measure(&format!("beside {text}"))?));
                stop.store(true, Ordering::Relaxed);
                let panicked = |_| Failure::new("a thread panicked");
                let cut = slow.join().map_err(panicked)?;
                if cut > 0 {
                    print(&format!("    the server has cut {cut} of them off\n"))?;
                }
                measured
            })?;
        }
    }
    Ok(faults)
}

/// Waits until the server has done what was asked of it: it uses less than a tenth of a core.
fn settle(server: &Server) {
    let pause = Duration::from_millis(200);
    for _ in 0..300 {
        let cpu = || server.pid.and_then(process::cpu_micros).unwrap_or(0.0);
        let before = cpu();
        std::thread::sleep(pause);
        if (cpu() - before) / 1e6 < pause.as_secs_f64() / 10.0 {
            return;
        }
    }
}

/// Runs the active connections, and prints what they notice.
fn measure(
    server: &Server,
    active: usize,
    workload: &Workload,
    time: Duration,
    text: &str,
) -> Result<u64> {
    let mut generator = Generator::connect(&server.address, server.protocol, active, 1, workload)
        .map_err(|failure| of(server, failure))?;
    let mut source = Source::Mixed {
        keys_count: RECORDS,
        gets_percent: 90,
        random: Random::new(1),
    };
    let counts = generator
        .run(&mut source, Until::Time(time / 10))
        .and_then(|_| generator.run(&mut source, Until::Time(time)))
        .map_err(|failure| of(server, failure))?;
    let millis = |permille| counts.latency.permille(permille) as f64 / 1e6;
    print(&format!(
        "  {text:<52} {:>8.0}/s  p50 {:.2} ms  p99 {:.2} ms  p99.9 {:.2} ms\n",
        counts.requests as f64 / counts.elapsed.as_secs_f64(),
        millis(500),
        millis(990),
        millis(999),
    ))?;
    Ok(faults(server, &counts))
}

fn stream(server: &Server) -> Result<TcpStream> {
    let Address::Tcp { host, port } = &server.address else {
        return Err(Failure::new("a crowd needs a TCP address"));
    };
    TcpStream::connect((host.as_str(), *port)).map_err(|error| {
        Failure::new(format_args!(
            "cannot connect to {}: {error}",
            server.address
        ))
    })
}

/// A connection that has asked and been answered.
fn ask_once(server: &Server, workload: &Workload) -> Result<TcpStream> {
    let mut connection = stream(server)?;
    let mut request = Vec::new();
    server.protocol.write(Ask::Get(0), workload, &mut request);
    let mut reply = [0; 4096];
    let count = connection
        .write_all(&request)
        .and_then(|()| connection.read(&mut reply))
        .map_err(|error| Failure::new(format_args!("{}: {error}", server.name)))?;
    if count == 0 {
        return Err(Failure::new(format_args!("{} has closed", server.name)));
    }
    Ok(connection)
}

fn connect(
    server: &Server,
    protocol: Protocol,
    peers: Peers,
    count: usize,
    workload: &Workload,
) -> Result<Vec<TcpStream>> {
    let mut request = Vec::new();
    if let Peers::Readers = peers {
        for number in 0..REQUESTS_UNREAD {
            protocol.write(Ask::Get(number % RECORDS), workload, &mut request);
        }
    }
    let mut crowd = Vec::with_capacity(count);
    for _ in 0..count {
        let mut connection = stream(server)?;
        connection
            .set_nonblocking(true)
            .map_err(|error| Failure::new(format_args!("cannot set up a socket: {error}")))?;
        // As much as the server takes: it may well stop reading.
        let _ = connection.write(&request);
        crowd.push(connection);
    }
    Ok(crowd)
}

/// Moves each peer by a byte a second until told to stop. Returns how many were cut off.
fn dribble(
    mut crowd: Vec<TcpStream>,
    peers: Peers,
    protocol: Protocol,
    workload: &Workload,
    stop: &AtomicBool,
) -> usize {
    let mut request = Vec::new();
    protocol.write(Ask::Set(0), workload, &mut request);
    let count = crowd.len();
    let mut step = 0;
    while !stop.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let per_pause = (crowd.len() / 20).max(1);
        let mut kept = Vec::with_capacity(crowd.len());
        for (i, mut connection) in crowd.into_iter().enumerate() {
            let moved = match peers {
                Peers::Senders => connection.write(&request[step % request.len()..][..1]),
                Peers::Readers => connection.read(&mut [0; 1]),
            };
            let gone = match moved {
                Ok(count) => count == 0,
                Err(error) => error.kind() != ErrorKind::WouldBlock,
            };
            if !gone {
                kept.push(connection);
            }
            // Spread over the second, as so many peers would be.
            if i % per_pause == per_pause - 1 && !stop.load(Ordering::Relaxed) {
                std::thread::sleep(STEP / 20);
            }
        }
        crowd = kept;
        step += 1;
        if crowd.is_empty() {
            break;
        }
        std::thread::sleep(STEP.saturating_sub(begun.elapsed()).min(STEP / 20));
    }
    count - crowd.len()
}
