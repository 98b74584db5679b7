//! Blocks are zeroed, apart from one another, and cost little more than their size.

use super::*;
use crate::io::chance::Chance;

#[test]
fn blocks_are_zeroed_and_apart() {
    for seed in 0..10 {
        let mut chance = Chance::new(seed);
        let arena = Arena::new();
        let mut blocks: Vec<(Block, u64)> = Vec::new();
        for step in 0..400 {
            let what = format!("seed {seed}, step {step}");
            if blocks.len() > 40 || (!blocks.is_empty() && chance.one_in(3)) {
                let (block, mark) = blocks.swap_remove(chance.index(blocks.len()));
                assert!(block.iter().all(|slot| *slot == mark), "{what}");
            } else {
                let largest = [9, 100, 10_000, 1 << 20][chance.index(4)];
                let mut block = arena.allocate(1 + chance.index(largest)).unwrap();
                assert!(block.iter().all(|&slot| slot == 0), "{what}");
                assert_eq!(block.as_ptr().addr() % 64, 0);
                let mark = chance.next();
                block.fill(mark);
                blocks.push((block, mark));
            }
            let slots = blocks.iter().map(|(block, _)| block.len() as u64);
            let sum: u64 = slots.map(|slots| (slots * 8).next_multiple_of(64)).sum();
            assert_eq!(arena.bytes_in_use(), sum, "{what}");
            assert!(arena.bytes_mapped() >= sum, "{what}");
        }
        for (block, mark) in &blocks {
            assert!(block.iter().all(|slot| slot == mark));
        }
        blocks.clear();
        assert_eq!(arena.bytes_in_use(), 0);
        assert_eq!(arena.bytes_mapped(), 0, "all went back");
    }
}

#[test]
fn sizes_that_make_no_sense_are_refused() {
    let arena = Arena::new();
    assert!(arena.allocate(0).is_err());
    for slots in [usize::MAX, usize::MAX / 8, usize::MAX / 8 - 7, 1 << 45] {
        let error = arena.allocate(slots).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::OutOfMemory);
    }
    assert_eq!(arena.bytes_in_use(), 0);
}

#[test]
fn an_untouched_block_costs_nothing_and_a_large_one_has_its_own_chunk() {
    let arena = Arena::new();
    let block = arena.allocate(1 << 30).unwrap();
    assert_eq!(block[(1 << 30) - 1], 0);
    let mut small = arena.allocate(8).unwrap();
    small[7] = 1;
    block.prefetch(5);
    block.prefetch(usize::MAX);
    drop(block);
    assert_eq!(arena.bytes_in_use(), 64);
    assert_eq!(arena.bytes_mapped(), HUGE);
    assert_eq!(small[7], 1);
}

/// Lets 256 tables grow from 64 bytes to 400 KiB, in rounds of 1.3 times the size; returns the
/// largest and the mean part that the arena has above what is in use, in thousandths, once that is
/// over 32 MB.
fn waste_of_growth(seed: Option<u64>) -> (u64, u64) {
    let arena = Arena::new();
    let mut tables: Vec<Block> = (0..256).map(|_| arena.allocate(8).unwrap()).collect();
    let mut chance = seed.map(Chance::new);
    let (mut most, mut sum, mut count) = (0, 0, 0);
    while tables[0].len() < 50_000 {
        let mut order: Vec<usize> = (0..tables.len()).collect();
        if let Some(chance) = &mut chance {
            for at in 0..order.len() {
                order.swap(at, at + chance.index(tables.len() - at));
            }
        }
        for at in order {
            let mut larger = arena.allocate(tables[at].len() * 13 / 10).unwrap();
            let size = tables[at].len();
            larger[..size].copy_from_slice(&tables[at]);
            tables[at] = larger;
            let (mapped, in_use) = (arena.bytes_mapped(), arena.bytes_in_use());
            if in_use > 32_000_000 {
                let waste = (mapped - in_use) * 1000 / in_use;
                (most, sum, count) = (most.max(waste), sum + waste, count + 1);
            }
        }
    }
    (most, sum / count)
}

#[test]
fn tables_that_grow_one_at_a_time_waste_little() {
    let (most, mean) = waste_of_growth(None);
    println!("waste, grown in turn: {most}, mean {mean} of 1000");
    assert!(most < 150 && mean < 80);
    let (most, mean) = waste_of_growth(Some(1));
    println!("waste, grown in any order: {most}, mean {mean} of 1000");
    assert!(most < 250 && mean < 150);
}

#[test]
fn threads_share_an_arena() {
    let arena = Arena::new();
    std::thread::scope(|scope| {
        for seed in 0..4 {
            let arena = &arena;
            scope.spawn(move || {
                let mut chance = Chance::new(seed);
                let mut kept: Vec<Block> = Vec::new();
                for _ in 0..300 {
                    let mut block = arena.allocate(1 + chance.index(30_000)).unwrap();
                    assert!(block.iter().all(|&slot| slot == 0));
                    block.fill(seed + 1);
                    kept.push(block);
                    if kept.len() > 10 {
                        let block = kept.swap_remove(chance.index(kept.len()));
                        assert!(block.iter().all(|slot| *slot == seed + 1));
                    }
                }
            });
        }
    });
    assert_eq!(arena.bytes_in_use(), 0);
}
