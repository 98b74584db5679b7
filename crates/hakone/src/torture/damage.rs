//! Bytes on the disk change by themselves: that is reported, or does no harm, but is never served.

use super::ask::Sizes;
use super::run::{Damaged, Run};
use super::seeds;
use super::subject::Chore;
use crate::io::Disk;
use crate::io::chance::Chance;
use crate::io::sim::SimDisk;

const SIZES: Sizes = Sizes {
    keys: 40,
    value_bytes: 100,
    value_bytes_max: 2000,
};

/// Changes something in some file; tells what. The text begins with the file's name.
fn damage(disk: &SimDisk, chance: &mut Chance) -> String {
    let names = disk.list().unwrap();
    let name = &names[chance.index(names.len())];
    let file = disk.open(name).unwrap();
    // Files are used from their beginning on.
    let bytes = match chance.below(3) {
        0 => file.bytes(),
        1 => file.bytes() / 4,
        _ => file.bytes().min(600),
    };
    let offset = chance.below(bytes);
    let length = match chance.below(4) {
        0 | 1 => 1,
        2 => 8,
        _ => 512,
    };
    let length = usize::try_from(length.min(file.bytes() - offset)).unwrap();
    let mut content = vec![0; length];
    file.read_at(offset, &mut content).unwrap();
    match chance.below(3) {
        0 => content[0] ^= 1 << chance.below(8),
        1 => content.fill(0),
        _ => chance.fill(&mut content),
    }
    disk.damage(name, offset, &content).unwrap();
    format!("{name}: {length} bytes at {offset}")
}

/// Damages the script's disk in many ways, one at a time. A cabinet that opens holds `first` or a
/// later state.
fn every_way(run: &Run, first: usize, seed: u64, ways: u64) -> [u64; 2] {
    let mut chance = Chance::new(seed);
    let mut ends = [0; 2];
    for way in 0..ways {
        let disk = run.disk().copy();
        let what = damage(&disk, &mut chance);
        let what = format!("seed {seed}, way {way}, {what}");
        match run.open_damaged(&disk, first, &what) {
            Damaged::Right => ends[0] += 1,
            Damaged::Refused => ends[1] += 1,
        }
    }
    ends
}

fn scripted(seed: u64) -> Run {
    let mut run = Run::new(seed, SIZES);
    run.open().unwrap();
    for step in 0..150 {
        run.step().unwrap();
        if step == 100 {
            run.chore(Chore::Checkpoint).unwrap();
        }
    }
    run
}

#[test]
fn damage_after_a_clean_close_is_found() {
    let mut ends = [0; 2];
    for seed in seeds(4) {
        let mut run = scripted(seed);
        run.close();
        let [right, refused] = every_way(&run, run.newest(), seed, 150);
        ends = [ends[0] + right, ends[1] + refused];
    }
    println!(
        "damage after a close: {} harmless, {} refused",
        ends[0], ends[1]
    );
    assert!(ends[0] > 0 && ends[1] > 0);
}

#[test]
fn damage_before_the_durable_mark_is_found() {
    let mut ends = [0; 2];
    for seed in seeds(4) {
        let mut run = scripted(seed);
        run.chore(Chore::Sync).unwrap();
        run.note();
        let marked = run.newest();
        // Each write tells that what was before it is durable; one damage doesn't reach them all.
        for _ in 0..3 {
            run.put_marker().unwrap();
            run.chore(Chore::Sync).unwrap();
        }
        run.note();
        let [right, refused] = every_way(&run, marked, seed, 150);
        ends = [ends[0] + right, ends[1] + refused];
    }
    println!(
        "damage without a close: {} harmless, {} refused",
        ends[0], ends[1]
    );
    assert!(ends[0] > 0 && ends[1] > 0);
}

#[test]
fn a_lost_file_is_missed() {
    let mut ends = [0; 2];
    for seed in seeds(4) {
        let mut run = scripted(seed);
        run.close();
        for name in run.disk().list().unwrap() {
            let disk = run.disk().copy();
            disk.remove(&name).unwrap();
            match run.open_damaged(&disk, run.newest(), &format!("seed {seed}, lost {name}")) {
                Damaged::Right => ends[0] += 1,
                Damaged::Refused => ends[1] += 1,
            }
        }
    }
    println!("lost files: {} harmless, {} refused", ends[0], ends[1]);
    assert!(ends[1] > 0);
}
