//! The store against the model, on a disk that loses power, fails and lies.

mod ask;
mod bank;
mod cuts;
mod damage;
mod databases;
mod faults;
mod history;
mod linear;
mod lists;
mod model;
mod run;
mod subject;
mod tally;
mod threads;

/// How many disks are opened after a power cut, in the ordinary run.
const IMAGES: u64 = 5000;

/// As many as `HAKONE_CRASH_IMAGES` says; the other tests grow with it.
fn images_wanted() -> u64 {
    match std::env::var("HAKONE_CRASH_IMAGES") {
        Ok(text) => text.parse().expect("HAKONE_CRASH_IMAGES is a number"),
        Err(_) => IMAGES,
    }
}

/// So many seeds in the ordinary run, more where more images are wanted.
fn seeds(ordinary: u64) -> std::ops::Range<u64> {
    0..ordinary * (images_wanted() / IMAGES).max(1)
}
