//! Load at a fixed rate, however long the server takes (open loop): latencies count from the moment at which something was due, so a
//! server that stalls is charged for everything that had to wait.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

/// How many times something happens, and how often in a second.
#[derive(Clone, Copy)]
pub(crate) struct Schedule {
    pub(crate) rate: u64,
    pub(crate) seconds: u64,
    pub(crate) start: Instant,
}

/// Makes Linux wake the threads that this one starts when their time has come. By default it may be 50 us later.
pub(crate) fn wake_in_time() {
    fs::write("/proc/self/timerslack_ns", "1").expect("a process may set its own slack");
}

impl Schedule {
    /// Begins a schedule in a moment, so that what it drives is ready by then.
    pub(crate) fn begin(rate: u64, seconds: u64) -> Self {
        Self {
            rate,
            seconds,
            start: Instant::now() + Duration::from_millis(200),
        }
    }

    /// Returns how many times it happens.
    pub(crate) fn count(self) -> u64 {
        self.rate * self.seconds
    }

    /// Returns when number `i` is due.
    pub(crate) fn due(self, i: u64) -> Instant {
        self.start + Duration::from_nanos(i * 1_000_000_000 / self.rate)
    }

    /// Calls `each` when its number is due, or as soon as the calls before it have returned. This blocks the thread.
    pub(crate) fn run(self, mut each: impl FnMut(u64)) {
        for i in 0..self.count() {
            let wait = self.due(i).saturating_duration_since(Instant::now());
            if !wait.is_zero() {
                thread::sleep(wait);
            }
            each(i);
        }
    }
}
