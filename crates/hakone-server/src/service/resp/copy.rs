//! Copies from one numbered database to another, as one batch that depends on both records.

use super::{Asked, Flow};
use crate::service::call::{Guarded, Planned};
use hakone::{Command, Condition, ExpirySet, Reply};
use hakone_wire::Protocol;
use hakone_wire::resp::{Failure, Shape};

/// How often a copy is tried in one turn, where others write the same keys meanwhile.
const TRIES_MAX: usize = 16;

/// What a copy does beside copying.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ways {
    /// Replace a record that is there.
    pub(super) replace: bool,
    /// Remove the record that was copied.
    pub(super) remove: bool,
}

impl Asked<'_, '_, '_> {
    /// `COPY` to a database of its own number, and `MOVE`.
    pub(super) fn copy(&mut self, key: &[u8], to: &[u8], number: i64, ways: Ways) -> Flow {
        let here = self.session.selected;
        let Some(there) = self.number(number) else {
            return self.fail(&Failure::NO_DATABASE);
        };
        if here == there {
            if key == to {
                return self.fail(&Failure::SAME_RECORD);
            }
            let Ways { replace, remove } = ways;
            let command = Command::Copy {
                key,
                to,
                replace,
                remove,
            };
            return self.call(&command, Shape::Found);
        }
        for _ in 0..TRIES_MAX {
            match self.try_copy((here, key), (there, to), ways) {
                Ok(Some(copied)) => {
                    self.to.integer(i64::from(copied));
                    return Flow::Go;
                }
                Ok(None) => {}
                Err(error) => return self.done(Err(error)),
            }
        }
        // The next turn begins with this same request.
        Flow::Again
    }

    /// Whether it was copied; `None` where a record has changed meanwhile.
    fn try_copy(
        &mut self,
        from: (usize, &[u8]),
        to: (usize, &[u8]),
        ways: Ways,
    ) -> hakone::Result<Option<bool>> {
        let mut old = None;
        let get = Command::Get { key: from.1 };
        self.caller
            .call(Protocol::Resp, from.0, &get, &mut |reply| {
                if let Reply::Record(record) = reply {
                    old = Some((
                        record.value.to_vec(),
                        record.expiry,
                        record.flags,
                        record.version,
                    ));
                }
            })?;
        let Some((value, expiry, flags, version)) = old else {
            return Ok(Some(false));
        };
        let put = Command::Put {
            key: to.1,
            value: &value,
            condition: if ways.replace {
                Condition::Always
            } else {
                Condition::IfAbsent
            },
            expiry: ExpirySet::At(expiry),
            flags,
            want_old: false,
        };
        let mut steps = vec![Planned {
            number: to.0,
            command: put,
        }];
        let mut guards = vec![Guarded {
            number: from.0,
            key: from.1,
            version,
        }];
        if ways.remove {
            // Nothing may be removed if nothing was copied, so that the place must be free.
            let mut there = false;
            let describe = Command::Describe { key: to.1 };
            self.caller
                .call(Protocol::Resp, to.0, &describe, &mut |reply| {
                    there = matches!(reply, Reply::Record(_));
                })?;
            if there {
                return Ok(Some(false));
            }
            guards.push(Guarded {
                number: to.0,
                key: to.1,
                version: 0,
            });
            steps.push(Planned {
                number: from.0,
                command: Command::Remove {
                    key: from.1,
                    want_old: false,
                },
            });
        }
        let mut copied = false;
        let mut refused = None;
        let carried =
            self.caller.batch(
                Protocol::Resp,
                &guards,
                steps,
                &mut |step, reply| match reply {
                    Ok(reply) if step == 0 => copied = matches!(reply, Reply::Stored(_)),
                    Ok(_) => {}
                    Err(error) => refused = Some(error),
                },
            )?;
        match refused {
            Some(error) => Err(error),
            None => Ok(carried.then_some(copied)),
        }
    }
}
