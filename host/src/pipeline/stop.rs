//! The signal to stop, for threads that wait.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

/// Lets a thread that is no task wait on what the runtime offers, until it is told to stop.
#[derive(Clone)]
pub(super) struct Stop {
    token: CancellationToken,
    runtime: Handle,
}

/// The daemon is shutting down: what is in hand stays undone, and is handled again after a restart.
#[derive(Debug)]
pub(super) struct Stopped;

impl Stop {
    pub(super) fn new(token: CancellationToken, runtime: Handle) -> Self {
        Self { token, runtime }
    }

    /// Waits so long.
    pub(super) fn pause(&self, time: Duration) -> Result<(), Stopped> {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.token.cancelled() => Err(Stopped),
                () = tokio::time::sleep(time) => Ok(()),
            }
        })
    }

    /// Waits for an answer, however long it takes. A shutdown does not cut it short: it ends by itself.
    pub(super) fn wait<T>(&self, answer: impl Future<Output = T>) -> T {
        self.runtime.block_on(answer)
    }
}
