//! Fuzzing of every codec and of a whole service: requests of a corpus are mutated, put together and
//! cut at random. What no input may do: panic, go on without end, take bytes that were not given,
//! keep more memory than its size allows, or mean something else when it is cut elsewhere.
//!
//! Inputs come from a seed and a number, so that every run can be repeated. What behaves as nothing
//! before is kept and mutated further. In CI a fixed number of inputs is run, the same each time;
//! `HAKONE_FUZZ_SECONDS=600` runs for that long per target, `HAKONE_FUZZ_SEED` elsewhere
//! (`cargo xtask full fuzz`). A failure prints the smallest input found: put it in `corpus/` with the
//! fix.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    unreachable_pub,
    reason = "a test's own rooms; a failing test may panic"
)]

mod allocated;
mod codecs;
mod corpus;
mod engine;
mod mutate;
#[path = "../random/mod.rs"]
mod random;
mod service;
#[path = "../support/mod.rs"]
mod support;

use engine::{Target, fuzz};

#[test]
fn tyrant() {
    codecs::run::<codecs::Tyrant>("tyrant", corpus::tyrant());
}

#[test]
fn tycoon() {
    codecs::run::<codecs::Tycoon>("tycoon", corpus::tycoon());
}

#[test]
fn memcached() {
    codecs::run::<codecs::Memcached>("memcached", corpus::memcached());
}

#[test]
fn http() {
    codecs::run::<codecs::Http>("http", corpus::http());
}

#[test]
fn calls_over_http() {
    codecs::run::<codecs::Http>("calls over http", corpus::calls());
}

#[test]
fn resp() {
    codecs::run::<codecs::Resp>("resp", corpus::resp());
}

#[test]
fn whole_service() {
    let mut server = service::Subject::new();
    let target = Target {
        name: "service",
        corpus: corpus::all(),
        inputs: 2000,
    };
    fuzz(&target, &mut |input, random| server.check(input, random));
}
