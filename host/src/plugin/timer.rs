//! The time limit of a call. The engine's clock ticks in real time, but a handler is charged only the CPU time of its
//! thread, so that a busy machine does not make handlers fail.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use wasmtime::{Result, Trap, UpdateDeadline};

use super::epoch_clock::ticks;

/// CPU time that a call may take, and the time at its start. A call stays on one thread.
pub(super) struct Timer {
    limit: Duration,
    began: Duration,
}

impl Timer {
    /// Starts the timer.
    pub(super) fn new(limit: Duration) -> Self {
        let began = cpu_time();
        Self { limit, began }
    }

    /// Returns the number of ticks after which to check the time for the first time.
    pub(super) fn ticks(&self) -> u64 {
        ticks(self.limit)
    }

    /// Checks the time when those ticks have passed: interrupts the call, or lets it use the time that is left.
    pub(super) fn check(&self) -> Result<UpdateDeadline> {
        let used = cpu_time().saturating_sub(self.began);
        match self.limit.checked_sub(used) {
            Some(left) if !left.is_zero() => Ok(UpdateDeadline::Continue(ticks(left))),
            _ => Err(Trap::Interrupt.into()),
        }
    }
}

/// Returns the CPU time that this thread has used so far.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // The kernel counts up from 0, so neither part is negative.
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_time_on_a_core_is_held_against_a_call() {
        let timer = Timer::new(Duration::from_millis(20));
        std::thread::sleep(Duration::from_millis(40));
        assert!(timer.check().is_ok());
        let began = cpu_time();
        while cpu_time() - began < Duration::from_millis(21) {
            std::hint::spin_loop();
        }
        let stopped = timer.check().err().expect("its time is over");
        assert_eq!(stopped.downcast_ref::<Trap>(), Some(&Trap::Interrupt));
    }
}
