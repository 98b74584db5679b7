//! Bytes to requests. What a line announces is checked before any of it is waited for; a block that
//! is too large, or belongs to a line that is wrong, is passed over without being kept, and the
//! connection lives on.

use super::line::{Line, parse};
use super::{Action, Refusal, Request, Verb, Words};
use crate::Step;
use crate::http::is_http;

/// Bytes of a line that does not name keys without end: what the original takes at least, and eight
/// times what any such line needs.
const LINE_BYTES_MAX: usize = 2048;

/// Bytes of a line that does: 2 MiB, 8,000 keys of 250 bytes.
const KEYS_BYTES_MAX: usize = 2 << 20;

/// Where a connection stands in a request that is not whole.
#[derive(Debug, Default)]
pub struct Decoder {
    /// Bytes in which there is no end of a line.
    walked: usize,
    passing: Option<Passing>,
}

/// A request that is refused once what belongs to it has passed.
#[derive(Debug)]
struct Passing {
    verb: Option<Verb>,
    quiet: bool,
    refusal: Refusal,
    /// Bytes of the block that are still to come; the rest of its line comes after them.
    bytes: u64,
}

impl Decoder {
    /// Whether bytes of a request have been consumed that is not whole.
    pub fn is_inside(&self) -> bool {
        self.passing.is_some()
    }

    /// Looks at all bytes of the connection that are not consumed.
    pub fn decode<'a>(&mut self, input: &'a [u8]) -> Step<Request<'a>> {
        if self.passing.is_some() {
            return self.pass(input, 0);
        }
        let rest = input.get(self.walked..).unwrap_or_default();
        let Some(end) = rest.iter().position(|&byte| byte == b'\n') else {
            if input.len() > bytes_max(input) {
                return too_long(input);
            }
            self.walked = input.len();
            return need(input.len() + 1);
        };
        let end = self.walked + end;
        if end > LINE_BYTES_MAX && end > bytes_max(input) {
            return too_long(input);
        }
        let line = &input[..end];
        let start = end + 1;
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let verb = Words::new(line).next().and_then(Verb::from_word);
        if verb.is_none() && is_http(line) {
            return Step::Close;
        }
        match parse(line) {
            Line::Whole(request) => {
                self.walked = 0;
                Step::Request(request, start)
            }
            Line::Block(request, bytes) => self.block(input, request, start, bytes, end),
            Line::Pass(request, bytes) => self.refuse(input, request, start, bytes),
        }
    }

    /// The request whose value is a block, or so much of it as is there.
    fn block<'a>(
        &mut self,
        input: &'a [u8],
        mut request: Request<'a>,
        start: usize,
        bytes: usize,
        walked: usize,
    ) -> Step<Request<'a>> {
        let end = start + bytes;
        match (input.get(end), input.get(end + 1)) {
            (Some(b'\r'), Some(b'\n')) => {
                self.walked = 0;
                if let Action::Store { value, .. } = &mut request.action {
                    *value = &input[start..end];
                }
                Step::Request(request, end + 2)
            }
            (Some(b'\r'), None) => {
                self.walked = walked;
                need(end + 2)
            }
            (None, _) => {
                self.walked = walked;
                need(end + 1)
            }
            // The rest of the line is no request: it would be a stranger's.
            (Some(_), _) => {
                let request = Request::refuse(request.verb, request.quiet, Refusal::Chunk);
                let bytes = if input[end] == b'\r' {
                    bytes + 1
                } else {
                    bytes
                };
                self.refuse(input, request, start, bytes as u64)
            }
        }
    }

    /// Refuses a request once its block and the rest of that line have passed.
    fn refuse<'a>(
        &mut self,
        input: &'a [u8],
        request: Request<'a>,
        start: usize,
        bytes: u64,
    ) -> Step<Request<'a>> {
        let Action::Refuse(refusal) = request.action else {
            unreachable!("only what is refused is passed over")
        };
        self.walked = 0;
        self.passing = Some(Passing {
            verb: request.verb,
            quiet: request.quiet,
            refusal,
            bytes,
        });
        self.pass(input, start)
    }

    fn pass<'a>(&mut self, input: &'a [u8], start: usize) -> Step<Request<'a>> {
        let rest = &input[start..];
        let Some(mut passing) = self.passing.take() else {
            unreachable!("it is known that something is passed over")
        };
        let block = usize::try_from(passing.bytes).map_or(rest.len(), |n| n.min(rest.len()));
        passing.bytes -= block as u64;
        let end = rest[block..].iter().position(|&byte| byte == b'\n');
        if let Some(end) = end {
            let request = Request::refuse(passing.verb, passing.quiet, passing.refusal);
            return Step::Request(request, start + block + end + 1);
        }
        self.passing = Some(passing);
        let (consumed, need) = (input.len(), 0);
        Step::Partial { consumed, need }
    }
}

/// Bytes that this line may have.
fn bytes_max(line: &[u8]) -> usize {
    // Blanks before the verb count too.
    let head = &line[..line.len().min(LINE_BYTES_MAX)];
    let verb = Words::new(head).next().and_then(Verb::from_word);
    if verb.is_some_and(Verb::reads) {
        KEYS_BYTES_MAX
    } else {
        LINE_BYTES_MAX
    }
}

fn need<'a>(need: usize) -> Step<Request<'a>> {
    Step::Partial { consumed: 0, need }
}

fn too_long(input: &[u8]) -> Step<Request<'_>> {
    let request = Request::refuse(None, false, Refusal::Line);
    Step::Request(request, input.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memcached::{Exptime, KEYS_MAX, Mode, encode};
    use hakone_command::{Amount, limits};

    /// Feeds pieces as a connection would, and gives what requests come out with how many bytes
    /// each took.
    fn requests(input: &[u8], piece: usize) -> Vec<(String, usize)> {
        let mut decoder = Decoder::default();
        let (mut found, mut from, mut taken) = (Vec::new(), 0, 0);
        let mut there = 0;
        while there < input.len() {
            there = (there + piece).min(input.len());
            loop {
                match decoder.decode(&input[from..there]) {
                    Step::Request(request, bytes) => {
                        assert!(bytes > 0, "a request takes bytes");
                        found.push((format!("{request:?}"), taken + bytes));
                        from += bytes;
                        taken = 0;
                    }
                    Step::Partial { consumed, need } => {
                        assert!(need == 0 || consumed + need > there - from, "needs more");
                        from += consumed;
                        taken += consumed;
                        break;
                    }
                    Step::Close => panic!("closes"),
                }
                if from == there {
                    break;
                }
            }
        }
        found
    }

    /// The same requests come out however the input is cut.
    fn check(input: &[u8], expected: &[Request<'_>]) {
        let expected: Vec<String> = expected.iter().map(|r| format!("{r:?}")).collect();
        let whole = requests(input, input.len());
        let texts: Vec<String> = whole.iter().map(|(text, _)| text.clone()).collect();
        assert_eq!(texts, expected, "{}", input.escape_ascii());
        for piece in 1..input.len().min(100) {
            assert_eq!(
                requests(input, piece),
                whole,
                "{} by {piece}",
                input.escape_ascii()
            );
        }
    }

    fn request(verb: Verb, quiet: bool, action: Action<'_>) -> Request<'_> {
        let verb = Some(verb);
        Request {
            verb,
            quiet,
            action,
        }
    }

    fn version() -> Request<'static> {
        request(Verb::Version, false, Action::Version)
    }

    fn refuse(verb: Verb, refusal: Refusal) -> Request<'static> {
        Request::refuse(Some(verb), false, refusal)
    }

    fn set<'a>(key: &'a [u8], value: &'a [u8]) -> Action<'a> {
        Action::Store {
            key,
            value,
            flags: 0,
            expiry: Exptime(0),
            mode: Mode::Set,
        }
    }

    #[test]
    fn requests_are_read_alike_however_they_are_cut() {
        let words = |line| Words::new(line);
        check(b"version\r\nversion\n", &[version(), version()]);
        check(
            b"set a 0 0 3\r\na\r\n\r\nset  b 0 0 0 noreply \n\r\nversion\r\n",
            &[
                request(Verb::Set, false, set(b"a", b"a\r\n")),
                request(Verb::Set, true, set(b"b", b"")),
                version(),
            ],
        );
        check(
            b"cas k 4294967295 -1 2 18446744073709551615\r\nhi\r\n",
            &[request(
                Verb::Cas,
                false,
                Action::Store {
                    key: b"k",
                    value: b"hi",
                    flags: u32::MAX,
                    expiry: Exptime(-1),
                    mode: Mode::Cas(u64::MAX),
                },
            )],
        );
        let keys = words(b" a b a");
        check(
            b"get a b a\r\n",
            &[request(Verb::Get, false, Action::Read { keys, count: 3 })],
        );
        let (keys, expiry) = (words(b" a"), Exptime(5));
        check(
            b"gats 5 a\r\n",
            &[request(
                Verb::Gats,
                false,
                Action::ReadAndTouch { keys, expiry },
            )],
        );
        let (key, amount) = (&b"n"[..], Amount::Down(7));
        check(
            b"decr n 7 noreply\r\ndelete n 0\r\ntouch n 60\r\n",
            &[
                request(Verb::Decr, true, Action::Count { key, amount }),
                request(Verb::Delete, false, Action::Delete { key }),
                request(
                    Verb::Touch,
                    false,
                    Action::Touch {
                        key,
                        expiry: Exptime(60),
                    },
                ),
            ],
        );
        check(
            b"flush_all\r\nflush_all noreply\r\nflush_all 10 noreply\r\n",
            &[
                request(Verb::FlushAll, false, Action::Flush(Exptime(0))),
                request(Verb::FlushAll, true, Action::Flush(Exptime(0))),
                request(Verb::FlushAll, true, Action::Flush(Exptime(10))),
            ],
        );
    }

    #[test]
    fn a_refused_block_is_passed_over_and_the_next_request_is_read() {
        for (line, refusal) in [
            ("set a x 0 3", Refusal::Format),
            ("set a 0 x 3", Refusal::Format),
            ("set a 4294967296 0 3", Refusal::Format),
            ("set a 0 0 3 noreply x", Refusal::Error),
            ("set a b c 3", Refusal::Format),
            ("set a\0b 0 0 3", Refusal::Format),
        ] {
            let input = format!("{line}\r\nabc\r\nversion\r\n");
            check(input.as_bytes(), &[refuse(Verb::Set, refusal), version()]);
        }
        let unparted = b"cas a 0 0 3\r\nabc\r\nversion\r\n";
        check(unparted, &[refuse(Verb::Cas, Refusal::Error), version()]);
        let quiet = b"cas a 0 0 3 x noreply\r\nabc\r\nversion\r\n";
        let refused = Request::refuse(Some(Verb::Cas), true, Refusal::Format);
        check(quiet, &[refused, version()]);
        let long = [b"set ", &[b'k'; 251][..], b" 0 0 3\r\nabc\r\nversion\r\n"].concat();
        check(&long, &[refuse(Verb::Set, Refusal::Format), version()]);
        // Where no length is known, what follows is the next request.
        let unknown = b"set a 0 0 -3\r\nversion\r\n";
        check(unknown, &[refuse(Verb::Set, Refusal::Format), version()]);
    }

    #[test]
    fn a_block_that_does_not_end_is_refused_up_to_the_end_of_its_line() {
        let bad = || refuse(Verb::Set, Refusal::Chunk);
        for block in ["abcdef\r\n", "ab\r\n", "abc\n", "abc\rd\r\n", "abc\r\r\n"] {
            let input = format!("set a 0 0 3\r\n{block}version\r\n");
            check(input.as_bytes(), &[bad(), version()]);
        }
        // It takes what it was promised first.
        check(b"set a 0 0 3\r\na\r\nversion\r\n", &[bad()]);
    }

    #[test]
    fn a_block_that_is_too_large_is_not_kept() {
        let bytes = limits::VALUE_BYTES_MAX + 1;
        for (verb, removes) in [(Verb::Set, true), (Verb::Append, false)] {
            let mut decoder = Decoder::default();
            let head = format!("{} key 0 0 {bytes}\r\n", verb.name());
            let consumed = head.len();
            assert_eq!(
                decoder.decode(head.as_bytes()),
                Step::Partial { consumed, need: 0 }
            );
            let block = vec![b'x'; bytes];
            for piece in block.chunks(1 << 20) {
                let consumed = piece.len();
                assert_eq!(decoder.decode(piece), Step::Partial { consumed, need: 0 });
                assert!(decoder.is_inside());
            }
            let key = removes.then(|| b"key"[..].into());
            assert_eq!(
                decoder.decode(b"\r\nversion\r\n"),
                Step::Request(refuse(verb, Refusal::TooLarge(key)), 2)
            );
            assert!(!decoder.is_inside());
        }
        // One that fits is waited for, and so is one byte more than it.
        let mut decoder = Decoder::default();
        let head = format!("set key 0 0 {}\r\n", limits::VALUE_BYTES_MAX);
        let need = head.len() + limits::VALUE_BYTES_MAX + 1;
        let step = decoder.decode(head.as_bytes());
        assert_eq!(step, Step::Partial { consumed: 0, need });
    }

    #[test]
    fn lines_and_keys_have_limits() {
        let too_long = |input: &[u8]| {
            let found = requests(input, input.len());
            let refused = Request::refuse(None, false, Refusal::Line);
            assert_eq!(found, [(format!("{refused:?}"), input.len())]);
            assert_eq!(requests(input, 999)[0].0, found[0].0);
        };
        let line = |bytes: usize| [&b"delete "[..], &vec![b'a'; bytes - 7], b"\n"].concat();
        too_long(&line(LINE_BYTES_MAX + 1));
        too_long(&line(LINE_BYTES_MAX + 1)[..=LINE_BYTES_MAX]);
        assert_eq!(
            Decoder::default().decode(&line(LINE_BYTES_MAX)),
            Step::Request(refuse(Verb::Delete, Refusal::Format), LINE_BYTES_MAX + 1)
        );
        let keys = |count: usize| [&b"get"[..], &b" k".repeat(count), b"\r\n"].concat();
        let many = keys(KEYS_MAX);
        let step = Decoder::default().decode(&many);
        assert!(
            matches!(
                step,
                Step::Request(
                    Request {
                        action: Action::Read {
                            count: KEYS_MAX,
                            ..
                        },
                        ..
                    },
                    _
                )
            ),
            "{step:?}"
        );
        check(&keys(KEYS_MAX + 1)[..], &[refuse(Verb::Get, Refusal::Keys)]);
        let blanks = [b"get", &b" ".repeat(KEYS_BYTES_MAX)[..]].concat();
        too_long(&blanks);
    }

    #[test]
    fn every_refusal_is_one_line() {
        let mut out = Vec::new();
        for input in [
            &b"\r\n"[..],
            b"GET a\r\n",
            b"get\r\n",
            b"gat 0\r\n",
            b"gat x a\r\n",
            b"incr a -1\r\n",
            b"delete a 5\r\n",
            b"stats detail\r\n",
            b"stats cachedump 1\r\n",
            b"stats cachedump 2 1\r\n",
            b"lru_crawler metadump 2\r\n",
            b"lru_crawler sleep 5\r\n",
            b"cache_memlimit 64\r\n",
            b"shutdown\r\n",
            b"slabs automove 1\r\n",
            b"watch\r\n",
        ] {
            let Step::Request(request, bytes) = Decoder::default().decode(input) else {
                panic!("{} is whole", input.escape_ascii());
            };
            assert_eq!(bytes, input.len());
            let Action::Refuse(refusal) = request.action else {
                panic!("{} is refused", input.escape_ascii());
            };
            assert!(
                !encode::refuse(&refusal, &mut out),
                "the connection lives on"
            );
        }
        assert_eq!(
            String::from_utf8(out).expect("it is text"),
            "ERROR\r\nERROR\r\nERROR\r\nERROR\r\n\
             CLIENT_ERROR invalid exptime argument\r\n\
             CLIENT_ERROR invalid numeric delta argument\r\n\
             CLIENT_ERROR bad command line format.  Usage: delete <key> [noreply]\r\n\
             CLIENT_ERROR usage: stats detail on|off|dump\r\n\
             CLIENT_ERROR bad command line\r\n\
             CLIENT_ERROR Illegal slab id\r\n\
             BADCLASS invalid class id\r\n\
             CLIENT_ERROR not supported\r\n\
             MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust\r\n\
             ERROR: shutdown not enabled\r\n\
             CLIENT_ERROR slab reassignment disabled\r\n\
             WATCHER_FAILED failed to add log watcher\r\n"
        );
    }
}
