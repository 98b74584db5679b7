//! What Tycoon's `report` counts: records that were asked for, and calls that are about none.

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Get,
    GetMiss,
    Misc,
    Remove,
    RemoveMiss,
    Script,
    Set,
    SetMiss,
}

impl Asked {
    pub(crate) const ALL: &[Asked] = &[
        Asked::Get,
        Asked::GetMiss,
        Asked::Misc,
        Asked::Remove,
        Asked::RemoveMiss,
        Asked::Script,
        Asked::Set,
        Asked::SetMiss,
    ];

    /// Its name in the report, after `cnt_`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Asked::Get => "get",
            Asked::GetMiss => "get_misses",
            Asked::Misc => "misc",
            Asked::Remove => "remove",
            Asked::RemoveMiss => "remove_misses",
            Asked::Script => "script",
            Asked::Set => "set",
            Asked::SetMiss => "set_misses",
        }
    }

    /// What counts as well when it fails; itself where failures are not counted.
    pub(crate) fn miss(self) -> Asked {
        match self {
            Asked::Get => Asked::GetMiss,
            Asked::Remove => Asked::RemoveMiss,
            Asked::Set => Asked::SetMiss,
            other => other,
        }
    }
}
