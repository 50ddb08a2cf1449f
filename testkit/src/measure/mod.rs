//! Measuring, for the benches: CPU time, figures of several rounds with their spread, and parts of a bench in processes of
//! their own.

pub mod cpu;
pub mod part;
pub mod preload;

use std::fmt;

use rustix::time::{ClockId, clock_gettime};

/// Returns the CPU seconds that this thread has used.
#[must_use]
pub fn thread_seconds() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

/// Returns the CPU seconds that this process has used.
#[must_use]
pub fn process_seconds() -> f64 {
    seconds(ClockId::ProcessCPUTime)
}

#[allow(
    clippy::cast_precision_loss,
    reason = "seconds and nanoseconds are small"
)]
fn seconds(clock: ClockId) -> f64 {
    let now = clock_gettime(clock);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// The figures of several rounds. They are displayed as the median, the minimum and the maximum.
pub struct Figures(Vec<f64>);

impl Figures {
    /// Takes one figure per round, in any order.
    #[must_use]
    pub fn new(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        Self(rounds)
    }

    /// Divides the figures round by round, so that a machine that becomes slower during the bench affects both alike.
    #[must_use]
    pub fn ratios(numerators: &[f64], denominators: &[f64]) -> Self {
        let pairs = numerators.iter().zip(denominators);
        Self::new(pairs.map(|(n, d)| n / d).collect())
    }

    /// Returns the median.
    #[must_use]
    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// Returns the smallest figure that is not exceeded by this fraction of all figures: 0.99 for the 99th percentile.
    #[must_use]
    pub fn quantile(&self, fraction: f64) -> f64 {
        let rank = (self.0.len() as f64 * fraction).ceil() as usize;
        self.0[rank.saturating_sub(1)]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (self.0[0], self.0[self.0.len() - 1]);
        let digits = match max {
            ..1.0 => 3,
            ..10.0 => 2,
            _ => 1,
        };
        let median = self.median();
        write!(f, "{median:8.digits$}   ({min:.digits$} to {max:.digits$})")
    }
}
