//! The start of a replay, as users write it.

use std::str::FromStr;

use crate::{
    event::{Offset, Timestamp},
    kafka::GroupPosition,
};

/// Where a replay starts. As text: `earliest`, an offset, or a time in RFC 3339 format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplayStart {
    /// The oldest record that the broker has.
    Earliest,
    /// This offset.
    Offset(Offset),
    /// The first record with this timestamp or a later one.
    Time(Timestamp),
}

/// The text is not the start of a replay.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not earliest, an offset such as 42, or a time such as 2026-01-31T12:00:00Z")]
pub struct InvalidReplayStart(String);

impl ReplayStart {
    /// Returns the offset of the start in a partition: at least the oldest that the broker has, and at most the
    /// position of the group, so that a replay never skips a record.
    pub(super) fn in_partition(self, position: &GroupPosition) -> Offset {
        let requested = match self {
            Self::Earliest => position.oldest,
            Self::Offset(offset) => offset,
            Self::Time(_) => position.at_time.unwrap_or(position.next),
        };
        requested.max(position.oldest).min(position.next)
    }
}

impl FromStr for ReplayStart {
    type Err = InvalidReplayStart;

    fn from_str(text: &str) -> Result<Self, InvalidReplayStart> {
        // `parse` alone would accept a sign.
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let start = match text {
            "earliest" => Some(Self::Earliest),
            _ if is_number => text.parse().ok().map(|it| Self::Offset(Offset(it))),
            _ => Timestamp::read_rfc3339(text).map(Self::Time),
        };
        start.ok_or_else(|| InvalidReplayStart(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Partition;

    #[test]
    fn a_start_is_read_and_anything_else_refused() {
        let time = Timestamp(1_700_000_000_000);
        for (text, expected) in [
            ("earliest", Some(ReplayStart::Earliest)),
            ("0", Some(ReplayStart::Offset(Offset(0)))),
            ("42", Some(ReplayStart::Offset(Offset(42)))),
            ("2023-11-14T22:13:20Z", Some(ReplayStart::Time(time))),
            ("2023-11-14T23:13:20+01:00", Some(ReplayStart::Time(time))),
            ("", None),
            ("latest", None),
            ("-1", None),
            ("+1", None),
            ("1.5", None),
            ("99999999999999999999", None),
            ("2023-11-14", None),
        ] {
            assert_eq!(text.parse().ok(), expected, "{text}");
        }
    }

    #[test]
    fn it_never_passes_over_what_was_not_handled() {
        let position = GroupPosition {
            partition: Partition(0),
            oldest: Offset(10),
            next: Offset(20),
            at_time: None,
        };
        let to = |start: ReplayStart| start.in_partition(&position).0;
        assert_eq!(to(ReplayStart::Earliest), 10);
        assert_eq!(
            [5, 15, 25].map(|it| to(ReplayStart::Offset(Offset(it)))),
            [10, 15, 20]
        );
        assert_eq!(to(ReplayStart::Time(Timestamp(0))), 20);
    }
}
