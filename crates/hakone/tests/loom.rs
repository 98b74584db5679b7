//! The watermark of the store, by which regions, logs and sealed segments tell other threads what
//! is there, under every order in which two or three threads can meet at it, and every value that
//! weak memory may show them: with relaxed orderings these tests fail.

#[path = "../src/io/watermark.rs"]
mod watermark;

/// What the store takes from the standard library.
mod atomics {
    pub(crate) use loom::sync::atomic::{AtomicU64, Ordering};
}

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;
use watermark::Watermark;

/// Memory that is only as well ordered as its watermark makes it.
#[derive(Debug, Default)]
struct Bytes(AtomicU64);

impl Bytes {
    fn write(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A region: one appender writes behind the mark and then raises it; readers read before it.
#[test]
fn what_lies_before_the_mark_is_seen_whole() {
    loom::model(|| {
        let region: Arc<(Watermark, [Bytes; 2])> = Arc::default();
        let appender = {
            let region = Arc::clone(&region);
            thread::spawn(move || {
                for (i, bytes) in region.1.iter().enumerate() {
                    assert_eq!(region.0.own(), i as u64);
                    bytes.write(7);
                    region.0.set(i as u64 + 1);
                }
            })
        };
        let written = region.0.get();
        for (i, bytes) in region.1.iter().enumerate() {
            if (i as u64) < written {
                assert_eq!(bytes.read(), 7);
            }
        }
        assert!(region.0.get() >= written);
        appender.join().unwrap();
    });
}

/// A log: an appender raises `written`; who syncs carries to the disk what it finds written, and
/// raises `durable`; who sees a change as durable finds it on the disk.
#[test]
fn what_is_durable_was_synced() {
    loom::model(|| {
        #[derive(Debug, Default)]
        struct Log {
            tail: Bytes,
            written: Watermark,
            disk: Bytes,
            durable: Watermark,
        }
        let log: Arc<Log> = Arc::default();
        let appender = {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                log.tail.write(7);
                log.written.set(1);
            })
        };
        let syncer = {
            let log = Arc::clone(&log);
            thread::spawn(move || {
                let written = log.written.get();
                log.disk.write(log.tail.read());
                log.durable.raise(written);
            })
        };
        if log.durable.get() == 1 {
            assert_eq!((log.disk.read(), log.written.get()), (7, 1));
        }
        appender.join().unwrap();
        syncer.join().unwrap();
    });
}

/// Two that sync at once: the mark never falls.
#[test]
fn a_mark_that_is_raised_by_two_stands_at_the_higher() {
    loom::model(|| {
        let durable: Arc<Watermark> = Arc::default();
        let others: Vec<_> = [1, 2]
            .map(|lsn| {
                let durable = Arc::clone(&durable);
                thread::spawn(move || {
                    durable.raise(lsn);
                    assert!(durable.get() >= lsn);
                })
            })
            .into();
        let before = durable.get();
        assert!(durable.get() >= before);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(durable.get(), 2);
    });
}
