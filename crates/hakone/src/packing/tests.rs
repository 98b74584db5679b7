//! Values of all kinds come back from every codec, and what was changed on the way harms nobody.

use super::*;
use crate::io::chance::Chance;
use crate::io::sim::SimDisk;
use crate::keeper::Tuning;
use crate::{Cabinet, DatabaseOptions, Options, now};
use hakone_command::Kind;

fn json(number: u64) -> Vec<u8> {
    let number = number % 1_000_000_000;
    let (town, mark) = (
        ["Hakone", "Takarazuka", "Kyoto"][number as usize % 3],
        number * 7919,
    );
    format!(
        "{{\"id\":{number},\"town\":\"{town}\",\"visits\":{},\"mark\":\"{mark:08x}\",\"open\":{}}}",
        number % 17,
        number.is_multiple_of(2)
    )
    .into_bytes()
}

fn dictionary(numbers: std::ops::Range<u64>) -> Vec<u8> {
    let mut sample = Sample::default();
    for number in numbers {
        sample.add(&json(number));
    }
    sample.train().unwrap()
}

fn frame<'a>(packed: &'a Packed<'_>) -> Frame<'a> {
    Frame {
        kind: packed.kind(),
        more: false,
        database: 1,
        version: 5,
        lsn: None,
        expiry: 0,
        flags: 0,
        key: b"key",
        value: packed.value().head,
        bytes: 0,
    }
}

fn packings() -> Vec<Packing> {
    let all = Compression::ALL.iter();
    let packings: Vec<_> = all
        .map(|(_, compression)| Packing::new(*compression))
        .collect();
    packings[3].add_dictionary(300, &dictionary(0..1000));
    packings
}

#[test]
fn every_value_comes_back_from_every_codec() {
    let mut chance = Chance::new(1);
    let mut noise = vec![0; 5000];
    chance.fill(&mut noise);
    let mut values = vec![vec![], b"short".to_vec(), noise, vec![0; 2 << 20]];
    values.extend((0..100).map(json));
    values.push((0..3000).flat_map(json).collect());
    for packing in packings() {
        for value in &values {
            let packed = packing.pack(Value::whole(value));
            let frame = frame(&packed);
            assert_eq!(frame.raw_bytes(), value.len());
            assert!(frame.value.len() <= value.len(), "never larger");
            let unpacked = packing.unpack(&frame).unwrap();
            assert_eq!(unpacked.as_deref().unwrap_or(frame.value), &value[..]);
            let (head, tail) = value.split_at(value.len() / 3);
            let again = packing.pack(Value { head, tail });
            if packed.kind() == FrameKind::PutPacked {
                assert_eq!(again.value(), packed.value(), "in two parts");
            }
        }
        let large = packing.pack(Value::whole(&values[3]));
        let is_packed = large.value().len() < 10_000;
        assert_eq!(is_packed, packing.compression() != Compression::None);
    }
}

#[test]
fn a_dictionary_packs_small_values_that_are_alike() {
    let packings = packings();
    let packed = |packing: &Packing| {
        let each = (5000..5100).map(|n| packing.pack(Value::whole(&json(n))).value().len());
        each.sum::<usize>()
    };
    let [plain, _, zstd, with] = [0, 1, 2, 3].map(|i| packed(&packings[i]));
    assert!(
        with * 2 < plain && with * 3 < zstd * 2,
        "{with} of {zstd} of {plain}"
    );
}

#[test]
fn a_value_without_its_dictionary_is_corrupt() {
    let packing = packings().remove(3);
    let value = json(1);
    let packed = packing.pack(Value::whole(&value));
    let error = Packing::new(Compression::ZstdDictionary).unpack(&frame(&packed));
    let Err(Error::Corrupt(text)) = error else {
        panic!("not told: {error:?}")
    };
    assert!(
        text.contains("its dictionary, number 300, is missing"),
        "{text}"
    );
}

#[test]
fn damaged_values_neither_panic_nor_grow() {
    let mut chance = Chance::new(2);
    let value: Vec<u8> = (0..30).flat_map(json).collect();
    for packing in packings().split_off(1) {
        let packed = packing.pack(Value::whole(&value));
        let whole = packed.value().head;
        for _ in 0..3000 {
            let mut bad = Buffer::take();
            bad.0
                .extend_from_slice(&whole[..=chance.index(whole.len())]);
            for _ in 0..=chance.below(3) {
                let near = 20 + chance.index(200);
                let at = chance.index(bad.0.len().min(near));
                bad.0[at] ^= 1 << chance.below(8);
            }
            if let Ok(Some(unpacked)) = packing.unpack(&frame(&Packed::Shrunk(bad))) {
                assert!(unpacked.len() <= hakone_command::limits::VALUE_BYTES_MAX);
            }
        }
    }
}

fn cabinet() -> Cabinet {
    let tuning = Tuning {
        background: false,
        ..Tuning::new(&Options::default())
    };
    let disk = SimDisk::new(1);
    // As late as it is: a version far from its segment's makes a frame wide.
    disk.set_micros(now() * 1000);
    Cabinet::open_on(None, Arc::new(disk), tuning).unwrap()
}

/// What is counted as dead while records come and go is what is found dead afterwards.
#[test]
fn dead_bytes_are_counted_right_however_values_are_packed() {
    for kind in [Kind::Hash, Kind::Tree] {
        let cabinet = cabinet();
        let mut options = DatabaseOptions::new(kind);
        let database = cabinet.create("database", options).unwrap();
        let keeper = cabinet.keeper();
        let mut chance = Chance::new(3);
        for (word, compression) in Compression::ALL {
            options.compression = *compression;
            cabinet.alter("database", options).unwrap();
            for _ in 0..3000 {
                let key = chance.below(300).to_le_bytes();
                let lines = [1, 1, 3, 40][chance.index(4)];
                let value: Vec<u8> = (0..lines).flat_map(|_| json(chance.next())).collect();
                match chance.below(4) {
                    0 => drop(database.remove(&key).unwrap()),
                    _ => database.put(&key, &value).unwrap(),
                }
            }
            cabinet.sync().unwrap();
            // The tail is looked at when it is sealed, too.
            keeper.log.seal_tail();
            cabinet.sync().unwrap();
            let dead = || {
                let segments = keeper.log.table.all();
                let each = |s: &Arc<crate::log::Segment>| (s.number, s.dead());
                segments.iter().map(each).collect::<Vec<_>>()
            };
            let counted = dead();
            database
                .store()
                .needs_recount
                .store(true, Ordering::Relaxed);
            keeper.recount().unwrap();
            for ((number, counted), (_, found)) in counted.into_iter().zip(dead()) {
                // Of a segment's header nothing is counted.
                let off = found.abs_diff(counted);
                assert!(off <= 64, "{kind:?}, {word}, {number}: {counted}, {found}");
            }
        }
    }
}

#[test]
fn a_dictionary_is_made_once_there_is_enough_for_one() {
    let cabinet = cabinet();
    let all = [(Kind::Hash, false), (Kind::Tree, false), (Kind::Hash, true)];
    for (kind, memory) in all {
        let options = DatabaseOptions {
            compression: Compression::ZstdDictionary,
            memory,
            ..DatabaseOptions::new(kind)
        };
        let name = format!("{kind:?} {memory}");
        let database = cabinet.create(&name, options).unwrap();
        let packing = &database.store().packing;
        for number in 0..1000_u64 {
            cabinet.keeper().train_missing().unwrap();
            assert!(packing.wants_dictionary(), "{number}");
            database.put(&number.to_le_bytes(), &json(number)).unwrap();
        }
        cabinet.keeper().train_missing().unwrap();
        assert!(!packing.wants_dictionary());
        // Asked for again, another is made.
        cabinet.alter(&name, options).unwrap();
        let ids: Vec<_> = packing
            .dictionaries()
            .iter()
            .map(|there| there.id)
            .collect();
        assert_eq!(ids, [1, 2]);
        database.put(b"last", &json(7)).unwrap();
        assert_eq!(database.get(b"last").unwrap(), Some(json(7)));
    }
}
