//! When records expire: addresses by time, so that reclaiming reads nothing that has not expired.
//!
//! Time is cut into buckets of 4 ms times a power of four, each as wide as keeps it small: one that
//! has grown is split. An entry is an address (40 bits) and the low bits of its time (24), so it
//! takes 8 bytes wherever it lies, and a split reads nothing else.

use crate::io::Bell;
use crate::log::{ADDRESS_BITS, Address, lock};
use hakone_command::Millis;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Milliseconds of a tick, which is what times are told apart by: the lag that this adds to
/// reclaiming.
const TICK_MILLIS: u64 = 4;

/// Bits of a tick in an entry, and of the widest bucket: 18.6 hours.
const TICK_BITS: u32 = 64 - ADDRESS_BITS;

/// A split makes four of one.
const SPLIT_BITS: u32 = 2;

/// Entries of a bucket that is split, unless it is one tick: 8 KiB, searched in a third of a
/// microsecond.
const BUCKET_LEN_MAX: usize = 1024;

/// The latest time that the log can say: in the year 10889.
const EXPIRY_MAX: Millis = (1 << 48) - 1;

/// A tick's low bits over an address.
type Entry = u64;

/// The addresses of records with an expiry.
#[derive(Debug, Default)]
pub(crate) struct Deadlines {
    buckets: Mutex<Buckets>,
    alarm: OnceLock<Arc<Alarm>>,
}

/// Buckets by their first tick; no two overlap.
#[derive(Debug, Default)]
struct Buckets(BTreeMap<u64, Bucket>);

#[derive(Debug)]
struct Bucket {
    /// It is 2 to the power of this wide, in ticks, and begins at a multiple of that.
    bits: u32,
    /// Never empty, and of times inside the bucket.
    entries: Vec<Entry>,
}

/// Wakes whoever waits for the next deadline when an earlier one has come.
#[derive(Debug, Default)]
pub(crate) struct Alarm {
    pub(crate) bell: Bell,
    /// Deadlines before this are to be told.
    wanted: AtomicU64,
}

impl Alarm {
    /// Waits until the time that `next` tells (`None`: there is none), at least and at most so
    /// long, or until something earlier has come or the bell is rung.
    pub(crate) fn wait(
        &self,
        now: Millis,
        at_least: Duration,
        at_most: Duration,
        next: impl FnOnce() -> Option<Millis>,
    ) {
        // Every deadline that comes from now on is told, so none slips in between the look at those
        // that are there and the wait.
        self.wanted.store(u64::MAX, Ordering::SeqCst);
        let wait = next().map_or(at_most, |next| {
            Duration::from_millis(next.saturating_sub(now)).clamp(at_least, at_most)
        });
        let until = now.saturating_add(wait.as_millis() as u64);
        self.wanted.store(until, Ordering::SeqCst);
        self.bell.wait(wait);
        self.wanted.store(0, Ordering::SeqCst);
    }
}

fn tick_of(expiry: Millis) -> u64 {
    expiry.min(EXPIRY_MAX) / TICK_MILLIS
}

/// When all records of a tick have expired.
fn end_of(tick: u64) -> Millis {
    (tick + 1) * TICK_MILLIS
}

fn entry(tick: u64, address: Address) -> Entry {
    tick << ADDRESS_BITS | address
}

fn address_of(entry: Entry) -> Address {
    entry & ((1 << ADDRESS_BITS) - 1)
}

impl Bucket {
    /// The tick of an entry in the bucket that begins at `start`.
    fn tick(start: u64, entry: Entry) -> u64 {
        start >> TICK_BITS << TICK_BITS | entry >> ADDRESS_BITS
    }

    fn push(&mut self, entry: Entry) {
        if self.entries.len() == self.entries.capacity() {
            // An eighth more instead of twice as many: what is allocated is what a deadline costs.
            self.entries.reserve_exact(self.entries.len() / 8 + 2);
        }
        self.entries.push(entry);
    }
}

impl Buckets {
    /// The first tick of the bucket that holds this one, if there is one.
    fn start(&self, tick: u64) -> Option<u64> {
        let (start, bucket) = self.0.range(..=tick).next_back()?;
        (tick - start < 1 << bucket.bits).then_some(*start)
    }

    fn add(&mut self, tick: u64, address: Address) {
        let entry = entry(tick, address);
        let Some(start) = self.start(tick) else {
            let bits = self.vacant_bits(tick);
            let entries = vec![entry];
            self.0
                .insert(tick >> bits << bits, Bucket { bits, entries });
            return;
        };
        if let Some(bucket) = self.0.get_mut(&start) {
            bucket.push(entry);
            if bucket.entries.len() > BUCKET_LEN_MAX && bucket.bits > 0 {
                self.split(start);
            }
        }
    }

    /// How wide a new bucket around a tick can be.
    fn vacant_bits(&self, tick: u64) -> u32 {
        let before = self.0.range(..=tick).next_back();
        let before = before.map_or(0, |(start, bucket)| start + (1 << bucket.bits));
        let behind = self.0.range(tick..).next().map_or(u64::MAX, |(s, _)| *s);
        let mut bits = TICK_BITS;
        while bits > 0 {
            let start = tick >> bits << bits;
            if start >= before && behind - start >= 1 << bits {
                break;
            }
            bits -= SPLIT_BITS;
        }
        bits
    }

    fn split(&mut self, start: u64) {
        let Some(bucket) = self.0.remove(&start) else {
            return;
        };
        let bits = bucket.bits - SPLIT_BITS;
        let part = |entry: Entry| (Bucket::tick(start, entry) - start) >> bits;
        for i in 0..1 << SPLIT_BITS {
            let count = bucket.entries.iter().filter(|e| part(**e) == i).count();
            if count > 0 {
                let mut entries = Vec::with_capacity(count + count / 8);
                entries.extend(bucket.entries.iter().filter(|e| part(**e) == i));
                self.0.insert(start + (i << bits), Bucket { bits, entries });
            }
        }
    }

    /// The place of an entry, if it is found without a long search.
    fn find(&mut self, tick: u64, address: Address) -> Option<(u64, usize)> {
        let start = self.start(tick)?;
        let entries = &self.0.get(&start)?.entries;
        // Of more that expire in one tick only the latest are searched; others stay until then.
        let first = entries.len().saturating_sub(BUCKET_LEN_MAX);
        let wanted = entry(tick, address);
        let place = entries[first..].iter().position(|entry| *entry == wanted)?;
        Some((start, first + place))
    }
}

impl Deadlines {
    /// Lets `alarm` know of what comes.
    pub(crate) fn set_alarm(&self, alarm: &Arc<Alarm>) {
        // A database is taken in by one keeper.
        let _ = self.alarm.set(Arc::clone(alarm));
    }

    /// Notes that the record at `address` expires then.
    pub(crate) fn add(&self, expiry: Millis, address: Address) {
        lock(&self.buckets).add(tick_of(expiry), address);
        if let Some(alarm) = self.alarm.get()
            && expiry < alarm.wanted.load(Ordering::Relaxed)
        {
            alarm.bell.ring();
        }
    }

    /// Forgets that the record at `address`, which is no more, would have expired then. May leave
    /// it where very many expire together: whoever reclaims asks the index.
    pub(crate) fn remove(&self, expiry: Millis, address: Address) {
        let mut buckets = lock(&self.buckets);
        if let Some((start, place)) = buckets.find(tick_of(expiry), address)
            && let Some(bucket) = buckets.0.get_mut(&start)
        {
            bucket.entries.swap_remove(place);
            if bucket.entries.is_empty() {
                buckets.0.remove(&start);
            }
        }
    }

    /// Takes out at most `limit` records that have expired at `now`, each with the time by which it
    /// had.
    pub(crate) fn take_due(&self, now: Millis, limit: usize) -> Vec<(Millis, Address)> {
        let mut buckets = lock(&self.buckets);
        let mut due = Vec::new();
        while let Some(mut first) = buckets.0.first_entry()
            && end_of(*first.key()) <= now
        {
            let start = *first.key();
            let entries = &mut first.get_mut().entries;
            // From the back, so that the many of one tick go in slices.
            for place in (0..entries.len()).rev() {
                let by = end_of(Bucket::tick(start, entries[place]));
                if due.len() < limit && by <= now {
                    due.push((by, address_of(entries.swap_remove(place))));
                }
                if due.len() >= limit {
                    break;
                }
            }
            if !entries.is_empty() {
                break;
            }
            first.remove();
        }
        due
    }

    /// When the record that expires first may be reclaimed.
    pub(crate) fn next(&self) -> Option<Millis> {
        let buckets = lock(&self.buckets);
        let (start, bucket) = buckets.0.first_key_value()?;
        if bucket.bits == 0 {
            return Some(end_of(*start));
        }
        let ticks = bucket.entries.iter().map(|e| Bucket::tick(*start, *e));
        ticks.min().map(end_of)
    }

    /// Forgets all.
    pub(crate) fn clear(&self) {
        let cleared = std::mem::take(&mut *lock(&self.buckets));
        drop(cleared);
    }

    /// Some of them for a checkpoint, from tick `from` on, each with a time that leads to the same
    /// tick; and where to go on, if there are more. What is added meanwhile may be left out.
    pub(crate) fn page(&self, from: u64) -> (Vec<(Millis, Address)>, Option<u64>) {
        // 16 buckets: a lock that is held for 10 us
        const BUCKETS: usize = 16;
        let buckets = lock(&self.buckets);
        let mut page = Vec::new();
        let mut next = None;
        for (start, bucket) in buckets.0.range(from..).take(BUCKETS) {
            let each = |entry: &Entry| {
                let tick = Bucket::tick(*start, *entry);
                (tick * TICK_MILLIS, address_of(*entry))
            };
            page.extend(bucket.entries.iter().map(each));
            next = Some(start + (1 << bucket.bits));
        }
        (page, next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::io::chance::Chance;

    fn all(deadlines: &Deadlines) -> Vec<(Millis, Address)> {
        let (mut all, mut from) = (Vec::new(), Some(0));
        while let Some(at) = from {
            let (page, next) = deadlines.page(at);
            all.extend(page);
            from = next;
        }
        all
    }

    fn bytes(deadlines: &Deadlines) -> usize {
        let buckets = lock(&deadlines.buckets);
        // A vector and a key in the map's nodes, which are 7/11 full at least on average, and the
        // allocator's word.
        let of = |b: &Bucket| b.entries.capacity() * 8 + (8 + size_of::<Bucket>()) * 11 / 7 + 16;
        buckets.0.values().map(of).sum()
    }

    #[test]
    fn what_is_due_comes_once_and_nothing_comes_early() {
        let deadlines = Deadlines::default();
        for expiry in 1..1000 {
            deadlines.add(expiry, expiry);
        }
        let mut seen = Vec::new();
        for now in (0..1200).step_by(7) {
            let due = deadlines.take_due(now, 10);
            assert!(due.len() <= 10);
            assert!(
                due.iter().all(|(_, expiry)| *expiry <= now),
                "{now}: {due:?}"
            );
            seen.extend(due.iter().map(|(_, address)| *address));
        }
        seen.sort_unstable();
        assert!(seen.into_iter().eq(1..1000));
        assert_eq!(deadlines.next(), None);
    }

    /// Random additions, removals and takings against a plain map, over milliseconds and years.
    #[test]
    fn deadlines_are_those_of_a_plain_map() {
        for seed in 0..20 {
            let mut chance = Chance::new(seed);
            let deadlines = Deadlines::default();
            let mut map: BTreeMap<Address, Millis> = BTreeMap::new();
            let mut now = 1_800_000_000_000;
            let spans = [20, 5_000, 600_000, 40_000_000_000];
            let spans = &spans[..if seed % 2 == 0 { 4 } else { 2 }];
            for address in 1..20_000 {
                let span = spans[chance.index(spans.len())];
                let expiry = now + 1 + chance.below(span);
                deadlines.add(expiry, address);
                map.insert(address, expiry);
                let gone = 1 + chance.below(address);
                if let Some(expiry) = map.remove(&gone) {
                    deadlines.remove(expiry, gone);
                }
                if chance.below(100) > 0 {
                    continue;
                }
                now += chance.below(span / 4 + 2);
                loop {
                    let limit = 1 + chance.index(300);
                    let due = deadlines.take_due(now, limit);
                    assert!(due.len() <= limit);
                    for (by, address) in &due {
                        let expiry = map.remove(address).expect("only what is there is due");
                        assert!(end_of(tick_of(expiry)) == *by && *by <= now);
                    }
                    if due.is_empty() {
                        break;
                    }
                }
                let left = map.values().map(|expiry| end_of(tick_of(*expiry))).min();
                assert!(left.is_none_or(|left| left > now), "all that was due came");
                assert_eq!(deadlines.next(), left);
            }
            let mut left = all(&deadlines);
            let mut wanted: Vec<_> = map.iter().map(|(a, e)| (e / 4 * 4, *a)).collect();
            left.sort_unstable();
            wanted.sort_unstable();
            assert_eq!(left, wanted);
        }
    }

    #[test]
    fn a_deadline_costs_less_than_ten_bytes_wherever_it_lies() {
        // ten minutes, a day, a year, and all at once
        for span in [600_000, 86_400_000, 31_536_000_000, 1] {
            let mut chance = Chance::new(7);
            let deadlines = Deadlines::default();
            for address in 0..1_000_000 {
                deadlines.add(1_800_000_000_000 + chance.below(span), address);
            }
            let all = bytes(&deadlines);
            assert!(all < 10_000_000, "{all} bytes over {span} ms");
        }
    }

    #[test]
    fn one_who_waits_is_told_of_what_comes_earlier() {
        let deadlines = Arc::new(Deadlines::default());
        let alarm = Arc::new(Alarm::default());
        deadlines.set_alarm(&alarm);
        let hour = Duration::from_hours(1);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| {
                alarm.wait(0, Duration::ZERO, hour, || deadlines.next());
            });
            // Before it waits nothing need be told: it looks itself.
            deadlines.add(10, 1);
            waiting.join().unwrap();
        });
        assert_eq!(deadlines.take_due(14, 9), [(12, 1)]);
    }
}
