//! Random commands of all kinds mean the same on the store and on the model.

use super::ask::Sizes;
use super::run::{Run, Tally};
use super::seeds;

const SIZES: Sizes = Sizes {
    keys: 60,
    value_bytes: 200,
    value_bytes_max: 3000,
};

#[test]
fn the_store_is_as_the_model_through_closes_kills_and_cuts() {
    let mut total = Tally::default();
    for seed in seeds(30) {
        let mut run = Run::new(seed, SIZES);
        run.open().unwrap();
        for step in 1..400 {
            run.step().unwrap();
            match step % 100 {
                25 | 90 => run.close_and_open().unwrap(),
                50 => run.kill_and_open().unwrap(),
                75 => run.cut_and_open().unwrap(),
                _ => {}
            }
        }
        total.add(&run.tally);
    }
    let Tally {
        operations,
        reopened,
        ..
    } = total;
    println!(
        "model: {operations} operations, {reopened} times opened again, on {} seeds",
        seeds(30).end
    );
}
