//! What did not survive a transfer, counted by reason.

use std::collections::BTreeMap;

/// Reasons that are counted apart. They are few sentences of ours, and some that servers say.
const REASONS_MAX: usize = 20;

/// Records that were left out, and parts of records that were lost, with how many for each reason.
#[derive(Clone, Debug, Default)]
pub struct Losses {
    left_out: BTreeMap<String, u64>,
    reduced: BTreeMap<&'static str, u64>,
    notes: Vec<String>,
}

impl Losses {
    /// One more record that could not be carried; `why` as a clause of which the records' keys or
    /// values are the subject.
    pub fn leave_out(&mut self, why: &str) {
        if let Some(count) = self.left_out.get_mut(why) {
            *count += 1;
        } else if self.left_out.len() < REASONS_MAX {
            self.left_out.insert(why.to_owned(), 1);
        } else {
            *self.left_out.entry("other reasons".to_owned()).or_default() += 1;
        }
    }

    /// One more record that was carried without a part of it.
    pub fn reduce(&mut self, what: &'static str) {
        *self.reduced.entry(what).or_default() += 1;
    }

    /// Something that may be wrong, or not.
    pub fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// Adds another's counts and notes.
    pub fn add(&mut self, other: &Losses) {
        for (why, count) in &other.left_out {
            *self.left_out.entry(why.clone()).or_default() += count;
        }
        for (what, count) in &other.reduced {
            *self.reduced.entry(what).or_default() += count;
        }
        self.notes.extend_from_slice(&other.notes);
    }

    /// How many records were left out.
    pub fn left_out_count(&self) -> u64 {
        self.left_out.values().sum()
    }

    /// One sentence for each reason, those of whole records first, and the notes.
    pub fn lines(&self) -> Vec<String> {
        let records = |count: u64| match count {
            1 => "1 record".to_owned(),
            count => format!("{count} records"),
        };
        let left_out = self
            .left_out
            .iter()
            .map(|(why, &count)| format!("left out {}: {why}", records(count)));
        let reduced = self
            .reduced
            .iter()
            .map(|(what, &count)| format!("{} not whole: {what}", records(count)));
        let notes = self.notes.iter().cloned();
        left_out.chain(reduced).chain(notes).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_counted_by_reason() {
        let mut losses = Losses::default();
        losses.leave_out("lists");
        losses.leave_out("lists");
        losses.reduce("flags are lost");
        let mut all = Losses::default();
        all.leave_out("sets");
        losses.note("look twice".to_owned());
        all.add(&losses);
        assert_eq!(
            all.lines(),
            [
                "left out 2 records: lists",
                "left out 1 record: sets",
                "1 record not whole: flags are lost",
                "look twice"
            ]
        );
        assert_eq!(all.left_out_count(), 3);
    }

    #[test]
    fn endless_reasons_are_bounded() {
        let mut losses = Losses::default();
        for number in 0..1000 {
            losses.leave_out(&number.to_string());
        }
        assert_eq!(losses.left_out_count(), 1000);
        assert_eq!(losses.lines().len(), REASONS_MAX + 1);
    }
}
