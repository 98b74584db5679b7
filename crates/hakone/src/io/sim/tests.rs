//! The simulated disk keeps and loses what it says, and is otherwise as the real one.

use super::*;
use crate::io::RealDisk;
use crate::io::testing::TempDir;

fn content(disk: &dyn Disk, name: &str) -> Vec<u8> {
    let file = disk.open(name).unwrap();
    let mut bytes = vec![0; usize::try_from(file.bytes()).unwrap()];
    file.read_at(0, &mut bytes).unwrap();
    bytes
}

/// A disk with the durable file `log` of four sectors of `a`.
fn durable_log() -> (SimDisk, Arc<dyn File>) {
    let disk = SimDisk::new(1);
    let log = disk.create("log", 2048).unwrap();
    log.write_at(0, &[b'a'; 2048]).unwrap();
    log.sync().unwrap();
    disk.sync_names().unwrap();
    (disk, log)
}

/// Whether each sector is old (all `a`), new (all `b`) or torn.
fn fates(bytes: &[u8]) -> Vec<&'static str> {
    let fate = |sector: &[u8]| {
        assert!(sector.iter().all(|&byte| byte == b'a' || byte == b'b'));
        let changes = sector.windows(2).filter(|two| two[0] != two[1]).count();
        match (changes, sector[0]) {
            (0, b'a') => "old",
            (0, _) => "new",
            (1, _) => "torn",
            _ => panic!("torn twice"),
        }
    };
    bytes.chunks(512).map(fate).collect()
}

#[test]
fn what_is_synced_survives() {
    let (disk, log) = durable_log();
    log.write_at(100, b"bbb").unwrap();
    log.sync().unwrap();
    for seed in 0..100 {
        let bytes = content(&disk.power_cut(seed, NameCut::Prefix), "log");
        assert_eq!(&bytes[99..104], b"abbba");
    }
}

#[test]
fn every_fate_comes_to_every_sector_that_is_not_synced() {
    let (disk, log) = durable_log();
    log.write_at(512, &[b'b'; 1024]).unwrap();
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..500 {
        let bytes = content(&disk.power_cut(seed, NameCut::Prefix), "log");
        seen.insert(fates(&bytes));
    }
    assert!(seen.iter().all(|f| f[0] == "old" && f[3] == "old"));
    assert_eq!(seen.len(), 9, "both sectors in all of three states");
    assert_eq!(fates(&content(&disk, "log"))[1..3], ["new", "new"]);
}

#[test]
fn appends_are_written_at_once_and_durable_after_a_sync() {
    let (disk, log) = durable_log();
    let region = log.map().unwrap();
    let mut appender = region.appender().unwrap();
    assert_eq!(appender.room(2048).unwrap(), [b'a'; 2048]);
    appender.room(700).unwrap().fill(b'b');
    assert_eq!(content(&disk, "log")[0], b'a', "not published");
    appender.publish(600);
    let now = content(&disk.copy(), "log");
    assert_eq!((now[599], now[600]), (b'b', b'a'));
    let all = 0..200;
    let cuts = all.map(|seed| content(&disk.power_cut(seed, NameCut::Prefix), "log"));
    assert!(cuts.filter(|bytes| bytes[..600] == [b'a'; 600]).count() > 10);
    log.sync().unwrap();
    let cut = content(&disk.power_cut(1, NameCut::Prefix), "log");
    assert_eq!((cut[0], cut[599], cut[600]), (b'b', b'b', b'a'));
}

#[test]
fn unsynced_names_survive_from_the_first_on_or_each_alone() {
    let disk = SimDisk::new(1);
    disk.create("old", 1).unwrap();
    disk.sync_names().unwrap();
    disk.create("a", 1).unwrap();
    disk.rename("a", "b").unwrap();
    disk.remove("old").unwrap();
    let after = |cut| -> std::collections::BTreeSet<Vec<String>> {
        let image = |seed| disk.power_cut(seed, cut).list().unwrap();
        (0..200).map(image).collect()
    };
    let prefixes = [vec!["a", "old"], vec!["b"], vec!["b", "old"], vec!["old"]];
    assert!(after(NameCut::Prefix).iter().eq(prefixes.iter()));
    let independent = after(NameCut::Independent);
    assert!(independent.contains(&vec![]), "only the removal");
    assert!(independent.contains(&vec!["a".to_owned()]));
    assert_eq!(independent.len(), 6);
    disk.sync_names().unwrap();
    assert_eq!(disk.power_cut(1, NameCut::Prefix).list().unwrap(), ["b"]);
}

#[test]
fn a_name_made_again_is_another_file() {
    let (disk, _) = durable_log();
    disk.remove("log").unwrap();
    let log = disk.create("log", 3).unwrap();
    log.write_at(0, b"new").unwrap();
    log.sync().unwrap();
    let mut seen = [0; 3];
    for seed in 0..100 {
        let cut = disk.power_cut(seed, NameCut::Prefix);
        match cut.open("log").map(|log| log.bytes()) {
            Ok(2048) => seen[0] += 1,
            Err(_) => seen[1] += 1,
            Ok(_) => seen[2] += usize::from(content(&cut, "log") == b"new"),
        }
    }
    assert!(seen.iter().all(|&times| times > 10), "{seen:?}");
    assert_eq!(seen.iter().sum::<usize>(), 100);
}

#[test]
fn images_are_apart_from_the_disk() {
    let (disk, log) = durable_log();
    let copy = disk.copy();
    let cut = disk.power_cut(1, NameCut::Prefix);
    log.write_at(0, b"b").unwrap();
    cut.open("log").unwrap().write_at(1, b"c").unwrap();
    copy.open("log").unwrap().write_at(2, b"d").unwrap();
    assert_eq!(content(&disk, "log")[..3], *b"baa");
    assert_eq!(content(&cut, "log")[..3], *b"aca");
    assert_eq!(content(&copy, "log")[..3], *b"aad");
    disk.remove("log").unwrap();
    assert_eq!(copy.list().unwrap(), ["log"]);
}

#[test]
fn a_copy_can_lose_what_the_disk_could() {
    let (disk, log) = durable_log();
    log.write_at(0, &[b'b'; 2048]).unwrap();
    disk.rename("log", "other").unwrap();
    let copy = disk.copy();
    assert_eq!(fates(&content(&copy, "other")), ["new"; 4]);
    let lost = (0..100).any(|seed| {
        let cut = copy.power_cut(seed, NameCut::Prefix);
        cut.list().unwrap() == ["log"] && fates(&content(&cut, "log")) == ["old"; 4]
    });
    assert!(lost);
}

#[test]
fn the_hook_hears_each_step_and_may_use_the_disk() {
    let disk = SimDisk::new(1);
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    disk.on_step(move |inner, step| {
        let cut = inner.power_cut(1, NameCut::Prefix);
        cut.create("in the image", 1).unwrap();
        inner.create(&format!("hook {step:?}"), 1).unwrap();
        hears.lock().unwrap().push(step);
    });
    let file = disk.create("a", 10).unwrap();
    file.write_at(0, b"x").unwrap();
    disk.rename("a", "b").unwrap();
    let region = file.map().unwrap();
    region.appender().unwrap().publish(1);
    file.sync().unwrap();
    disk.remove("b").unwrap();
    disk.sync_names().unwrap();
    assert!(disk.open("missing").is_err());
    use Step::{Append, Create, Remove, Rename, Sync, SyncNames, Write};
    let steps = [Create, Write, Rename, Append, Sync, Remove, SyncNames];
    assert_eq!(*heard.lock().unwrap(), steps);
    assert_eq!(disk.list().unwrap().len(), steps.len());
}

#[test]
fn calls_fail_by_their_number_where_the_fault_fits() {
    let (disk, log) = durable_log();
    let raw = |result: Result<()>| result.unwrap_err().raw_os_error();
    disk.fail(disk.calls()..=disk.calls(), Fault::Eio);
    assert_eq!(raw(disk.list().map(drop)), Some(libc::EIO));
    assert_eq!(disk.list().unwrap(), ["log"]);

    disk.fail(disk.calls()..=disk.calls() + 2, Fault::Enospc);
    log.read_at(0, &mut [0]).unwrap();
    assert_eq!(raw(disk.create("x", 1).map(drop)), Some(libc::ENOSPC));
    assert_eq!(raw(log.map().map(drop)), Some(libc::ENOSPC));
    assert_eq!(disk.list().unwrap(), ["log"]);
    assert_eq!(disk.faults_hit(), 3);

    disk.fail(disk.calls()..=disk.calls(), Fault::ShortWrite);
    assert!(log.write_at(0, &[b'b'; 2048]).is_err());
    let bytes = content(&disk, "log");
    let new = bytes.iter().take_while(|&&byte| byte == b'b').count();
    assert!(bytes[new..].iter().all(|&byte| byte == b'a'));
    assert!(new < 2048, "by this seed");
    log.map().unwrap();
}

#[test]
fn what_a_failed_sync_should_have_written_is_never_synced() {
    let (disk, log) = durable_log();
    log.write_at(0, &[b'b'; 1024]).unwrap();
    disk.fail(disk.calls()..=disk.calls(), Fault::FailedSync);
    assert!(log.sync().is_err());
    log.write_at(512, &[b'b'; 512]).unwrap();
    log.sync().unwrap();
    assert_eq!(fates(&content(&disk, "log"))[..2], ["new", "new"]);
    let cut = |seed| fates(&content(&disk.power_cut(seed, NameCut::Prefix), "log"));
    assert!((0..50).any(|seed| cut(seed)[0] == "old"));
    assert!((0..50).all(|seed| cut(seed)[1] == "new"));
    for _ in 0..20 {
        disk.evict();
    }
    assert_eq!(fates(&content(&disk, "log"))[..2], ["old", "new"]);
}

#[test]
fn a_full_disk_makes_no_files() {
    let disk = SimDisk::new(1);
    disk.set_capacity(Some(100));
    disk.create("a", 60).unwrap();
    let error = disk.create("b", 41).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    disk.create("b", 40).unwrap();
    disk.remove("a").unwrap();
    disk.create("c", 60).unwrap();
}

#[test]
fn one_handle_has_the_lock() {
    let disk = SimDisk::new(1);
    let other = disk.clone();
    disk.lock().unwrap();
    disk.lock().unwrap();
    assert_eq!(other.lock().unwrap_err().kind(), ErrorKind::WouldBlock);
    disk.copy().lock().unwrap();
    drop(disk);
    other.lock().unwrap();
}

#[test]
fn damage_is_on_the_disk() {
    let (disk, _log) = durable_log();
    disk.damage("log", 5, b"XY").unwrap();
    assert!(disk.damage("log", 2047, b"XY").is_err());
    assert!(disk.damage("missing", 0, b"XY").is_err());
    let cut = disk.power_cut(1, NameCut::Prefix);
    assert_eq!(&content(&cut, "log")[4..8], b"aXYa");
    assert_eq!(&content(&disk, "log")[4..8], b"aXYa");
}

#[test]
fn the_clock_is_set_by_hand() {
    let disk = SimDisk::new(1);
    disk.set_micros(17);
    assert_eq!(disk.now_micros(), 17);
    assert_eq!(disk.copy().now_micros(), 17);
    assert_eq!(disk.power_cut(1, NameCut::Prefix).now_micros(), 17);
}

/// One step on both disks: what it returns, as far as both can be asked to agree.
fn step(disk: &dyn Disk, open: &mut Vec<Arc<dyn File>>, chance: &mut Chance) -> String {
    const NAMES: [&str; 7] = ["a", "b", "c", "d", "", "x/y", "LOCK"];
    let said = |result: Result<String>| match result {
        Ok(text) => text,
        Err(e) => format!("{:?}", e.kind()),
    };
    let name = NAMES[chance.index(NAMES.len())];
    let other = NAMES[chance.index(NAMES.len())];
    let file = chance.index(open.len().max(1));
    let (offset, len) = (chance.below(5000), chance.index(1500));
    let mut bytes = vec![0; len];
    chance.fill(&mut bytes);
    let keep = |open: &mut Vec<Arc<dyn File>>, file: Arc<dyn File>| {
        let size = file.bytes();
        open.push(file);
        format!("{size}")
    };
    match (chance.below(12), open.get(file).cloned()) {
        (0 | 1, _) => {
            let created = disk.create(name, offset);
            said(created.map(|file| keep(open, file)))
        }
        (2, _) => said(disk.open(name).map(|file| keep(open, file))),
        (3, _) => said(disk.rename(name, other).map(|()| String::new())),
        (4, _) => said(disk.remove(name).map(|()| String::new())),
        (5, _) => said(disk.sync_names().map(|()| String::new())),
        (6, Some(file)) => said(file.sync().map(|()| String::new())),
        (7 | 8, Some(file)) => said(file.write_at(offset, &bytes).map(|()| String::new())),
        (9, Some(file)) => said(
            file.read_at(offset, &mut bytes)
                .map(|()| format!("{bytes:?}")),
        ),
        (10, Some(file)) => {
            let appended = file.map().map(|region| {
                let mut appender = region.appender().unwrap();
                let old = appender.room(len.min(region.len())).unwrap();
                let before = format!("{old:?}");
                let len = old.len();
                old.copy_from_slice(&bytes[..len]);
                appender.publish(len);
                before
            });
            said(appended)
        }
        (11, Some(_)) => {
            drop(open.swap_remove(file));
            String::new()
        }
        _ => format!("{:?}", disk.list().unwrap()),
    }
}

#[test]
fn the_real_and_the_simulated_disk_agree() {
    for seed in 0..20 {
        let directory = TempDir::new();
        let real = RealDisk::open(directory.path(), false).unwrap();
        let simulated = SimDisk::new(seed);
        let (mut on_real, mut on_simulated) = (Vec::new(), Vec::new());
        let mut chance = Chance::new(seed);
        for at in 0..150 {
            let mut same = chance.clone();
            let expected = step(&real, &mut on_real, &mut chance);
            let said = step(&simulated, &mut on_simulated, &mut same);
            assert_eq!(expected, said, "seed {seed}, step {at}");
        }
        assert_eq!(real.list().unwrap(), simulated.list().unwrap());
        for name in real.list().unwrap() {
            assert_eq!(content(&real, &name), content(&simulated, &name));
        }
    }
}
