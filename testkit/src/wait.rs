//! Waiting for a condition, with a deadline. No test waits for a fixed time, except where the time itself is what it is about:
//! see [`pause`].

use std::{
    thread,
    time::{Duration, Instant},
};

/// The longest time that [`eventually`] waits. It is far longer than anything takes, even on a busy machine: compiling the
/// Python interpreter inside a handler takes half a minute on an idle one.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// Calls `check` every 10 ms until it returns a value, and returns that.
///
/// # Panics
/// Panics if the value does not come within [`DEADLINE`]; the message says `what` was awaited.
pub fn eventually<T>(what: &str, check: impl FnMut() -> Option<T>) -> T {
    eventually_every(Duration::from_millis(10), what, check)
}

/// Calls `check` until it returns a value, with this interval between two calls, and returns the value.
///
/// # Panics
/// Panics if the value does not come within [`DEADLINE`]; the message says `what` was awaited.
pub fn eventually_every<T>(
    interval: Duration,
    what: &str,
    mut check: impl FnMut() -> Option<T>,
) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(value) = check() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {what}");
        pause(interval);
    }
}

/// Lets time pass, where no condition can be awaited: before a kill at a random moment, or between two records of a steady load.
pub fn pause(time: Duration) {
    thread::sleep(time);
}

/// Lets time pass, as [`pause`] does, in asynchronous code.
pub async fn pause_async(time: Duration) {
    tokio::time::sleep(time).await;
}
