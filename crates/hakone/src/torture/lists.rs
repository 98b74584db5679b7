//! Lists through power cuts: after every step of every operation a list is whole, its length and
//! elements are those of one moment, and so are the records of its database.
#![expect(clippy::cast_possible_wrap, reason = "a test has few records")]

use super::images_wanted;
use super::subject::{Chore, Subject};
use crate::io::chance::Chance;
use crate::io::sim::{NameCut, SimDisk};
use crate::{Command, Database, DatabaseOptions, End, Kind, List, Reply};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// Operations of a script.
const OPERATIONS: usize = 150;

/// When scripts run, in milliseconds.
const NOW: u64 = 1_800_000_000_000;

/// What a database and its two lists hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct State {
    lists: [VecDeque<Vec<u8>>; 2],
    records: Vec<Vec<u8>>,
}

fn database(subject: &Subject, kind: Kind) -> Database {
    let options = DatabaseOptions::new(kind);
    subject.create("database", options).unwrap()
}

fn lists(database: &Database) -> [List; 2] {
    [b"one", b"two"].map(|name| database.list(name).unwrap())
}

/// What the cabinet holds; each list read whole, and its length counted.
fn held(database: &Database) -> State {
    let mut state = State::default();
    for (list, into) in lists(database).iter().zip(&mut state.lists) {
        let all = list.range(0, -1, usize::MAX).unwrap();
        assert_eq!(all.list_len, list.len().unwrap());
        assert_eq!(all.list_len, all.values.len() as u64);
        into.extend(all.values);
    }
    let keys = (0..4_u8).map(|key| vec![key]);
    let there = |key: &Vec<u8>| database.get(key).unwrap().is_some();
    state.records = keys.filter(there).collect();
    state
}

fn value(chance: &mut Chance) -> Vec<u8> {
    let mut value = vec![0; 1 + chance.index(200)];
    chance.fill(&mut value);
    value
}

/// An operation on the database, and what it makes of the state.
fn step(database: &Database, state: &mut State, chance: &mut Chance) {
    let at = chance.index(2);
    let (list, model) = (&lists(database)[at], &mut state.lists[at]);
    let end = [End::Front, End::Back][chance.index(2)];
    match chance.below(20) {
        0..=8 => {
            let values: Vec<_> = (0..chance.below(5)).map(|_| value(chance)).collect();
            list.push(end, &values).unwrap();
            for value in values {
                match end {
                    End::Front => model.push_front(value),
                    End::Back => model.push_back(value),
                }
            }
        }
        9..=13 => {
            for value in list.pop(end, chance.index(4)).unwrap() {
                let expected = match end {
                    End::Front => model.pop_front(),
                    End::Back => model.pop_back(),
                };
                assert_eq!(Some(value), expected);
            }
        }
        14 => {
            let value = value(chance);
            if list.set(-1, &value).unwrap() {
                *model.back_mut().unwrap() = value;
            }
        }
        15 => {
            list.clear().unwrap();
            model.clear();
        }
        16 if chance.one_in(4) => {
            database.clear().unwrap();
            *state = State::default();
        }
        _ => {
            let key = vec![chance.index(4) as u8];
            database.put(&key, b"value").unwrap();
            if !state.records.contains(&key) {
                state.records.push(key);
                state.records.sort_unstable();
            }
        }
    }
}

/// Opens what a power cut has left: it is one of these states, and stays so while what is garbage
/// is collected.
fn open_image(image: &SimDisk, kind: Kind, states: &[State], what: &str) {
    let subject = Subject::open(image).unwrap_or_else(|e| panic!("{what}: {e}"));
    let there = subject.0.database("database");
    let found = there.as_ref().map(held).unwrap_or_default();
    assert!(
        states.contains(&found),
        "{what}: {found:?} is none of the {} states that may be left",
        states.len()
    );
    let database = database(&subject, kind);
    while subject.0.keeper().collect(3).unwrap() > 0 {}
    assert_eq!(held(&database), found, "{what}, collected");
    let lens = found
        .lists
        .iter()
        .map(|list| list.len() + usize::from(!list.is_empty()));
    let hidden = database.store().layers().next().unwrap();
    let mut count = 0;
    let answer = &mut |reply: Reply<'_>| {
        if let Reply::Number(number) = reply {
            count = number;
        }
    };
    hidden.call(&Command::Count, NOW, answer).unwrap();
    assert_eq!(
        count,
        lens.sum::<usize>() as i64,
        "{what}: what no list leads to"
    );
    // Nobody will look at this disk again.
    image.fail(0..=u64::MAX, crate::io::sim::Fault::Eio);
}

/// One script, cut at each of its steps. Returns how many images were opened.
fn script(seed: u64) -> u64 {
    let mut chance = Chance::new(seed);
    let kind = [Kind::Hash, Kind::Tree][seed as usize % 2];
    let disk = SimDisk::new(seed);
    disk.set_micros(NOW * 1000);
    let images: Arc<Mutex<Vec<SimDisk>>> = Arc::default();
    let (taken, mut cuts) = (Arc::clone(&images), Chance::new(seed));
    disk.on_step(move |disk, _| {
        let image = disk.power_cut(cuts.next(), NameCut::Prefix);
        taken.lock().unwrap().push(image);
    });
    let subject = Subject::open(&disk).unwrap();
    let database = database(&subject, kind);
    let mut state = State::default();
    // Each with what was written then.
    let mut states = vec![(0, state.clone())];
    let mut opened = 0;
    for operation in 0..OPERATIONS {
        let durable = subject.0.durable();
        match chance.below(10) {
            0 => drop(subject.chore(Chore::Checkpoint, NOW).unwrap()),
            1 => drop(subject.chore(Chore::Compact, NOW).unwrap()),
            2 => drop(subject.0.keeper().collect(1).unwrap()),
            3 => drop(subject.chore(Chore::Sync, NOW).unwrap()),
            _ => step(&database, &mut state, &mut chance),
        }
        states.push((subject.0.written(), state.clone()));
        // What was durable before the operation is there in every image of it.
        let newest = states.iter().rposition(|(lsn, _)| *lsn <= durable).unwrap();
        states.drain(..newest);
        let possible: Vec<_> = states.iter().map(|(_, state)| state.clone()).collect();
        for image in std::mem::take(&mut *images.lock().unwrap()) {
            let what = format!("seed {seed}, operation {operation}, image {opened}");
            open_image(&image, kind, &possible, &what);
            opened += 1;
        }
    }
    opened
}

#[test]
fn a_power_cut_tears_no_list() {
    let wanted = images_wanted() / 5;
    let (mut opened, mut seed) = (0, 0);
    while opened < wanted {
        opened += script(seed);
        seed += 1;
    }
    println!("lists: {opened} power cuts over {seed} scripts of {OPERATIONS} operations");
}
