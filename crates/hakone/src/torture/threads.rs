//! The power fails under several writers and the store's own threads.

use super::seeds;
use super::subject::Subject;
use crate::io::chance::Chance;
use crate::io::sim::{NameCut, SimDisk};
use crate::{Cabinet, Database, DatabaseOptions};
use hakone_command::{Command, Kind, Lsn, Pair, Reply};
use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// A writer counts in two records of each database at once: the second of a pair never differs
/// from the first.
const WRITERS: usize = 3;

/// What a writer has been told.
#[derive(Default)]
struct Told {
    /// The last round that it began.
    begun: AtomicU64,
    /// A round whose writes have this lsn or a lower one.
    acknowledged: AtomicU64,
    lsn: AtomicU64,
}

fn key(writer: usize, half: &str) -> Vec<u8> {
    format!("writer {writer}, {half}").into_bytes()
}

/// A value that begins with the round.
fn value(round: u64, chance: &mut Chance) -> Vec<u8> {
    let mut value = vec![0; 8 + chance.index(300)];
    value[..8].copy_from_slice(&round.to_le_bytes());
    value
}

fn databases(cabinet: &Cabinet) -> [Database; 2] {
    [("hash", Kind::Hash), ("tree", Kind::Tree)].map(|(name, kind)| {
        let memory = false;
        cabinet
            .create(
                name,
                DatabaseOptions {
                    memory,
                    ..DatabaseOptions::new(kind)
                },
            )
            .unwrap()
    })
}

fn write(writer: usize, databases: &[Database; 2], told: &Told, stop: &AtomicBool) {
    let mut chance = Chance::new(writer as u64);
    let keys = [key(writer, "first"), key(writer, "second")];
    for round in 1.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        told.begun.store(round, Ordering::SeqCst);
        let mut last: Lsn = 0;
        for database in databases {
            let value = value(round, &mut chance);
            let pairs = keys.iter().map(|key| Pair { key, value: &value });
            let put = Command::PutMany {
                pairs: pairs.collect(),
                if_none_exist: false,
                expiry: 0,
            };
            last = last.max(database.call(&put, 1, &mut |_| ()).unwrap());
        }
        // In this order, so that who reads the lsn first has a round that is not behind it.
        told.lsn.store(last, Ordering::SeqCst);
        told.acknowledged.store(round, Ordering::SeqCst);
    }
}

/// The round that a database holds of a writer.
fn held(database: &Database, writer: usize, what: &str) -> u64 {
    let keys = [key(writer, "first"), key(writer, "second")];
    let keys = keys.iter().map(Vec::as_slice).collect();
    let mut round = 0;
    let get = Command::GetMany { keys };
    let got = database.call(&get, 1, &mut |reply| match reply {
        Reply::Records([None, None]) => {}
        Reply::Records([Some(first), Some(second)]) => {
            assert!(first.value == second.value, "{what}: half a batch");
            round = u64::from_le_bytes(first.value[..8].try_into().unwrap());
        }
        other => panic!("{what}: half a batch: {other:?}"),
    });
    assert!(got.is_ok(), "{what}: {got:?}");
    round
}

/// Cuts the power under the writers, and opens what is left.
fn cut(disk: &SimDisk, cabinet: &Cabinet, told: &[Told; WRITERS], seed: u64) {
    let load = |number: &AtomicU64| number.load(Ordering::SeqCst);
    let least = told
        .each_ref()
        .map(|told| (load(&told.acknowledged), load(&told.lsn)));
    let durable = cabinet.durable();
    let image = disk.power_cut(seed, NameCut::Prefix);
    let most = told.each_ref().map(|told| load(&told.begun));
    let what = format!("image {seed}");
    let subject = Subject::open(&image).unwrap_or_else(|e| panic!("{what}: {e}"));
    let [hash, tree] = databases(&subject.0);
    for (writer, ((acknowledged, lsn), begun)) in least.into_iter().zip(most).enumerate() {
        let what = format!("{what}, writer {writer}");
        let in_hash = held(&hash, writer, &what);
        let in_tree = held(&tree, writer, &what);
        let acknowledged = if lsn <= durable { acknowledged } else { 0 };
        assert!(
            in_tree >= acknowledged,
            "{what}: {in_tree} of {acknowledged}"
        );
        assert!(in_hash <= begun, "{what}: {in_hash} of {begun}");
        let step = in_hash.wrapping_sub(in_tree);
        assert!(
            step <= 1,
            "{what}: {in_hash} in the hash, {in_tree} after it in the tree"
        );
    }
}

#[test]
fn a_power_cut_under_threads_loses_nothing_acknowledged() {
    let disk = SimDisk::new(1);
    let subject = Subject::open_with_threads(&disk).unwrap();
    let cabinet = &subject.0;
    let databases = databases(cabinet);
    let told: [Told; WRITERS] = Default::default();
    let stop = AtomicBool::new(false);
    let images = seeds(30);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let (databases, told, stop) = (&databases, &told[writer], &stop);
                scope.spawn(move || write(writer, databases, told, stop))
            })
            .collect();
        let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
            for seed in images.clone() {
                let next = cabinet.written() + 30;
                while cabinet.written() < next && writers.iter().all(|w| !w.is_finished()) {
                    std::thread::yield_now();
                }
                cut(&disk, cabinet, &told, seed);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        if let Err(panic) = ended {
            std::panic::resume_unwind(panic);
        }
    });
    println!(
        "threads: {} power cuts under {WRITERS} writers, {} changes",
        images.end,
        cabinet.written()
    );
    cabinet.close().unwrap();
}
