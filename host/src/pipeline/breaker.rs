//! The circuit breaker of a handler: how long the calls that fail take. A handler that runs over its time again and again
//! would otherwise hold up its partition, and the others of its worker, for hours until `max_failures` halts it.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use crate::event::TopicPartition;

/// Failed calls may take this long in short succession, or this many times the limit of one call if that is longer.
const BUDGET: Duration = Duration::from_secs(30);
const CALLS: u32 = 30;

/// A partition is halted for what all partitions have used up together only if it has used this part of the budget.
const LEAST_SHARE: u32 = 10;

/// A tenth of the time that passes is given back.
const RECOVERY: u32 = 10;

/// What a handler has failed at, by partition.
pub(super) struct Breaker {
    budget: Duration,
    partitions: BTreeMap<TopicPartition, Failures>,
}

#[derive(Default)]
struct Failures {
    /// The number of records in a row on which the handler has failed.
    in_a_row: u32,
    /// How long the failed calls took, less what was given back.
    spent: Duration,
    at: Option<Instant>,
}

impl Breaker {
    /// Returns a breaker for a handler whose calls may take this long.
    pub(super) fn new(timeout: Duration) -> Self {
        Self {
            budget: BUDGET.max(timeout.saturating_mul(CALLS)),
            partitions: BTreeMap::new(),
        }
    }

    /// Counts a failed call. Returns how long failed calls took, if that is too long.
    pub(super) fn failed(
        &mut self,
        partition: &TopicPartition,
        took: Duration,
        now: Instant,
    ) -> Option<Duration> {
        self.partitions.entry(partition.clone()).or_default();
        // What is given back is shared by all, or partitions that fail together would get back most of it.
        let share =
            RECOVERY.saturating_mul(u32::try_from(self.partitions.len()).unwrap_or(u32::MAX));
        let (mut own, mut all) = (Duration::ZERO, Duration::ZERO);
        for (other, failures) in &mut self.partitions {
            failures.recover(now, share);
            if other == partition {
                failures.spent += took;
                own = failures.spent;
            }
            all += failures.spent;
        }
        let is_exceeded =
            own >= self.budget || (all >= self.budget && own >= self.budget / LEAST_SHARE);
        is_exceeded.then_some(own)
    }

    /// Counts a record that the handler fails on, and returns how many there are in a row.
    pub(super) fn gave_up(&mut self, partition: &TopicPartition) -> u32 {
        let failures = self.partitions.entry(partition.clone()).or_default();
        failures.in_a_row += 1;
        failures.in_a_row
    }

    /// Takes note that the handler has not failed on a record.
    pub(super) fn succeeded(&mut self, partition: &TopicPartition) {
        // Nearly always nothing has failed.
        if self.partitions.is_empty() {
            return;
        }
        if let Some(failures) = self.partitions.get_mut(partition) {
            failures.in_a_row = 0;
            if failures.spent.is_zero() {
                self.partitions.remove(partition);
            }
        }
    }

    /// Forgets the failures of a partition, and returns how many there were in a row.
    pub(super) fn forget(&mut self, partition: &TopicPartition) -> u32 {
        let failures = self.partitions.remove(partition);
        failures.map_or(0, |failures| failures.in_a_row)
    }
}

impl Failures {
    /// Gives back this share of the time that has passed.
    fn recover(&mut self, now: Instant, share: u32) {
        let passed = self
            .at
            .replace(now)
            .map(|at| now.saturating_duration_since(at));
        let recovered = passed.unwrap_or_default() / share;
        self.spent = self.spent.saturating_sub(recovered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Partition;

    const SECOND: Duration = Duration::from_secs(1);

    fn partition(number: i32) -> TopicPartition {
        TopicPartition::new("eventos", Partition(number))
    }

    /// Has these partitions fail for a second in turn, and returns after how many seconds each was halted.
    fn halted_after(partitions: i32, timeout: Duration) -> Vec<u64> {
        let mut breaker = Breaker::new(timeout);
        let mut now = Instant::now();
        let began = now;
        let mut halted = BTreeMap::new();
        while halted.len() < partitions as usize {
            for number in 0..partitions {
                if halted.contains_key(&number) {
                    continue;
                }
                now += SECOND;
                if breaker.failed(&partition(number), SECOND, now).is_some() {
                    halted.insert(number, (now - began).as_secs());
                }
            }
        }
        halted.into_values().collect()
    }

    #[test]
    fn loops_without_end_trip_it_within_a_minute_in_one_partition_and_in_several() {
        assert!((30..=36).contains(&halted_after(1, SECOND)[0]));
        assert!(halted_after(8, SECOND).iter().all(|after| *after < 60));
        assert!(halted_after(1, 3 * SECOND)[0] > 90);
    }

    #[test]
    fn failures_now_and_then_do_not_trip_it() {
        let (mut breaker, mut now) = (Breaker::new(SECOND), Instant::now());
        for _ in 0..1_000 {
            now += 20 * SECOND;
            assert_eq!(breaker.failed(&partition(0), SECOND, now), None);
            breaker.succeeded(&partition(0));
        }
    }

    #[test]
    fn a_partition_is_not_halted_for_what_others_did() {
        let (mut breaker, mut now) = (Breaker::new(SECOND), Instant::now());
        for _ in 0..40 {
            now += SECOND;
            let _ = breaker.failed(&partition(0), SECOND, now);
        }
        assert_eq!(breaker.failed(&partition(1), SECOND, now), None);
        assert_eq!(breaker.gave_up(&partition(1)), 1);
        assert_eq!(breaker.gave_up(&partition(1)), 2);
        breaker.succeeded(&partition(1));
        assert_eq!(breaker.gave_up(&partition(1)), 1);
        assert_eq!(breaker.forget(&partition(1)), 1);
    }
}
