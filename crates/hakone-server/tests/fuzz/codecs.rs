//! The codecs: one input whole and in pieces, to a decoder as a connection would feed it.

use crate::allocated::peak;
use crate::corpus::Corpus;
use crate::engine::{Shapes, Target, fuzz};
use crate::mutate::{cuts, pieces};
use crate::random::Random;
use hakone_wire::{REQUEST_BYTES_MAX, Step, http, memcached, resp, tycoon, tyrant};
use std::fmt::{self, Debug, Write};
use std::hash::{DefaultHasher, Hash, Hasher};

/// A request, as far as it is compared.
pub struct Read {
    /// All that it says, in one text or, where it comes in pieces, in several.
    texts: Vec<String>,
    /// Whether the connection ends with it.
    closes: bool,
}

/// What a value says: the beginning as it is, and all of it as a number.
fn digest(value: &impl Debug) -> String {
    struct Digest(String, DefaultHasher);
    impl Write for Digest {
        fn write_str(&mut self, text: &str) -> fmt::Result {
            if self.0.len() < 1000 {
                self.0.push_str(text);
            }
            self.1.write(text.as_bytes());
            Ok(())
        }
    }
    let mut digest = Digest(String::new(), DefaultHasher::new());
    write!(digest, "{value:?}").unwrap();
    format!("{} #{}", digest.0, digest.1.finish())
}

fn read(request: &impl Debug, closes: bool) -> Read {
    let texts = vec![digest(request)];
    Read { texts, closes }
}

/// A decoder, with what the service does before it asks the store.
pub trait Codec: Default {
    /// Looks at all bytes that are not consumed. `note` is told how many bytes were held meanwhile.
    fn decode(&mut self, input: &[u8], note: &mut dyn FnMut(usize)) -> Step<Read>;

    /// Whether bytes of a request have been consumed that is not whole.
    fn is_inside(&self) -> bool;
}

fn read_step<R>(step: Step<R>, make: impl FnOnce(R) -> Read) -> Step<Read> {
    match step {
        Step::Request(request, bytes) => Step::Request(make(request), bytes),
        Step::Partial { consumed, need } => Step::Partial { consumed, need },
        Step::Close => Step::Close,
    }
}

/// The time at which requests are made sense of.
const NOW: u64 = 1_800_000_000_000;

#[derive(Default)]
pub struct Tyrant(tyrant::Decoder);

impl Codec for Tyrant {
    fn decode(&mut self, input: &[u8], note: &mut dyn FnMut(usize)) -> Step<Read> {
        let (step, bytes) = peak(|| self.0.decode(input));
        note(bytes);
        read_step(step, |request| read(&request, false))
    }

    fn is_inside(&self) -> bool {
        self.0.is_inside()
    }
}

#[derive(Default)]
pub struct Tycoon(tycoon::Decoder);

impl Codec for Tycoon {
    fn decode(&mut self, input: &[u8], note: &mut dyn FnMut(usize)) -> Step<Read> {
        let (step, bytes) = peak(|| self.0.decode(input));
        note(bytes);
        read_step(step, |request| match request {
            tycoon::Request::Fail => read(&request, true),
            // How many records come together depends on how they came.
            tycoon::Request::Piece(piece) => {
                let what = format!("{:?} {}", piece.verb, piece.silent);
                let items = piece.items.iter();
                let items = items.map(|item| format!("{what} {item:?} {}", item.expiry(NOW)));
                let end = piece.next.is_none().then(|| format!("{what} ends"));
                let texts = items.chain(end).collect();
                let closes = false;
                Read { texts, closes }
            }
        })
    }

    fn is_inside(&self) -> bool {
        self.0.is_inside()
    }
}

#[derive(Default)]
pub struct Memcached(memcached::Decoder);

impl Codec for Memcached {
    fn decode(&mut self, input: &[u8], note: &mut dyn FnMut(usize)) -> Step<Read> {
        let (step, bytes) = peak(|| self.0.decode(input));
        note(bytes);
        read_step(step, |request| {
            let command = request.action.command(NOW);
            let mut out = Vec::new();
            let closes = match &request.action {
                memcached::Action::Quit => true,
                memcached::Action::Refuse(refusal) => memcached::refuse(refusal, &mut out),
                _ => false,
            };
            // A line that is too long is told as such wherever its end is.
            read(&(&request, command, request.key()), closes)
        })
    }

    fn is_inside(&self) -> bool {
        self.0.is_inside()
    }
}

#[derive(Default)]
pub struct Http(http::Decoder);

impl Codec for Http {
    fn decode(&mut self, input: &[u8], note: &mut dyn FnMut(usize)) -> Step<Read> {
        let (step, bytes) = peak(|| self.0.decode(input));
        note(bytes);
        read_step(step, |message| match &message {
            http::Message::Refused(_) => read(&message, true),
            http::Message::Request(request) => {
                let foreign = http::foreign(request, true).is_some();
                let tyrant = http::rest::tyrant::Rest::of(request);
                let tycoon = http::rest::tycoon::Rest::of(request);
                let closes = foreign || !request.keep_alive;
                read(
                    &(request, foreign, tyrant, tycoon, procedure(request)),
                    closes,
                )
            }
        })
    }

    fn is_inside(&self) -> bool {
        false
    }
}

/// What a call of a procedure asks for.
fn procedure(request: &http::Request<'_>) -> Option<String> {
    let call = request.path().strip_prefix(http::CALL_PREFIX)?;
    let mut parts = call.splitn(2, |&byte| byte == b'?');
    let (name, query) = (parts.next()?, parts.next().unwrap_or_default());
    let procedure = tycoon::Procedure::from_name(name)?;
    let columns = tycoon::read(query, request.header("Content-Type"), &request.body);
    Some(match &columns {
        Ok(columns) => format!("{:?}", tycoon::translate(procedure, columns, NOW)),
        Err(many) => format!("{many:?}"),
    })
}

#[derive(Default)]
pub struct Resp(resp::Decoder);

impl Resp {
    fn translate(words: &[&[u8]]) -> Option<String> {
        let row = resp::lookup(words.first()?)?;
        Some(format!("{:?}", resp::translate(row, words, NOW)))
    }
}

impl Codec for Resp {
    fn decode(&mut self, input: &[u8], note: &mut dyn FnMut(usize)) -> Step<Read> {
        let mut words = Vec::new();
        let (step, bytes) = peak(|| self.0.decode(input, &mut words));
        note(bytes);
        read_step(step, |frame| match frame {
            resp::Frame::Arguments(first) => {
                assert_eq!(first, 0, "arguments begin where there were none");
                read(&(Resp::translate(&words), &words), false)
            }
            resp::Frame::Line(line) => {
                let words = resp::split(line);
                let known = words.as_ref().and_then(|words| {
                    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                    Resp::translate(&words)
                });
                read(&(known, &words), words.is_none())
            }
            resp::Frame::TooLarge => read(&frame, false),
            resp::Frame::Invalid(_) => read(&frame, true),
        })
    }

    fn is_inside(&self) -> bool {
        self.0.is_inside()
    }
}

/// What came out of an input.
#[derive(Debug, Default)]
struct Fed {
    requests: Vec<String>,
    /// Bytes that were taken; 0 where the connection closes, which takes all there are.
    consumed: usize,
    closed: bool,
    /// What each request says without the bytes and numbers it is said of, and about how long it was.
    shapes: Shapes,
}

impl Fed {
    fn note(&mut self, text: String, bytes: usize) {
        let letters = |byte: &u8| byte.is_ascii_alphabetic();
        let shape: Vec<u8> = text.bytes().filter(letters).take(300).collect();
        self.shapes.push(hash(&(shape, bytes.ilog2())));
        self.requests.push(text);
    }

    /// What must not depend on how the input is cut.
    fn said(&self) -> (&[String], usize, bool) {
        (&self.requests, self.consumed, self.closed)
    }
}

/// What follows an input that ends in a request which is being skipped, so that some are skipped to
/// their end: more together than a value may have.
static FILLER: [u8; 4 << 20] = {
    let mut filler = [b'x'; 4 << 20];
    filler[(4 << 20) - 1] = b'\n';
    filler
};
const FILLER_BYTES_MAX: usize = 64 << 20;

/// How an input is fed.
#[derive(Clone, Copy, Debug)]
struct How {
    /// Waiting for what the decoder says it needs, as the server does.
    patient: bool,
    /// With the filler behind it.
    filled: bool,
}

/// Feeds pieces.
fn feed<C: Codec>(pieces: &[&[u8]], how: How) -> Fed {
    let mut codec = C::default();
    let mut fed = Fed::default();
    let mut held: Vec<u8> = Vec::new();
    let mut need = 0;
    for piece in pieces {
        held.extend_from_slice(piece);
        if how.patient && held.len() < need {
            continue;
        }
        need = take(&mut codec, &mut held, &mut fed);
        if fed.closed {
            return fed;
        }
    }
    let mut filled = 0;
    while how.filled && codec.is_inside() && held.is_empty() && filled < FILLER_BYTES_MAX {
        filled += FILLER.len();
        let step = codec.decode(&FILLER, &mut |_| ());
        match step {
            Step::Partial { consumed, .. } if consumed == FILLER.len() => fed.consumed += consumed,
            // What is left of it is no more than any other bytes.
            Step::Request(..) | Step::Partial { .. } | Step::Close => {
                fed.requests.push("skipped".to_owned());
                break;
            }
        }
    }
    fed
}

/// Takes what there is to take. Returns how many bytes are needed then.
fn take<C: Codec>(codec: &mut C, held: &mut Vec<u8>, fed: &mut Fed) -> usize {
    loop {
        if held.is_empty() {
            return 0;
        }
        let given = held.len();
        let mut most = 0;
        let step = codec.decode(held, &mut |bytes| most = most.max(bytes));
        // A few words on the heap for each byte that has come, and none for what is announced.
        let allowed = (64 << 10) + 64 * given;
        assert!(
            most <= allowed,
            "holds {most} bytes for {given} that have come"
        );
        match step {
            Step::Request(Read { texts, closes }, bytes) => {
                assert!(bytes > 0, "a request takes bytes: {texts:?}");
                assert!(bytes <= given, "takes {bytes} of {given} bytes: {texts:?}");
                for text in texts {
                    fed.note(text, bytes);
                }
                held.drain(..bytes);
                if closes {
                    (fed.closed, fed.consumed) = (true, 0);
                    return 0;
                }
                fed.consumed += bytes;
            }
            Step::Partial { consumed, need } => {
                assert!(consumed <= given, "takes {consumed} of {given} bytes");
                let left = given - consumed;
                assert!(
                    need == 0 || need > left,
                    "needs {need} bytes and has {left}"
                );
                assert!(need <= REQUEST_BYTES_MAX + (1 << 20), "needs {need} bytes");
                fed.consumed += consumed;
                held.drain(..consumed);
                return need;
            }
            Step::Close => {
                (fed.closed, fed.consumed) = (true, 0);
                return 0;
            }
        }
    }
}

/// The same comes out whole and in pieces.
fn check<C: Codec>(input: &[u8], random: &mut Random) -> Shapes {
    // Rarely, since it takes as long as hundreds of others.
    let filled = random.once_in(400);
    let patient = true;
    let whole = feed::<C>(&[input], How { patient, filled });
    for patient in [true, false, true] {
        let cuts = cuts(input, random);
        let cut = feed::<C>(&pieces(input, &cuts), How { patient, filled });
        assert!(
            cut.said() == whole.said(),
            "cut at {cuts:?}: {cut:?} for {whole:?}"
        );
    }
    let last = whole.shapes.last().copied();
    let end = hash(&(last, whole.closed, whole.consumed == input.len()));
    let mut shapes = whole.shapes;
    shapes.push(end);
    shapes
}

fn hash(of: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    hasher.finish()
}

/// Fuzzes a codec.
pub fn run<C: Codec>(name: &'static str, corpus: Corpus) {
    let inputs = 6000;
    let target = Target {
        name,
        corpus,
        inputs,
    };
    fuzz(&target, &mut |input, random| check::<C>(input, random));
}
