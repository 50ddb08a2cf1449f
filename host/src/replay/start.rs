//! Where a replay begins, as people write it.

use std::str::FromStr;

use crate::{
    event::{Offset, Timestamp},
    kafka::Progress,
};

/// Where a replay begins; as text `earliest`, an offset, or a time as RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest record that the broker has.
    Earliest,
    /// At this offset.
    Offset(Offset),
    /// At the first record that is not older.
    Time(Timestamp),
}

/// A text that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not earliest, an offset such as 42, or a time such as 2026-01-31T12:00:00Z")]
pub struct NotAStart(String);

impl Start {
    /// The offset that it means in a partition: never before what the broker has, nor after where the group stands.
    pub(super) fn in_partition(self, progress: &Progress) -> Offset {
        let asked = match self {
            Self::Earliest => progress.oldest,
            Self::Offset(offset) => offset,
            Self::Time(_) => progress.at_time.unwrap_or(progress.next),
        };
        asked.max(progress.oldest).min(progress.next)
    }
}

impl FromStr for Start {
    type Err = NotAStart;

    fn from_str(text: &str) -> Result<Self, NotAStart> {
        let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let start = match text {
            "earliest" => Some(Self::Earliest),
            _ if is_number => text.parse().ok().map(|it| Self::Offset(Offset(it))),
            _ => Timestamp::read_rfc3339(text).map(Self::Time),
        };
        start.ok_or_else(|| NotAStart(text.to_owned()))
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
            ("earliest", Some(Start::Earliest)),
            ("0", Some(Start::Offset(Offset(0)))),
            ("42", Some(Start::Offset(Offset(42)))),
            ("2023-11-14T22:13:20Z", Some(Start::Time(time))),
            ("2023-11-14T23:13:20+01:00", Some(Start::Time(time))),
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
        let progress = Progress {
            partition: Partition(0),
            oldest: Offset(10),
            next: Offset(20),
            at_time: None,
        };
        let to = |start: Start| start.in_partition(&progress).0;
        assert_eq!(to(Start::Earliest), 10);
        assert_eq!(
            [5, 15, 25].map(|it| to(Start::Offset(Offset(it)))),
            [10, 15, 20]
        );
        assert_eq!(to(Start::Time(Timestamp(0))), 20);
    }
}
