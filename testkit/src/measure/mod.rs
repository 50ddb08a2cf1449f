//! Measuring, for the benches: CPU time, memory, latencies, figures of several rounds with their spread, parts of a bench in
//! processes of their own, and the report.

pub mod cpu;
pub mod latencies;
pub mod machine;
pub mod memory;
pub mod part;
pub mod preload;
pub mod report;

use std::fmt;

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

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

    /// Returns the text for a cell of a table: the median, and the spread if there are several rounds.
    #[must_use]
    pub fn brief(&self) -> String {
        let [Some(min), Some(max)] = [self.0.first(), self.0.last()] else {
            return "-".to_owned();
        };
        let digits = self.digits();
        let median = self.median();
        match self.0.len() {
            1 => format!("{median:.digits$}"),
            _ => format!("{median:.digits$} ({min:.digits$} to {max:.digits$})"),
        }
    }

    /// Returns the median, the spread and the figure of each round, in ascending order; null without rounds.
    #[must_use]
    pub fn json(&self) -> Value {
        let [Some(min), Some(max)] = [self.0.first(), self.0.last()] else {
            return Value::Null;
        };
        json!({"median": self.median(), "lowest": min, "highest": max, "rounds": self.0})
    }

    /// Returns the number of digits after the point that all figures are shown with.
    fn digits(&self) -> usize {
        match self.0.last().copied().unwrap_or_default().abs() {
            ..1.0 => 3,
            ..10.0 => 2,
            ..1000.0 => 1,
            _ => 0,
        }
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (self.0[0], self.0[self.0.len() - 1]);
        let digits = self.digits();
        let median = self.median();
        write!(f, "{median:8.digits$}   ({min:.digits$} to {max:.digits$})")
    }
}
