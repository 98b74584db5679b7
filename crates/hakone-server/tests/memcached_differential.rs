//! The same bytes to a real memcached and to the service: the same bytes must come back. What
//! differs on purpose is asked too, and stands here with both answers' reason.

#![expect(clippy::unwrap_used, reason = "a failing test may panic")]

mod exchanges;
mod peer;
mod random;
mod support;

use exchanges::{exchanges, fill, mask, show};
use hakone::Kind;
use hakone_server::Protocol;
use peer::Peer;
use random::Random;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::Server;

/// A memcached of Debian, gone when dropped.
struct Memcached(Peer);

/// How long anything may take before it counts as never.
const PATIENCE: Duration = Duration::from_secs(20);

impl Memcached {
    /// Starts one that takes values as large as ours, `None` where there is none to start.
    fn start(name: &str) -> Option<Memcached> {
        let mut peer = Peer::start(&format!("memcached-{name}"), |directory| {
            let mut command = Command::new("memcached");
            command
                .args(["-U", "0", "-u", "root", "-I", "32m", "-m", "256", "-s"])
                .arg(directory.join("socket"))
                .stdout(Stdio::null());
            command
        })?;
        let deadline = Instant::now() + PATIENCE;
        while UnixStream::connect(peer.socket()).is_err() {
            let ended = peer.child.try_wait().unwrap();
            assert!(ended.is_none(), "memcached ended: {ended:?}");
            assert!(Instant::now() < deadline, "memcached does not listen");
            std::thread::yield_now();
        }
        Some(Memcached(peer))
    }

    /// What comes back for these bytes on a connection of their own.
    fn ask(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = UnixStream::connect(self.0.socket()).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        // Where it closes before all is sent, the rest of it fails.
        let sent = stream.write_all(request).is_ok();
        let _ = sent && stream.shutdown(Shutdown::Write).is_ok();
        let mut reply = Vec::new();
        let ended = stream.read_to_end(&mut reply);
        assert!(ended.is_ok() || !sent, "no end to {}", show(&reply));
        reply
    }
}

/// Both servers, and the cas unique that each has told last.
struct Both<'s> {
    theirs: &'s Memcached,
    ours: &'s Server,
    protocol: Option<Protocol>,
    cas: [Vec<u8>; 2],
    count: usize,
}

impl<'s> Both<'s> {
    fn new(theirs: &'s Memcached, ours: &'s Server) -> Both<'s> {
        let cas = [b"7".to_vec(), b"7".to_vec()];
        let (protocol, count) = (Some(Protocol::Memcached), 0);
        Both {
            theirs,
            ours,
            protocol,
            cas,
            count,
        }
    }

    /// Both answers, in that order.
    fn ask(&mut self, request: &[u8]) -> [Vec<u8>; 2] {
        self.count += 1;
        let theirs = self.theirs.ask(&fill(request, &self.cas[0]));
        let mut connection = self.ours.connect_to(self.protocol);
        let ours = connection.send_at(hakone::now(), &fill(request, &self.cas[1]));
        let mut answers = [theirs, ours];
        for (answer, cas) in answers.iter_mut().zip(&mut self.cas) {
            if let Some(last) = mask(answer) {
                *cas = last;
            }
        }
        answers
    }

    fn check(&mut self, request: &[u8]) {
        let [theirs, ours] = self.ask(request);
        assert_eq!(
            show(&ours),
            show(&theirs),
            "number {}: {}",
            self.count,
            show(request)
        );
    }
}

#[test]
fn exchanges_are_answered_as_memcached_answers_them() {
    let Some(memcached) = Memcached::start("lines") else {
        println!("SKIPPED: there is no memcached on this machine to compare with");
        return;
    };
    let mut count = 0;
    for (kind, memory) in [(Kind::Hash, true), (Kind::Tree, false)] {
        let server = Server::new(kind, memory);
        let mut both = Both::new(&memcached, &server);
        for (request, captured) in exchanges() {
            let [theirs, ours] = both.ask(&request);
            assert_eq!(show(&ours), show(&theirs), "{}", show(&request));
            assert_eq!(show(&captured), show(&theirs), "{}", show(&request));
        }
        // The longest key, one that is longer, and many keys.
        let key = |bytes: usize| "k".repeat(bytes);
        let (longest, longer) = (key(250), key(251));
        both.check(format!("set {longest} 0 0 1\r\n1\r\nget {longest}\r\n").as_bytes());
        for verb in ["get", "get a", "gets a b", "gat 0", "delete"] {
            both.check(format!("{verb} {longer}\r\n").as_bytes());
        }
        both.check(format!("touch {longer} 1\r\nincr {longer} 1\r\n").as_bytes());
        let keys: Vec<String> = (0..5000).map(|n| format!("key:{n}")).collect();
        let sets = keys.iter().map(|key| {
            let bytes = key.len();
            format!("set {key} {bytes} 0 {bytes} noreply\r\n{key}\r\n")
        });
        both.check((sets.collect::<String>() + "version\r\n").as_bytes());
        both.check(format!("get {}\r\n", keys.join(" ")).as_bytes());
        count += both.count;
    }
    // What is too large is passed over, and with `set` takes the old value along.
    let server = Server::new(Kind::Hash, true);
    let mut both = Both::new(&memcached, &server);
    let large = "x".repeat(33_600_000);
    for (verb, quiet) in [("set", ""), ("set", " noreply"), ("append", "")] {
        let request = format!(
            "set big 0 0 1\r\n1\r\n{verb} big 0 0 33600000{quiet}\r\n{large}\r\nget big\r\n"
        );
        both.check(request.as_bytes());
    }
    println!("{count} exchanges compared");
    assert!(count > 350);
}

#[test]
fn without_a_bound_listener_the_same_is_answered() {
    let Some(memcached) = Memcached::start("detected") else {
        println!("SKIPPED: there is no memcached on this machine to compare with");
        return;
    };
    let server = Server::new(Kind::Hash, true);
    let mut both = Both::new(&memcached, &server);
    both.protocol = None;
    let (mut compared, mut others) = (0, 0);
    for (line, _) in exchanges() {
        let [theirs, ours] = both.ask(&line);
        if theirs == b"ERROR\r\n" && ours != theirs {
            // Without a known verb it is a line of Redis' protocol.
            others += 1;
        } else {
            assert_eq!(show(&ours), show(&theirs), "{}", show(&line));
            compared += 1;
        }
    }
    println!("{compared} exchanges compared, {others} begin with no verb of memcached's");
    assert!(compared > 150 && others < 10, "{compared} and {others}");
}

/// A request, what we answer, and why memcached answers something else.
const DIFFERENT: &[(&str, &str, &str)] = &[
    (
        "set a b 0 3\r\nabc\r\nversion\r\n",
        "CLIENT_ERROR bad command line format\r\nVERSION 1.6.18\r\n",
        "a block of a refused line is not read as requests",
    ),
    (
        "set a 0 0 3 noreply x\r\nabc\r\nversion\r\n",
        "ERROR\r\nVERSION 1.6.18\r\n",
        "a block of a refused line is not read as requests",
    ),
    (
        "set a 0 0 3\r\nabcdef\r\nversion\r\n",
        "CLIENT_ERROR bad data chunk\r\nVERSION 1.6.18\r\n",
        "the rest of a line is not read as a request",
    ),
    (
        "set a 0 0 3 noreply\r\nabcdef\r\nversion\r\n",
        "VERSION 1.6.18\r\n",
        "the rest of a line is not read as a request",
    ),
    (
        "set a 0 0 3\r\nab\r\nversion\r\n",
        "CLIENT_ERROR bad data chunk\r\nVERSION 1.6.18\r\n",
        "the request after a block that is too short is not lost",
    ),
    (
        "set a 0 0 3\r\nabc\nversion\r\n",
        "CLIENT_ERROR bad data chunk\r\nVERSION 1.6.18\r\n",
        "the request after a block that ends in a line feed is not lost",
    ),
    (
        "set a 4294967296 0 1\r\n1\r\n",
        "CLIENT_ERROR bad command line format\r\n",
        "flags that do not fit are not cut",
    ),
    (
        "set a 0 3000000000 1\r\n1\r\nget a\r\n",
        "STORED\r\nVALUE a 0 1\r\n1\r\nEND\r\n",
        "times after 2038 are times",
    ),
    (
        "set a\0b 0 0 1\r\n1\r\nget a\0b\r\n",
        "CLIENT_ERROR bad command line format\r\nCLIENT_ERROR bad command line format\r\n",
        "a key is not cut at a zero byte",
    ),
    (
        "gat 0\r\n",
        "ERROR\r\n",
        "no key is no request, as in later versions",
    ),
    (
        "set n 7 0 2\r\n10\r\ndecr n 1\r\nget n\r\n",
        "STORED\r\n9\r\nVALUE n 7 1\r\n9\r\nEND\r\n",
        "a number is stored as its digits, without blanks for those it has lost",
    ),
    (
        "set n 0 0 2\r\n 5\r\nincr n 1\r\n",
        "STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
        "a blank before a number, a sign and words behind it make it none",
    ),
    (
        "set n 0 0 3\r\n5 x\r\nincr n 1\r\n",
        "STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
        "a blank before a number, a sign and words behind it make it none",
    ),
    (
        "set n 0 0 2\r\n+5\r\nincr n 1\r\n",
        "STORED\r\nCLIENT_ERROR cannot increment or decrement non-numeric value\r\n",
        "a blank before a number, a sign and words behind it make it none",
    ),
    (
        "cache_memlimit 4\r\n",
        "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n",
        "memory is an option of the server",
    ),
    (
        "cache_memlimit 64\r\n",
        "MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n",
        "memory is an option of the server",
    ),
    (
        "slabs reassign 1 2\r\n",
        "CLIENT_ERROR slab reassignment disabled\r\n",
        "there are no slabs",
    ),
    (
        "slabs automove 1\r\n",
        "CLIENT_ERROR slab reassignment disabled\r\n",
        "there are no slabs",
    ),
    (
        "lru mode flat\r\n",
        "CLIENT_ERROR not supported\r\n",
        "there is no order of use to tune",
    ),
    (
        "flush_all\r\nlru_crawler metadump all\r\nget one\r\n",
        "OK\r\nEND\r\nEND\r\n",
        "a dump may stand among other requests",
    ),
    (
        "lru_crawler disable\r\n",
        "CLIENT_ERROR not supported\r\n",
        "what has expired is always reclaimed",
    ),
    (
        "lru_crawler sleep 100\r\n",
        "CLIENT_ERROR not supported\r\n",
        "what has expired is always reclaimed",
    ),
    (
        "watch\r\n",
        "WATCHER_FAILED failed to add log watcher\r\n",
        "there is no such log",
    ),
    ("mn\r\n", "ERROR\r\n", "meta commands are not served yet"),
];

#[test]
fn what_differs_differs_as_it_is_meant_to() {
    let Some(memcached) = Memcached::start("different") else {
        println!("SKIPPED: there is no memcached on this machine to compare with");
        return;
    };
    let server = Server::new(Kind::Hash, true);
    let mut both = Both::new(&memcached, &server);
    for (request, expected, why) in DIFFERENT {
        let [theirs, ours] = both.ask(request.as_bytes());
        assert_eq!(show(&ours), show(expected.as_bytes()), "{why}");
        assert_ne!(show(&ours), show(&theirs), "not different: {why}");
        println!(
            "{}: {} for {}, {why}",
            show(request.as_bytes()),
            show(&ours),
            show(&theirs)
        );
    }
    // A sum that is too large: an error says why.
    let half = "x".repeat(20_000_000);
    let request =
        format!("set h 0 0 20000000\r\n{half}\r\nappend h 0 0 20000000\r\n{half}\r\ndelete h\r\n");
    let [theirs, ours] = both.ask(request.as_bytes());
    assert_eq!(show(&theirs), show(b"STORED\r\nNOT_STORED\r\nDELETED\r\n"));
    let too_large = b"STORED\r\nSERVER_ERROR object too large for cache\r\nDELETED\r\n";
    assert_eq!(show(&ours), show(too_large));
    // A line without end: both close, we say why.
    let [theirs, ours] = both.ask(&vec![b'x'; 3000]);
    assert_eq!(show(&theirs), "");
    assert_eq!(show(&ours), show(b"CLIENT_ERROR line too long\r\n"));
}

/// The lines of a dump but for what only the original knows: whether and when a record was read,
/// and what it takes with its overhead.
fn dump(reply: &[u8]) -> Vec<String> {
    let text = String::from_utf8(reply.to_vec()).unwrap();
    let kept = |word: &&str| {
        let own = ["la=", "cas=", "fetch=", "size="];
        !own.iter().any(|name| word.starts_with(name))
    };
    let lines = text.split_inclusive('\n');
    let mut lines: Vec<String> = lines
        .map(|line| line.split(' ').filter(kept).collect::<Vec<_>>().join(" "))
        .collect();
    lines.sort();
    lines
}

#[test]
fn a_dump_lists_what_memcached_lists() {
    let Some(memcached) = Memcached::start("dump") else {
        println!("SKIPPED: there is no memcached on this machine to compare with");
        return;
    };
    for kind in [Kind::Hash, Kind::Tree] {
        let server = Server::new(kind, true);
        let mut both = Both::new(&memcached, &server);
        both.check(b"flush_all\r\n");
        both.check(b"lru_crawler metadump all\r\n");
        for n in 0..300 {
            both.check(format!("set key:{n} {n} 0 1\r\n1\r\n").as_bytes());
        }
        both.check(b"set a\xff%b/c~._-\t\r 0 2000000000 3\r\n111\r\n");
        both.check(b"set gone 0 -1 3\r\n111\r\n");
        for classes in ["all", "hash", "1"] {
            let request = format!("lru_crawler metadump {classes}\r\n");
            let [theirs, ours] = both.ask(request.as_bytes());
            assert_eq!(dump(&ours), dump(&theirs), "{kind:?}");
            assert_eq!(dump(&ours).len(), 302, "END and 301 records");
        }
    }
}

/// Without the blanks that the original leaves behind a number that has become shorter.
fn trim_numbers(reply: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(reply.to_vec()).unwrap();
    let mut out = String::new();
    let mut lines = text.split_inclusive("\r\n").peekable();
    while let Some(line) = lines.next() {
        let number = lines.peek().map(|next| next.trim_end());
        let is_number =
            |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let Some(number) = number.filter(is_number) else {
            out += line;
            continue;
        };
        let mut words: Vec<&str> = line.trim_end().split(' ').collect();
        if words[0] != "VALUE" {
            out += line;
            continue;
        }
        let bytes = number.len().to_string();
        words[3] = &bytes;
        out += &[&words.join(" "), "\r\n", number, "\r\n"].concat();
        lines.next();
    }
    out.into_bytes()
}

#[test]
fn random_requests_are_answered_as_memcached_answers_them() {
    let Some(memcached) = Memcached::start("random") else {
        println!("SKIPPED: there is no memcached on this machine to compare with");
        return;
    };
    let mut count = 0;
    for (seed, kind) in [
        (1, Kind::Hash),
        (2, Kind::Tree),
        (3, Kind::Hash),
        (4, Kind::Tree),
    ] {
        let server = Server::new(kind, seed % 2 == 0);
        let mut both = Both::new(&memcached, &server);
        both.check(b"flush_all\r\n");
        let mut random = Random::of(seed, 0x9e37_79b9_7f4a_7c15);
        for _ in 0..300 {
            let mut request = String::new();
            for _ in 0..=random.below(12) {
                request += &one(&mut random);
            }
            let [theirs, ours] = both.ask(request.as_bytes());
            assert_eq!(
                show(&trim_numbers(&ours)),
                show(&trim_numbers(&theirs)),
                "seed {seed}, number {}: {request}",
                both.count
            );
        }
        count += both.count;
    }
    println!("{count} pipelines compared");
}

fn one(random: &mut Random) -> String {
    let r = random;
    // Numbers and texts have keys of their own: a number with blanks behind it is not longer here.
    // What is touched is not compared and set: a touch is a write here.
    let (text, number) = (r.word(&["a", "b", "c", "d"]), r.word(&["n", "m"]));
    let quiet = r.word(&["", "", " noreply"]);
    let time = r.word(&[
        "0",
        "0",
        "100",
        "2592000",
        "2000000000",
        "-1",
        "2592001",
        "x",
    ]);
    let flags = r.word(&["0", "1", "4294967295"]);
    let value = r.word(&["", "abc", "END", "a\r\nb", "VALUE x 0 1", "0123x"]);
    let bytes = value.len();
    match r.below(12) {
        0..=1 => {
            let verb = r.word(&["set", "set", "add", "replace", "append", "prepend"]);
            let time = if time == "x" { "0" } else { time };
            format!("{verb} {text} {flags} {time} {bytes}{quiet}\r\n{value}\r\n")
        }
        2 => {
            let cas = r.word(&["{cas}", "{cas}", "{cas}", "1", "0"]);
            let text = r.word(&["a", "b"]);
            format!("cas {text} {flags} 0 {bytes} {cas}{quiet}\r\n{value}\r\n")
        }
        3..=4 => {
            let verb = r.word(&["get", "gets", "bget"]);
            format!("{verb} {text} {number} {text} nothing\r\n")
        }
        5 => format!("gats {time} {} c {number}\r\n", r.word(&["c", "d"])),
        6 => format!("delete {}{quiet}\r\n", r.word(&[text, number])),
        7 => format!("touch {} {time}{quiet}\r\n", r.word(&["c", "d", number])),
        8 => {
            let start = r.word(&["0", "7", "99", "18446744073709551610"]);
            let verb = r.word(&["set", "add"]);
            format!(
                "{verb} {number} {flags} 0 {}{quiet}\r\n{start}\r\n",
                start.len()
            )
        }
        9..=10 => {
            let verb = r.word(&["incr", "decr"]);
            let delta = r.word(&["0", "1", "5", "18446744073709551615", "-1", "x"]);
            format!(
                "{verb} {} {delta}{quiet}\r\n",
                r.word(&[number, number, "m", text])
            )
        }
        _ => match r.below(8) {
            0 => format!("flush_all{quiet}\r\n"),
            _ => format!("verbosity 1{quiet}\r\n"),
        },
    }
}
