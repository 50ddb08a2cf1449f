//! Log lines about Eventos that are refused: a client may send any number of them.

use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::problem::Problem;

/// The shortest time between two lines.
const PAUSE: Duration = Duration::from_secs(10);

/// Logs refusals, one line in ten seconds at most. The metric counts all of them.
#[derive(Default)]
pub(super) struct RefusalLog(Mutex<State>);

#[derive(Default)]
struct State {
    /// When the last line was logged.
    logged: Option<Instant>,
    /// The number of refusals that were not logged since.
    left_out: u64,
}

impl RefusalLog {
    /// Logs a refusal, or counts it until the next line. The cause is taken, so that nothing else logs it.
    pub(super) fn note(&self, problem: &mut Problem) {
        let cause = problem.take_cause();
        let Some(left_out) = self.admit(Instant::now()) else {
            return;
        };
        let (reason, detail) = (problem.word(), problem.detail());
        tracing::warn!(
            reason,
            detail,
            cause,
            left_out,
            "refused an Evento that was sent over HTTP; eventos_send_refused_total counts them"
        );
    }

    /// Returns the number of refusals since the last line, if there may be a line again.
    fn admit(&self, now: Instant) -> Option<u64> {
        let mut state = self.0.lock();
        let is_due = |logged: Instant| now.saturating_duration_since(logged) >= PAUSE;
        if !state.logged.is_none_or(is_due) {
            state.left_out += 1;
            return None;
        }
        state.logged = Some(now);
        Some(std::mem::take(&mut state.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_refusal_in_ten_seconds_is_logged_and_the_others_are_counted() {
        let (log, now) = (RefusalLog::default(), Instant::now());
        assert_eq!(log.admit(now), Some(0));
        let admitted = (0..1_000).filter(|_| log.admit(now + PAUSE / 2).is_some());
        assert_eq!(admitted.count(), 0);
        assert_eq!(log.admit(now + PAUSE), Some(1_000));
        assert_eq!(log.admit(now + PAUSE), None);
    }
}
