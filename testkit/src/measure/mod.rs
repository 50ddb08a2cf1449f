//! What the benches share: CPU time, figures of several rounds with their spread, and processes.
pub mod cpu;
pub mod part;
pub mod preload;

use std::fmt;

use rustix::time::{ClockId, clock_gettime};

/// CPU seconds of this thread.
pub fn thread_seconds() -> f64 {
    seconds(ClockId::ThreadCPUTime)
}

/// CPU seconds of this process.
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

/// Figures of several rounds: shown as the median, with the least and the greatest.
pub struct Figures(Vec<f64>);

impl Figures {
    /// Of these rounds.
    pub fn new(mut rounds: Vec<f64>) -> Self {
        rounds.sort_by(f64::total_cmp);
        Self(rounds)
    }

    /// Round by round, so that a machine that slows down slows both.
    pub fn ratios(of: &[f64], to: &[f64]) -> Self {
        Self::new(of.iter().zip(to).map(|(of, to)| of / to).collect())
    }

    /// The figure in the middle.
    pub fn median(&self) -> f64 {
        self.0[self.0.len() / 2]
    }

    /// The least figure that so large a part of all does not exceed.
    pub fn quantile(&self, part: f64) -> f64 {
        let place = (self.0.len() as f64 * part).ceil() as usize;
        self.0[place.saturating_sub(1)]
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, greatest) = (self.0[0], self.0[self.0.len() - 1]);
        let digits = match greatest {
            ..1.0 => 3,
            ..10.0 => 2,
            _ => 1,
        };
        let median = self.median();
        write!(
            f,
            "{median:8.digits$}   ({least:.digits$} to {greatest:.digits$})"
        )
    }
}
