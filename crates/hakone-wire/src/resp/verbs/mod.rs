//! `HAKONE <verb>`: commands as words that say all of them, and replies as elements that say all of
//! them, for the command line and for those who have no word of Redis' for it.
//!
//! What [`words`] says of a command, [`command`] reads back, and [`reply`] answers it so that the
//! command line can tell every reply from every other. `docs/protocols/resp.md` has the table.

mod list;
mod read;
mod reply;
mod steps;
mod write;

pub use list::ListRequest;
pub use read::command;
pub use reply::reply;
pub use steps::{Step, step_words, steps};
pub use write::words;

#[cfg(test)]
mod tests {
    use super::*;
    use hakone_command::{
        Amount, Command, Condition, Decimal, Direction, End, ExpiryCondition, ExpirySet, Filter,
        Place, Position, Range,
    };
    use std::ops::Bound;

    fn all() -> Vec<Command<'static>> {
        let mut all = vec![
            Command::Get { key: b"k" },
            Command::Describe { key: b"" },
            Command::RemoveMany {
                keys: vec![b"a", b"KEYS"],
            },
            Command::Clear,
            Command::Count,
            Command::Bytes,
            Command::RemoveRange {
                range: Range::Prefix(b""),
                limit: 17,
            },
            Command::RemoveAt { position: b"\0p" },
        ];
        for condition in [
            Condition::Always,
            Condition::IfAbsent,
            Condition::IfPresent,
            Condition::IfVersion(u64::MAX),
        ] {
            for expiry in [ExpirySet::Keep, ExpirySet::At(0), ExpirySet::At(u64::MAX)] {
                all.push(Command::Put {
                    key: b"if",
                    value: b"",
                    condition,
                    expiry,
                    flags: u32::MAX,
                    want_old: false,
                });
                all.push(Command::Append {
                    key: b"k",
                    value: b"v",
                    end: End::Front,
                    width: Some(9),
                    condition,
                    expiry,
                });
            }
        }
        all.push(Command::Append {
            key: b"k",
            value: b"v",
            end: End::Back,
            width: None,
            condition: Condition::Always,
            expiry: ExpirySet::At(3),
        });
        for (old, new) in [
            (None, Some(&b"new"[..])),
            (Some(&b"old"[..]), None),
            (Some(b"OLD"), Some(b"NEW")),
        ] {
            all.push(Command::CompareSwap {
                key: b"k",
                old,
                new,
                expiry: ExpirySet::Keep,
            });
        }
        let float = |text: &str| Amount::Float(Decimal::parse(text.as_bytes()).unwrap());
        for amount in [Amount::Decimal(i64::MIN), float("-1.5"), float("2")] {
            for absent in [None, Some(amount)] {
                all.push(Command::Add {
                    key: b"k",
                    amount,
                    absent,
                    expiry: ExpirySet::At(5),
                });
            }
        }
        for condition in [
            ExpiryCondition::Always,
            ExpiryCondition::IfNone,
            ExpiryCondition::IfSome,
            ExpiryCondition::IfLater,
            ExpiryCondition::IfEarlier,
            ExpiryCondition::IfSomeEarlier,
        ] {
            all.push(Command::Touch {
                key: b"k",
                expiry: 12,
                condition,
                want: condition == ExpiryCondition::Always,
            });
        }
        let ranges = [
            Range::All,
            Range::Prefix(b"p"),
            Range::Between(Bound::Included(b"a"), Bound::Unbounded),
            Range::Between(Bound::Excluded(b"a"), Bound::Included(b"b")),
            Range::Between(Bound::Unbounded, Bound::Excluded(b"b")),
        ];
        for range in ranges {
            all.push(Command::CountRange { range });
        }
        for from in [
            Position::Start,
            Position::At(b"a"),
            Position::After(b""),
            Position::Resume(b"r"),
            Position::Cursor(u64::MAX),
            Position::Random(7),
        ] {
            for filter in [
                Filter::All,
                Filter::Regex(b"^a.*"),
                Filter::Similar {
                    to: b"w",
                    distance: 2,
                    utf8: true,
                },
                Filter::Similar {
                    to: b"w",
                    distance: 0,
                    utf8: false,
                },
            ] {
                for (range, direction, values) in [
                    (ranges[0], Direction::Forward, true),
                    (ranges[3], Direction::Backward, false),
                ] {
                    all.push(Command::Scan {
                        from,
                        range,
                        direction,
                        filter,
                        limit: 1000,
                        values,
                    });
                }
            }
        }
        for end in [End::Front, End::Back] {
            all.push(Command::PutDuplicate {
                key: b"k",
                value: b"v",
                end,
                expiry: 4,
                flags: 5,
            });
        }
        for place in [Place::Current, Place::Before, Place::After] {
            all.push(Command::PutAt {
                position: b"p",
                place,
                value: b"v",
                expiry: ExpirySet::Keep,
                flags: 1,
            });
        }
        all
    }

    #[test]
    fn what_is_said_of_a_command_says_the_same_command() {
        for said in all() {
            let words = words(&said).unwrap();
            let words: Vec<&[u8]> = words.iter().map(|word| &**word).collect();
            let read = command(words[0], &words[1..]);
            assert_eq!(read.as_ref(), Some(&Ok(said)), "{words:?}");
        }
    }

    #[test]
    fn words_may_be_said_in_any_case_and_order() {
        let check = |words: &[&[u8]], expected: Command<'_>| {
            let read = command(words[0], &words[1..]);
            assert_eq!(read, Some(Ok(expected)), "{words:?}");
        };
        check(
            &[b"Put", b"k", b"v", b"flags", b"1", b"EXPIRY", b"2"],
            Command::Put {
                key: b"k",
                value: b"v",
                condition: Condition::Always,
                expiry: ExpirySet::At(2),
                flags: 1,
                want_old: false,
            },
        );
        check(
            &[b"count_range", b"below", b"z", b"from", b"a"],
            Command::CountRange {
                range: Range::Between(Bound::Included(b"a"), Bound::Excluded(b"z")),
            },
        );
    }

    #[test]
    fn what_is_said_wrongly_is_refused() {
        for words in [
            &["get"][..],
            &["get", "a", "b"],
            &["remove_many"],
            &["put", "k"],
            &["put", "k", "v", "IF"],
            &["put", "k", "v", "IF", "perhaps"],
            &["put", "k", "v", "IF", "absent", "IF", "present"],
            &["put", "k", "v", "EXPIRY", "soon"],
            &["put", "k", "v", "FLAGS", "4294967296"],
            &["put", "k", "v", "LIMIT", "1"],
            &["add", "k", "one"],
            &["add", "k", "1", "ABSENT", "x"],
            &["touch", "k", "-1"],
            &["count_range", "PREFIX", "a", "FROM", "b"],
            &["count_range", "FROM", "a", "ABOVE", "b"],
            &["count_range", "LIMIT", "5"],
            &["remove_range", "PREFIX", "a"],
            &["remove_range", "LIMIT", "0"],
            &["scan", "LIMIT", "-1"],
            &["scan", "AT", "a", "CURSOR", "1"],
            &["scan", "REGEX", "a", "SIMILAR", "b", "1"],
            &["scan", "SIMILAR", "b"],
            &["put_at", "p", "beside", "v"],
        ] {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            let read = command(words[0], &words[1..]);
            assert!(matches!(read, Some(Err(_))), "{words:?}: {read:?}");
        }
        assert_eq!(command(b"hover", &[]), None);
        assert_eq!(
            words(&Command::Exists { keys: vec![b"k"] }),
            None,
            "Redis has a word for it"
        );
    }
}
