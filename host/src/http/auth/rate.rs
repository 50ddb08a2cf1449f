//! How many requests a key permits in a second.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

/// Permits a number of requests in a second, all of them at once or spread out: the generic cell rate algorithm. The crate
/// governor would change the features of hashbrown, and with them rebuild wasmtime.
pub(super) struct RateLimit {
    /// The time that one request takes up.
    interval: Duration,
    /// When the requests so far have been paid for. Held for a look, never across an await.
    paid_at: Mutex<Instant>,
}

impl RateLimit {
    /// Returns a limit of this many requests, which has not been used yet.
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            interval: Duration::from_secs(1) / per_second.max(1),
            paid_at: Mutex::new(Instant::now()),
        }
    }

    /// Returns whether one more request is permitted now.
    pub(super) fn permits(&self) -> bool {
        self.permits_at(Instant::now())
    }

    fn permits_at(&self, now: Instant) -> bool {
        let mut paid_at = self.paid_at.lock();
        let after = now.max(*paid_at) + self.interval;
        let is_permitted = after.duration_since(now) <= Duration::from_secs(1);
        if is_permitted {
            *paid_at = after;
        }
        is_permitted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_is_permitted_and_then_one_at_a_time() {
        let limit = RateLimit::new(4);
        let began = Instant::now();
        let at = |millis| limit.permits_at(began + Duration::from_millis(millis));
        assert_eq!([0; 5].map(at), [true, true, true, true, false]);
        assert!(!at(200));
        assert!(at(250) && !at(250));
        // An hour without requests permits no more than the second.
        assert_eq!([3_600_000; 5].map(at), [true, true, true, true, false]);
    }

    proptest! {
        #[test]
        fn no_second_has_more_than_twice_the_rate(
            rate in 1u32..50,
            steps in prop::collection::vec(0u64..200, 1..300),
        ) {
            let limit = RateLimit::new(rate);
            let began = Instant::now();
            let (mut millis, mut permitted) = (0, Vec::new());
            for step in steps {
                millis += step;
                if limit.permits_at(began + Duration::from_millis(millis)) {
                    permitted.push(millis);
                }
            }
            for (i, from) in permitted.iter().enumerate() {
                let within = permitted[i..].iter().take_while(|at| **at <= from + 1000);
                prop_assert!(within.count() <= 2 * rate as usize + 1);
            }
        }
    }
}
