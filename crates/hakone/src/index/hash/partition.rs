//! One partition: a table of slots in tag order, probed linearly and without wrapping.
//!
//! A tag's home is its share of the table, so that homes are in tag order whatever the table's
//! size: the table grows from the slots alone, and a scan by tag goes on where it was after growth.
//! Invariant: between a slot's home and its place no slot is empty.

use super::TAG_BITS;
use crate::io::{Arena, Block};
use crate::log::{ADDRESS_BITS, Address};
use hakone_command::{Lsn, Result};
use std::alloc::{Layout, handle_alloc_error};
use std::sync::Arc;

/// Places behind the last home for the run that begins there, and as many again whenever it needs
/// more.
const OVERFLOW: usize = 16;

/// Slots of the first table.
const HOMES_MIN: usize = 8;

/// A tag in the upper 24 bits, an address in the lower 40; 0 is empty.
type Slot = u64;

/// A partition's slots and counters.
#[derive(Debug)]
pub(crate) struct Partition {
    slots: Slots,
    homes: usize,
    len: usize,
    bytes: u64,
    last: Lsn,
}

/// A table in the arena's huge pages; none while it is empty.
#[derive(Debug)]
struct Slots {
    arena: Arc<Arena>,
    block: Option<Block>,
}

impl Slots {
    /// A table of so many empty slots beside this one. As a vector does, it ends the process where
    /// there is no memory.
    fn allocate(&self, len: usize) -> Slots {
        let arena = Arc::clone(&self.arena);
        match arena.allocate(len) {
            Ok(block) => Slots {
                arena,
                block: Some(block),
            },
            Err(_) => {
                handle_alloc_error(Layout::array::<Slot>(len).unwrap_or(Layout::new::<Slot>()))
            }
        }
    }
}

impl std::ops::Deref for Slots {
    type Target = [Slot];

    #[inline]
    fn deref(&self) -> &[Slot] {
        self.block.as_deref().unwrap_or_default()
    }
}

impl std::ops::DerefMut for Slots {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Slot] {
        self.block.as_deref_mut().unwrap_or_default()
    }
}

/// What a search has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The key's record, at this place in the table.
    At(usize, Address),
    /// The key has none; a new slot would go here, if the table has that place.
    Vacant(usize),
}

fn slot(tag: u32, address: Address) -> Slot {
    u64::from(tag) << ADDRESS_BITS | address
}

fn tag(slot: Slot) -> u32 {
    (slot >> ADDRESS_BITS) as u32
}

/// The address in a slot.
fn slot_address(slot: u64) -> Address {
    slot & ((1 << ADDRESS_BITS) - 1)
}

fn home(tag: u32, homes: usize) -> usize {
    ((u64::from(tag) * homes as u64) >> TAG_BITS) as usize
}

impl Partition {
    /// A partition without records.
    pub(crate) fn new(arena: Arc<Arena>) -> Partition {
        let slots = Slots { arena, block: None };
        Partition {
            slots,
            homes: 0,
            len: 0,
            bytes: 0,
            last: 0,
        }
    }

    /// How many records there are.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// How many bytes their frames take.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The lsn of the last change.
    pub(crate) fn last(&self) -> Lsn {
        self.last
    }

    /// Tells the processor that the slots of a tag will be read.
    #[inline]
    pub(crate) fn prefetch(&self, tag: u32) {
        if let Some(block) = &self.slots.block {
            block.prefetch(home(tag, self.homes));
        }
    }

    /// The address of the first slot with this tag: most often the record that is looked for.
    #[inline]
    pub(crate) fn guess(&self, wanted: u32) -> Option<Address> {
        let run = self.slots.get(home(wanted, self.homes)..)?;
        let run = run.iter().take_while(|slot| **slot != 0);
        run.copied()
            .find(|slot| tag(*slot) == wanted)
            .map(slot_address)
    }

    /// Searches the slots of a tag for the one that `is_it`.
    #[inline]
    pub(crate) fn find(
        &self,
        wanted: u32,
        mut is_it: impl FnMut(Address) -> Result<bool>,
    ) -> Result<Found> {
        let mut place = home(wanted, self.homes);
        while let Some(&slot) = self.slots.get(place) {
            if slot == 0 {
                break;
            }
            if tag(slot) == wanted && is_it(slot_address(slot))? {
                return Ok(Found::At(place, slot_address(slot)));
            }
            place += 1;
        }
        Ok(Found::Vacant(place))
    }

    /// The place where a slot of this tag would go.
    pub(crate) fn vacant(&self, tag: u32) -> usize {
        let first = home(tag, self.homes);
        let run = self.slots.get(first..).unwrap_or_default().iter();
        first + run.take_while(|slot| **slot != 0).count()
    }

    /// The place of the slot that has just this tag and address.
    pub(crate) fn place_of(&self, tag: u32, address: Address) -> Option<usize> {
        let wanted = slot(tag, address);
        let first = home(tag, self.homes);
        let run = self
            .slots
            .get(first..)?
            .iter()
            .take_while(|slot| **slot != 0);
        run.copied()
            .position(|slot| slot == wanted)
            .map(|i| first + i)
    }

    /// Counts a change with this lsn and difference in bytes.
    #[inline]
    pub(crate) fn changed(&mut self, lsn: Lsn, added: usize, gone: usize) {
        self.last = self.last.max(lsn);
        self.bytes = self
            .bytes
            .saturating_add(added as u64)
            .saturating_sub(gone as u64);
    }

    /// Lets the slot at `place` lead elsewhere. Returns where it led before.
    #[inline]
    pub(crate) fn redirect(&mut self, place: usize, address: Address) -> Address {
        let old = self.slots[place];
        self.slots[place] = slot(tag(old), address);
        slot_address(old)
    }

    /// Puts a new slot at the vacant `place` that a search for `tag` has found.
    pub(crate) fn insert(&mut self, place: usize, tag: u32, address: Address) {
        // 85 % of the homes: longer runs cost more than the memory is worth
        if (self.len + 1) * 100 > self.homes * 85 {
            self.grow();
            self.place(slot(tag, address));
        } else if place == self.slots.len() {
            self.place(slot(tag, address));
        } else {
            self.slots[place] = slot(tag, address);
        }
        self.len += 1;
    }

    /// Removes the slot at `place`, and moves those behind it that may stand nearer to their homes.
    /// Returns where it led.
    pub(crate) fn remove(&mut self, place: usize) -> Address {
        let old = slot_address(self.slots[place]);
        let mut gap = place;
        let mut next = gap + 1;
        while let Some(&slot) = self.slots.get(next) {
            if slot == 0 {
                break;
            }
            if home(tag(slot), self.homes) <= gap {
                self.slots[gap] = slot;
                gap = next;
            }
            next += 1;
        }
        self.slots[gap] = 0;
        self.len -= 1;
        old
    }

    /// Removes all slots.
    pub(crate) fn clear(&mut self) {
        let arena = Arc::clone(&self.slots.arena);
        let last = self.last;
        *self = Partition {
            last,
            ..Partition::new(arena)
        };
    }

    /// Puts a slot at the first free place of its run.
    fn place(&mut self, slot: Slot) {
        let first = home(tag(slot), self.homes);
        let run = self.slots[first..]
            .iter()
            .take_while(|slot| **slot != 0)
            .count();
        if first + run == self.slots.len() {
            let mut longer = self.slots.allocate(self.slots.len() + OVERFLOW);
            longer[..self.slots.len()].copy_from_slice(&self.slots);
            self.slots = longer;
        }
        self.slots[first + run] = slot;
    }

    fn grow(&mut self) {
        // 1.3: the table is 65 to 85 % full, 10.7 bytes a record on average
        self.homes = (self.homes * 13 / 10).max(HOMES_MIN).next_multiple_of(8);
        let larger = self.slots.allocate(self.homes + OVERFLOW);
        let old = std::mem::replace(&mut self.slots, larger);
        for slot in old.iter().filter(|slot| **slot != 0) {
            self.place(*slot);
        }
    }

    /// Hands out all slots whose tags are at least `from` until about `limit` have come, and
    /// returns the tag to go on from, or `None` at the end. A record that is there all the time
    /// comes once, whatever happens between two calls.
    pub(crate) fn page(
        &self,
        from: u32,
        limit: usize,
        mut each: impl FnMut(Address),
    ) -> Option<u32> {
        let mut count = 0;
        for place in home(from, self.homes)..self.slots.len() {
            let slot = self.slots[place];
            if slot != 0 {
                if tag(slot) >= from {
                    each(slot_address(slot));
                    count += 1;
                }
            } else if count >= limit && place + 1 < self.homes {
                // No run crosses an empty slot: every tag with a home up to here has been seen.
                let next = ((place as u64 + 1) << TAG_BITS).div_ceil(self.homes as u64);
                return u32::try_from(next)
                    .ok()
                    .filter(|next| *next < 1 << TAG_BITS);
            }
        }
        None
    }

    /// What a checkpoint keeps: the number of homes, the bytes, the slots.
    pub(crate) fn save(&self) -> (usize, u64, &[u64]) {
        (self.homes, self.bytes, &self.slots)
    }

    /// Takes what a checkpoint kept; refuses what can't be a table, and stays empty then.
    #[must_use]
    pub(crate) fn load(&mut self, homes: usize, bytes: u64, kept: &[u64]) -> bool {
        let mut len = 0;
        let mut run_from = 0;
        for (place, slot) in kept.iter().enumerate() {
            if *slot == 0 {
                run_from = place + 1;
                continue;
            }
            let home = home(tag(*slot), homes);
            if home < run_from || home > place {
                return false;
            }
            len += 1;
        }
        if homes > kept.len() || (homes == 0) != kept.is_empty() {
            return false;
        }
        if homes > 0 {
            self.slots = self.slots.allocate(kept.len());
            self.slots.copy_from_slice(kept);
            (self.homes, self.len, self.bytes) = (homes, len, bytes);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn load(homes: usize, bytes: u64, slots: &[u64]) -> bool {
        Partition::new(Arena::new()).load(homes, bytes, slots)
    }

    fn next(state: &mut u64) -> u64 {
        *state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        *state >> 33
    }

    /// Tags from a small range, so that runs are long and many tags are the same.
    #[test]
    fn a_partition_agrees_with_a_map() {
        for seed in 0..40 {
            let mut state = seed;
            let spread = [3, 50, 1 << 10, 1 << 24][seed as usize % 4];
            let offset = if seed % 8 < 4 {
                0
            } else {
                (1 << TAG_BITS) - spread
            };
            let mut partition = Partition::new(Arena::new());
            let mut model: BTreeMap<Address, u32> = BTreeMap::new();
            for step in 0..2000_u64 {
                let tag = offset + (next(&mut state) % u64::from(spread)) as u32;
                if !next(&mut state).is_multiple_of(3) {
                    let address = step + 1;
                    let found = partition.find(tag, |a| Ok(a == address)).unwrap();
                    let Found::Vacant(place) = found else {
                        panic!("{found:?}")
                    };
                    partition.insert(place, tag, address);
                    model.insert(address, tag);
                } else if let Some((&address, &tag)) =
                    model.range(next(&mut state) % (step + 1)..).next()
                {
                    let place = partition.place_of(tag, address).unwrap();
                    partition.remove(place);
                    model.remove(&address);
                }
                assert_eq!(partition.len(), model.len());
            }
            for (&address, &tag) in &model {
                let found = partition.find(tag, |a| Ok(a == address)).unwrap();
                assert!(
                    matches!(found, Found::At(_, a) if a == address),
                    "{found:?}"
                );
            }
            let (homes, bytes, slots) = partition.save();
            assert!(load(homes, bytes, slots));
            let mut seen = Vec::new();
            let mut from = Some(0);
            while let Some(tag) = from {
                from = partition.page(tag, 7, |address| seen.push(address));
            }
            seen.sort_unstable();
            assert!(seen.iter().eq(model.keys()), "each once");
        }
    }

    #[test]
    fn a_scan_sees_what_stays_once_while_the_table_grows_and_shrinks() {
        let mut state = 1;
        let mut partition = Partition::new(Arena::new());
        let add = |partition: &mut Partition, address, state: &mut u64| {
            let tag = (next(state) % (1 << TAG_BITS)) as u32;
            let Ok(Found::Vacant(place)) = partition.find(tag, |_| Ok(false)) else {
                panic!()
            };
            partition.insert(place, tag, address);
            tag
        };
        for address in 1..500 {
            add(&mut partition, address, &mut state);
        }
        let mut seen = Vec::new();
        let mut from = Some(0);
        let mut extra = Vec::new();
        let mut address = 1000;
        while let Some(tag) = from {
            from = partition.page(tag, 5, |address| seen.push(address));
            for _ in 0..20 {
                extra.push((add(&mut partition, address, &mut state), address));
                address += 1;
            }
            if extra.len() > 300 {
                for (tag, address) in extra.drain(..100) {
                    let place = partition.place_of(tag, address).unwrap();
                    partition.remove(place);
                }
            }
        }
        seen.retain(|address| *address < 1000);
        seen.sort_unstable();
        assert!(seen.into_iter().eq(1..500));
    }

    #[test]
    fn slots_that_are_not_a_table_are_refused() {
        let mut partition = Partition::new(Arena::new());
        for address in 1..200 {
            let tag = (address as u32) << 16;
            let Ok(Found::Vacant(place)) = partition.find(tag, |_| Ok(false)) else {
                panic!()
            };
            partition.insert(place, tag, address);
        }
        let (homes, bytes, slots) = partition.save();
        for place in 0..slots.len() {
            let mut bad = slots.to_vec();
            if bad[place] != 0 {
                bad[place] ^= 1 << 63;
                assert!(!load(homes, bytes, &bad), "{place}");
            }
        }
        assert!(!load(0, 0, &[1]));
        assert!(!load(9, 0, &[]));
    }
}
