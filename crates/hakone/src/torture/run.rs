//! A script of random operations on a cabinet and on the model, and every state that a power cut may
//! leave.

mod transaction;

use super::ask::{Ask, Sizes};
use super::databases::{DATABASES, ON_DISK, options};
use super::subject::{Chore, Content, Subject, ask, content, said_of, version, wordless};
pub(super) use super::tally::Tally;
use crate::io::chance::Chance;
use crate::io::sim::{self, Fault, NameCut, SimDisk};
use crate::model::Model;
use crate::{Database, DatabaseOptions, Guard, Step};
use hakone_command::{Error, Kind, Lsn, Millis, Result, Version};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// When scripts begin, in milliseconds.
const BEGIN: Millis = 1_800_000_000_000;

/// A script under way.
pub(super) struct Run {
    seed: u64,
    chance: Chance,
    sizes: Sizes,
    now: Millis,
    disk: SimDisk,
    subject: Option<Subject>,
    /// The databases as they must be.
    models: Models,
    /// What the databases on disk were after each operation, from an empty cabinet on.
    states: Vec<State>,
    cuts: Arc<Cuts>,
    pub(super) tally: Tally,
}

/// A range of states by their number.
type States = RangeInclusive<usize>;

/// A key that no script uses.
const MARKER: &[u8] = b"marker";

type Models = BTreeMap<&'static str, Arc<Model>>;

/// The databases on disk after an operation.
struct State {
    models: Models,
    /// What was written then.
    lsn: Lsn,
}

/// Disks as power cuts would leave them, to be opened when the operation is over.
#[derive(Default)]
pub(super) struct Cuts {
    images: Mutex<Vec<Image>>,
    /// The newest state that is acknowledged as durable.
    durable: AtomicUsize,
}

struct Image {
    disk: SimDisk,
    after: sim::Step,
    seed: u64,
    durable: usize,
}

/// What became of a damaged cabinet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Damaged {
    /// What it holds is right.
    Right,
    /// The damage was reported.
    Refused,
}

impl Run {
    pub(super) fn new(seed: u64, sizes: Sizes) -> Run {
        let disk = SimDisk::new(seed);
        let mut run = Run {
            seed,
            chance: Chance::new(seed),
            sizes,
            now: BEGIN,
            disk,
            subject: None,
            models: Models::new(),
            states: Vec::new(),
            cuts: Arc::default(),
            tally: Tally::default(),
        };
        run.tick(0);
        run
    }

    pub(super) fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// From now on takes an image of the disk after each of its steps.
    pub(super) fn cut_at_each_step(&mut self) {
        let mut chance = Chance::new(self.chance.next());
        take_images(&self.disk, &self.cuts, chance.next());
    }

    /// Opens the cabinet for the first time.
    pub(super) fn open(&mut self) -> Result<()> {
        self.states.push(State {
            models: Models::new(),
            lsn: 0,
        });
        self.subject = Some(Subject::open(&self.disk)?);
        self.note();
        Ok(())
    }

    /// Carries out the next operation of the script on the cabinet and the model, and compares.
    /// What the cabinet refuses must not have happened.
    pub(super) fn step(&mut self) -> Result<()> {
        self.tally.operations += 1;
        let what = self.chance.below(100);
        let result = match what {
            0..=4 => self.chore(Chore::Sync),
            5 => self.chore(Chore::Checkpoint),
            6..=8 => self.chore(Chore::Compact),
            9 => self.chore(Chore::Reclaim),
            10 => self.chore(Chore::Prepare),
            11 => self.chore(Chore::Settle),
            12 => self.chore(Chore::Alter),
            13 if self.chance.one_in(2) => self.chore(Chore::Rewrite),
            13..=15 => {
                let millis = self.chance.below(100);
                self.tick(millis);
                Ok(())
            }
            16..=22 => self.batch(),
            23..=29 => self.transaction(),
            _ => self.ask(),
        };
        self.note();
        result
    }

    fn tick(&mut self, millis: u64) {
        self.now += millis;
        self.disk.set_micros(self.now * 1000);
    }

    pub(super) fn chore(&mut self, chore: Chore) -> Result<()> {
        let done = self.subject().chore(chore, self.now)?;
        if done > 0 {
            *self.tally.chores.entry(chore).or_default() += 1;
        }
        Ok(())
    }

    fn ask(&mut self) -> Result<()> {
        let of = if self.chance.one_in(6) {
            &DATABASES[ON_DISK..]
        } else {
            &DATABASES[..ON_DISK]
        };
        let (name, kind, memory) = of[self.chance.index(of.len())];
        let asked = Ask::random(&mut self.chance, self.sizes, kind, self.now);
        let now = self.now;
        let what = self.what(&format!("{name}: {asked:?}"));
        let mut database = self.database(name, kind, memory)?;
        let model = Arc::make_mut(self.models.entry(name).or_default());
        let before = model.clone();
        let expected = ask(model, &asked, kind, now);
        match (ask(&mut database, &asked, kind, now), expected) {
            (Ok(said), Ok(expected)) => {
                if asked.counts_expired() {
                    check_count(&said, &before, &asked, now, &what);
                } else {
                    assert_eq!(said, expected, "{what}");
                }
                Ok(())
            }
            (Err(e), Err(expected)) => {
                assert_eq!(e, expected, "{what}");
                Ok(())
            }
            (Ok(said), Err(expected)) => panic!("{what}: {said} instead of {expected}"),
            (Err(e @ (Error::Invalid(_) | Error::Unsupported(_))), Ok(expected)) => {
                panic!("{what}: {e:?} instead of {expected}")
            }
            (Err(e), Ok(_)) => {
                *model = before;
                Err(e)
            }
        }
    }

    /// The database of a script, made if there is none yet.
    fn database(&mut self, name: &'static str, kind: Kind, memory: bool) -> Result<Database> {
        if let Ok(there) = self.subject().database(name) {
            return Ok(there);
        }
        let options = options(name, kind, memory, self.seed);
        let made = self.subject().create(name, options)?;
        self.models.insert(name, Arc::new(Model::new(options)));
        self.note();
        Ok(made)
    }

    /// Several operations on several databases as one batch, guarded now and then; the model does
    /// them one by one.
    fn batch(&mut self) -> Result<()> {
        let now = self.now;
        let mut asks: Vec<(&str, Kind, Database, Ask, Version)> = Vec::new();
        for _ in 0..self.chance.below(6) {
            let (name, kind, memory) = DATABASES[self.chance.index(DATABASES.len())];
            let asked = Ask::random(&mut self.chance, self.sizes, kind, now);
            let database = self.database(name, kind, memory)?;
            let version = version(&mut database.clone(), &asked, now)?;
            // A version is known from before the batch: an earlier step may have changed it.
            let is_late = asked.versioned_key().is_some() && asks.iter().any(|ask| ask.0 == name);
            if !is_late && asked.is_for_batches() {
                asks.push((name, kind, database, asked, version));
            }
        }
        let asked: Vec<_> = asks
            .iter()
            .map(|(name, _, _, ask, _)| (name, ask))
            .collect();
        let what = self.what(&format!("batch {asked:?}"));
        // A guard on the record that a versioned put expects, or on one that is not so.
        let holds = !self.chance.one_in(8);
        let mut guards = Vec::new();
        for (_, _, database, ask, version) in &asks {
            if let Some(key) = ask.versioned_key() {
                let version = if holds { *version } else { Version::MAX };
                guards.push(Guard {
                    database,
                    key,
                    version,
                });
            }
        }
        let steps: Vec<_> = asks
            .iter()
            .map(|(_, _, database, ask, version)| Step {
                database,
                command: ask.command(*version),
            })
            .collect();
        let mut answers = Vec::new();
        let cabinet = &self.subject().0;
        let done = cabinet.batch(&guards, &steps, now, &mut |i, reply| {
            assert_eq!(i, answers.len(), "{what}");
            let said = reply.map(|reply| said_of(&asks[i].3, reply));
            answers.push(said.map_err(wordless));
        })?;
        if !holds && !guards.is_empty() {
            assert_eq!((done, answers.len()), (None, 0), "{what}");
            return Ok(());
        }
        assert!(done.is_some() && answers.len() == asks.len(), "{what}");
        for ((name, kind, _, asked, _), said) in asks.iter().zip(answers) {
            let model = Arc::make_mut(self.models.entry(name).or_default());
            let before = model.clone();
            match (said, ask(model, asked, *kind, now)) {
                (Ok(said), Ok(_)) if asked.counts_expired() => {
                    check_count(&said, &before, asked, now, &what);
                }
                (said, expected) => assert_eq!(said, expected, "{what}: {asked:?}"),
            }
        }
        Ok(())
    }

    /// Notes the state after an operation, and which one is durable; then opens the images that
    /// were taken during it.
    pub(super) fn note(&mut self) {
        let is_file = |name: &str| DATABASES.iter().any(|(n, _, memory)| *n == name && !memory);
        let files = self.models.iter().filter(|(name, _)| is_file(name));
        let models = files
            .map(|(name, model)| (*name, Arc::clone(model)))
            .collect();
        let Some(Subject(cabinet)) = &self.subject else {
            return;
        };
        let lsn = cabinet.written();
        let durable = cabinet.durable();
        assert!(durable <= lsn, "{}", self.what("durable before written"));
        self.states.push(State { models, lsn });
        let newest = self.newest_of(durable);
        self.cuts.durable.fetch_max(newest, Ordering::Relaxed);
        self.open_images();
    }

    fn open_images(&mut self) {
        let images = std::mem::take(&mut *self.cuts.images.lock().unwrap());
        for image in images {
            *self.tally.images.entry(image.after).or_default() += 1;
            self.open_image(&image);
        }
    }

    /// Opens what a power cut has left; now and then cuts the power again while it is opened, or
    /// goes on for a while.
    fn open_image(&mut self, image: &Image) {
        let what = self.what(&format!("image {} after {:?}", image.seed, image.after));
        let mut chance = Chance::new(image.seed);
        let again = Arc::new(Cuts::default());
        if chance.one_in(8) {
            take_images(&image.disk, &again, chance.next());
        }
        let newest = self.newest();
        let (subject, found) = self.recover(&image.disk, image.durable..=newest, &what);
        *self.tally.lost.entry(newest - found).or_default() += 1;
        let images = std::mem::take(&mut *again.images.lock().unwrap());
        for second in images {
            self.tally.second_cuts += 1;
            let what = format!("{what}, second {} after {:?}", second.seed, second.after);
            let (subject, _) = self.recover(&second.disk, image.durable..=newest, &what);
            abandon(&second.disk, subject);
        }
        if chance.one_in(8) {
            self.go_on(&image.disk, &subject, found, &mut chance, &what);
        }
        abandon(&image.disk, subject);
    }

    /// Opens a disk and finds the state that it holds, which must be one of these.
    fn recover(&self, disk: &SimDisk, states: States, what: &str) -> (Subject, usize) {
        match Subject::open(disk) {
            Ok(subject) => {
                let found = self.find(&subject, states, what);
                (subject, found)
            }
            Err(e) => panic!("{what}: {e}"),
        }
    }

    /// What a cabinet says to be durable after it was opened is, and what it writes then is too.
    fn go_on(
        &self,
        disk: &SimDisk,
        subject: &Subject,
        found: usize,
        chance: &mut Chance,
        what: &str,
    ) {
        let durable = self.newest_of(subject.0.durable()).min(found);
        let cut = disk.power_cut(chance.next(), NameCut::Prefix);
        self.recover(&cut, durable..=found, &format!("{what}, cut when opened"));
        let put = Ask::put(MARKER, b"here");
        let memory = false;
        let kind = Kind::Hash;
        let put = subject
            .create(
                "hash",
                DatabaseOptions {
                    memory,
                    ..DatabaseOptions::new(kind)
                },
            )
            .and_then(|mut hash| ask(&mut hash, &put, kind, self.now))
            .and_then(|_| subject.chore(Chore::Sync, self.now));
        if let Err(e) = put {
            panic!("{what}: writing after it was opened: {e}");
        }
        let what = format!("{what}, cut after the next write");
        let cut = disk.power_cut(chance.next(), NameCut::Prefix);
        let held = Subject::open(&cut).and_then(|subject| self.contents(&subject));
        let mut held = held.unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut expected = self.expected(found);
        expected.entry("hash").or_default();
        let hash = held.entry("hash").or_default();
        let count = hash.len();
        hash.retain(|(key, _)| key != MARKER);
        assert_eq!(hash.len() + 1, count, "{what}: it is gone");
        assert!(held == expected, "{what}: {}", difference(&held, &expected));
    }

    /// The newest of these states that the cabinet holds.
    fn find(&self, subject: &Subject, states: States, what: &str) -> usize {
        let held = match self.contents(subject) {
            Ok(held) => held,
            Err(e) => panic!("{what}: {e}"),
        };
        let (first, last) = (*states.start(), *states.end());
        let found = states.rev().find(|&state| held == self.expected(state));
        found.unwrap_or_else(|| {
            panic!(
                "{what}: none of the states {first} to {last}; against the last: {}; against the \
                 first: {}",
                difference(&held, &self.expected(last)),
                difference(&held, &self.expected(first)),
            )
        })
    }

    pub(super) fn newest(&self) -> usize {
        self.states.len() - 1
    }

    /// The newest state of which all is written before `lsn`.
    fn newest_of(&self, lsn: Lsn) -> usize {
        let newest = self.states.iter().rposition(|state| state.lsn <= lsn);
        newest.unwrap_or(0)
    }

    fn contents(&self, subject: &Subject) -> Result<BTreeMap<&'static str, Content>> {
        let mut held = BTreeMap::new();
        for (name, kind, memory) in DATABASES {
            if memory {
                continue;
            }
            if let Ok(mut database) = subject.database(name) {
                held.insert(name, content(&mut database, kind, self.now)?);
            }
        }
        Ok(held)
    }

    fn expected(&self, state: usize) -> BTreeMap<&'static str, Content> {
        let models = self.states[state].models.iter();
        let contents = models.map(|(name, model)| {
            let mut model = Model::clone(model);
            let content = content(&mut model, Kind::Tree, self.now);
            (*name, content.expect("the model has no disk"))
        });
        contents.collect()
    }

    /// Opens a disk that was damaged: that is refused with the name of a segment, by the opening or
    /// by a read, or the cabinet holds `first` or a later state.
    pub(super) fn open_damaged(&self, disk: &SimDisk, first: usize, what: &str) -> Damaged {
        let opened = Subject::open(disk);
        let held = opened.and_then(|subject| Ok((self.contents(&subject)?, subject)));
        match held {
            Ok((_, subject)) => {
                self.find(&subject, first..=self.newest(), what);
                Damaged::Right
            }
            Err(Error::Corrupt(text)) => {
                assert!(text.contains("segment"), "{what}: {text}");
                Damaged::Refused
            }
            Err(e) => panic!("{what}: {e:?}"),
        }
    }

    /// Writes a record of more than a sector to a database on disk.
    pub(super) fn put_marker(&mut self) -> Result<()> {
        let put = Ask::put(MARKER, &[b'm'; 700]);
        let mut tree = self.subject().database("tree")?;
        ask(&mut tree, &put, Kind::Tree, self.now)?;
        let model = Arc::make_mut(self.models.entry("tree").or_default());
        ask(model, &put, Kind::Tree, self.now)?;
        self.note();
        Ok(())
    }

    /// Closes the cabinet.
    pub(super) fn close(&mut self) {
        let closed = self.try_to_close();
        assert_eq!(closed, Ok(()), "{}", self.what("close"));
    }

    /// Closes the cabinet, or lets it go if that fails.
    pub(super) fn try_to_close(&mut self) -> Result<()> {
        let closed = self.subject().0.close();
        self.note();
        self.subject = None;
        closed
    }

    /// Closes the cabinet and opens it again.
    pub(super) fn close_and_open(&mut self) -> Result<()> {
        self.close();
        self.reopen(self.newest())
    }

    /// Kills the process and opens the cabinet again.
    pub(super) fn kill_and_open(&mut self) -> Result<()> {
        self.disk = self.disk.copy();
        self.subject = None;
        self.reopen(self.newest())
    }

    /// Cuts the power and opens the cabinet again.
    pub(super) fn cut_and_open(&mut self) -> Result<()> {
        let seed = self.chance.next();
        self.disk = self.disk.power_cut(seed, name_cut(seed));
        self.subject = None;
        self.reopen(self.cuts.durable.load(Ordering::Relaxed))
    }

    /// The open cabinet holds what it should.
    pub(super) fn check_open(&self, what: &str) {
        for (name, kind, _) in DATABASES {
            if let Ok(mut database) = self.subject().database(name) {
                let model = self.models.get(name);
                let mut model = model.map_or_else(Model::default, |model| Model::clone(model));
                let held = content(&mut database, kind, self.now);
                if matches!(held, Err(Error::Io(_))) {
                    // What is not in memory can't be read from a dead disk.
                    continue;
                }
                let expected = content(&mut model, Kind::Tree, self.now);
                assert!(held == expected, "{what}, still open, {name}: {held:?}");
            }
        }
    }

    /// The disk holds what it should for a new process, and after a power cut.
    pub(super) fn check_disk(&mut self, what: &str) {
        let newest = self.newest();
        let durable = self.cuts.durable.load(Ordering::Relaxed);
        let mut chance = Chance::new(self.chance.next());
        let copy = self.disk.copy();
        for _ in 0..2 {
            let cut = copy.power_cut(chance.next(), NameCut::Prefix);
            let what = format!("{what}, power cut");
            let (subject, _) = self.recover(&cut, durable..=newest, &what);
            abandon(&cut, subject);
        }
        copy.evict();
        let what = format!("{what}, new process");
        let (subject, found) = self.recover(&copy, durable..=newest, &what);
        self.go_on(&copy, &subject, found, &mut chance, &what);
        abandon(&copy, subject);
    }

    /// Opens the cabinet when the first try has failed.
    pub(super) fn open_again(&mut self, what: &str) {
        self.disk = self.disk.copy();
        if let Err(e) = self.open() {
            panic!("{what}, opened again: {e}");
        }
    }

    /// Goes on with what a new cabinet on the disk holds: `durable` or a later state.
    fn reopen(&mut self, durable: usize) -> Result<()> {
        self.tally.reopened += 1;
        let what = self.what("reopen");
        let subject = Subject::open(&self.disk)?;
        let found = self.find(&subject, durable..=self.newest(), &what);
        self.states.truncate(found + 1);
        self.models = self.states[found].models.clone();
        self.cuts.durable.fetch_min(found, Ordering::Relaxed);
        self.subject = Some(subject);
        self.note();
        Ok(())
    }

    fn subject(&self) -> &Subject {
        self.subject.as_ref().expect("the script has been opened")
    }

    fn what(&self, what: &str) -> String {
        let Run { seed, tally, .. } = self;
        format!("seed {seed}, operation {}: {what}", tally.operations)
    }
}

/// Drops a cabinet that is no longer needed, without the work of closing it.
fn abandon(disk: &SimDisk, subject: Subject) {
    disk.fail(0..=u64::MAX, Fault::Eio);
    drop(subject);
}

/// Lets images of a disk be taken after each of its steps.
fn take_images(disk: &SimDisk, cuts: &Arc<Cuts>, seed: u64) {
    let (cuts, mut chance) = (Arc::clone(cuts), Chance::new(seed));
    disk.on_step(move |disk, after| {
        let seed = chance.next();
        let image = Image {
            disk: disk.power_cut(seed, name_cut(seed)),
            after,
            seed,
            durable: cuts.durable.load(Ordering::Relaxed),
        };
        cuts.images.lock().unwrap().push(image);
    });
}

fn name_cut(seed: u64) -> NameCut {
    [NameCut::Prefix, NameCut::Independent][usize::from(seed.is_multiple_of(4))]
}

/// Records that have expired may still be counted, or not.
fn check_count(said: &str, before: &Model, asked: &Ask, now: Millis, what: &str) {
    let number = |text: &str| -> usize {
        let digits = text.trim_start_matches("Number(").trim_end_matches(')');
        digits.parse().unwrap_or_else(|_| panic!("{what}: {text}"))
    };
    let count = |model: &mut Model| {
        let said = ask(model, asked, Kind::Tree, now);
        number(&said.expect("the model has no disk"))
    };
    let live = count(&mut before.without_expired(now));
    let all = count(&mut before.clone());
    let said = number(said);
    assert!((live..=all).contains(&said), "{what}: {said}");
}

/// Where two contents first differ.
fn difference(
    held: &BTreeMap<&'static str, Content>,
    expected: &BTreeMap<&'static str, Content>,
) -> String {
    for (name, ..) in DATABASES {
        let (held, expected) = match (held.get(name), expected.get(name)) {
            (Some(held), Some(expected)) => (held, expected),
            (None, None) => continue,
            (held, _) => return format!("{name} is there: {}", held.is_some()),
        };
        for i in 0..held.len().max(expected.len()) {
            let (held, expected) = (held.get(i), expected.get(i));
            if held != expected {
                return format!("{name}, record {i}: {held:.60?} instead of {expected:.60?}");
            }
        }
    }
    "no difference".to_owned()
}
