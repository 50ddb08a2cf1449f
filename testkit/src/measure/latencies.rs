//! Percentiles of many latencies.

use std::time::Duration;

use hdrhistogram::Histogram;

/// The maximum latency. Longer ones count as this one.
const LONGEST: Duration = Duration::from_secs(600);

/// Latencies of one round, in nanoseconds with three significant digits.
pub struct Latencies(Histogram<u64>);

impl Default for Latencies {
    fn default() -> Self {
        let longest = u64::try_from(LONGEST.as_nanos()).expect("ten minutes");
        Self(Histogram::new_with_bounds(1, longest, 3).expect("valid bounds"))
    }
}

impl Latencies {
    /// Adds one latency.
    pub fn record(&mut self, latency: Duration) {
        let nanoseconds = u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX);
        self.0.saturating_record(nanoseconds);
    }

    /// Adds all latencies of another round or of another client.
    pub fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// Returns the number of latencies.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// Returns a percentile in milliseconds: 0.99 for the 99th. It is 0 without latencies.
    #[must_use]
    pub fn milliseconds(&self, quantile: f64) -> f64 {
        self.0.value_at_quantile(quantile) as f64 / 1e6
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_all_clients() {
        let (mut all, mut other) = (Latencies::default(), Latencies::default());
        for i in 1..=90 {
            all.record(Duration::from_millis(i));
        }
        for i in 91..=100 {
            other.record(Duration::from_millis(i));
        }
        all.add(&other);
        assert_eq!(all.count(), 100);
        for (quantile, expected) in [(0.5, 50.0), (0.99, 99.0), (1.0, 100.0)] {
            let found = all.milliseconds(quantile);
            assert!((found - expected).abs() < 0.1, "{quantile}: {found}");
        }
    }

    #[test]
    fn a_latency_beyond_the_longest_counts_as_the_longest() {
        let mut latencies = Latencies::default();
        latencies.record(Duration::from_secs(10_000));
        assert!(latencies.milliseconds(1.0) >= 600_000.0);
    }
}
