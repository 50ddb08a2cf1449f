//! The timestamps of the records that a producer stamps itself.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};

use crate::event::Timestamp;

/// The most that a timestamp may be ahead of the wall clock, in ms. It covers the small steps back of a clock that is
/// being synchronized.
const MAX_LEAD_MS: i64 = 1_000;

/// Hands out timestamps that never decrease while the wall clock is right.
///
/// A wall clock that was wrong and is set back by more than [`MAX_LEAD_MS`] is followed at once. Timestamps that stay
/// ahead of it would be rejected by the broker.
#[derive(Default)]
pub(super) struct Stamps {
    last: AtomicI64,
}

impl Stamps {
    /// Returns the timestamp of the next record.
    pub(super) fn next(&self, now: Timestamp) -> Timestamp {
        let following = |last: i64| {
            let is_close = last.saturating_sub(now.0) <= MAX_LEAD_MS;
            if is_close { last.max(now.0) } else { now.0 }
        };
        let last = self
            .last
            .fetch_update(Relaxed, Relaxed, |last| Some(following(last)));
        let last = last.unwrap_or_else(|last| last);
        Timestamp(following(last))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stamps_at(times: &[i64]) -> Vec<i64> {
        let stamps = Stamps::default();
        let stamp = |&time| stamps.next(Timestamp(time)).0;
        times.iter().map(stamp).collect()
    }

    #[test]
    fn a_clock_that_was_ahead_is_followed_back_at_once() {
        let hour = 3_600_000;
        let now = 1_700_000_000_000;
        let times = [now, now + 2 * hour, now + 1, now + 2, i64::MAX, now + 3];
        assert_eq!(stamps_at(&times), times);
    }

    #[test]
    fn a_small_step_back_does_not_decrease_timestamps() {
        assert_eq!(
            stamps_at(&[5_000, 4_001, 4_999, 5_001]),
            [5_000, 5_000, 5_000, 5_001]
        );
    }

    proptest! {
        #[test]
        fn no_timestamp_is_before_the_clock_or_far_ahead_of_it(times in proptest::collection::vec(any::<i64>(), 1..50)) {
            for (stamp, time) in stamps_at(&times).into_iter().zip(&times) {
                prop_assert!(stamp >= *time && stamp.saturating_sub(*time) <= MAX_LEAD_MS);
            }
        }
    }
}
