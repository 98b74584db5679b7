//! The run of one target: inputs until the budget is spent, and the smallest input that fails.

use crate::corpus::Corpus;
use crate::mutate;
use crate::random::Random;
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What is fuzzed.
pub struct Target {
    pub name: &'static str,
    pub corpus: Corpus,
    /// Inputs of a run without a time.
    pub inputs: u64,
}

/// What the target did, as numbers: an input that makes it do something new is kept.
pub type Shapes = Vec<u64>;

/// Feeds one input, and panics if it does what none may do.
pub type Check<'c> = dyn FnMut(&[u8], &mut Random) -> Shapes + 'c;

/// Inputs that are kept beside the corpus.
const KEPT_MAX: usize = 4096;
/// Bytes of an input that is kept: long ones make slow runs.
const KEPT_BYTES_MAX: usize = 2048;
/// Tries to make a failing input smaller.
const TRIES_MAX: usize = 3000;
/// How long one input may take before it counts as without end.
const PATIENCE: Duration = Duration::from_mins(1);

fn variable(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
    )
}

/// Runs the corpus, then inputs made from it.
pub fn fuzz(target: &Target, check: &mut Check<'_>) {
    let seed = variable("HAKONE_FUZZ_SEED").unwrap_or(1);
    let seconds = variable("HAKONE_FUZZ_SECONDS");
    let begun = Instant::now();
    let watch = Watch::default();
    let mut pool = target.corpus.requests.clone();
    let own = pool.len();
    let mut shapes = HashSet::new();
    let mut number = 0_u64;
    std::thread::scope(|scope| {
        scope.spawn(|| watch.look(target.name));
        let _ended = Ended(&watch);
        loop {
            let mut random = Random::of(seed, number);
            let input = match pool.get(usize::try_from(number).unwrap()) {
                Some(request) if number < own as u64 => request.clone(),
                _ => mutate::input(&pool, &target.corpus.words, &mut random),
            };
            let seen = attempt(check, &input, &random).unwrap_or_else(|what| {
                let smallest = shrink(check, input.clone(), &random);
                panic!(
                    "{what}\ntarget {}, seed {seed}, input {number}, made smaller:\n{}",
                    target.name,
                    smallest.escape_ascii()
                );
            });
            let kept = pool.len() - own;
            if seen
                .into_iter()
                .filter(|&shape| shapes.insert(shape))
                .count()
                > 0
                && input.len() <= KEPT_BYTES_MAX
                && kept < KEPT_MAX
            {
                pool.push(input);
            }
            number += 1;
            watch.count.store(number, Ordering::Relaxed);
            let spent = match seconds {
                Some(seconds) => begun.elapsed() >= Duration::from_secs(seconds),
                None => number >= target.inputs + own as u64,
            };
            if spent {
                break;
            }
        }
    });
    println!(
        "{}: {number} inputs from a corpus of {own}, {} ways to behave, seed {seed}, {:.1} s",
        target.name,
        shapes.len(),
        begun.elapsed().as_secs_f64()
    );
}

/// One input: what it did, or what it did wrong.
fn attempt(check: &mut Check<'_>, input: &[u8], random: &Random) -> Result<Shapes, String> {
    catch_unwind(AssertUnwindSafe(|| check(input, &mut random.clone()))).map_err(|payload| {
        let text = payload.downcast_ref::<String>().cloned();
        let text = text.or_else(|| payload.downcast_ref::<&str>().map(|&text| text.to_owned()));
        text.unwrap_or_else(|| "panics".to_owned())
    })
}

/// Leaves out what it fails without, larger pieces first.
fn shrink(check: &mut Check<'_>, mut input: Vec<u8>, random: &Random) -> Vec<u8> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| ()));
    let mut piece = input.len() / 2;
    let mut tries = 0;
    while piece > 0 && tries < TRIES_MAX {
        let mut at = 0;
        while at < input.len() && tries < TRIES_MAX {
            tries += 1;
            let mut smaller = input.clone();
            smaller.drain(at..(at + piece).min(input.len()));
            if attempt(check, &smaller, random).is_err() {
                input = smaller;
            } else {
                at += piece;
            }
        }
        piece /= 2;
    }
    std::panic::set_hook(hook);
    input
}

/// Ends the process if an input takes too long: no unwinding stops a loop without end.
#[derive(Default)]
struct Watch {
    count: AtomicU64,
    ended: AtomicBool,
}

impl Watch {
    fn look(&self, name: &str) {
        let mut last = (0, Instant::now());
        while !self.ended.load(Ordering::Relaxed) {
            std::thread::park_timeout(Duration::from_millis(50));
            let count = self.count.load(Ordering::Relaxed);
            if count != last.0 {
                last = (count, Instant::now());
            }
            if last.1.elapsed() > PATIENCE {
                println!("target {name}: input {count} does not end");
                std::process::abort();
            }
        }
    }
}

/// Ends the watch, however the run ends.
struct Ended<'w>(&'w Watch);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.ended.store(true, Ordering::Relaxed);
    }
}
