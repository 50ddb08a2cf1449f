//! The signal to stop, for threads that wait, and the reasons why a batch is left undone.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::plugin::Handler;

/// How long an answer of the broker is waited for once the daemon shuts down: the broker may be gone for good.
pub(super) const PATIENCE: Duration = Duration::from_secs(15);

/// Lets a thread that is not a task wait for a future, until the daemon shuts down.
#[derive(Clone)]
pub(super) struct ShutdownSignal {
    token: CancellationToken,
    runtime: Handle,
}

/// The daemon shuts down: the current batch stays undone, and is handled again after a restart.
#[derive(Debug)]
pub(super) struct ShuttingDown;

/// Why a batch is left undone. None of its effects has happened.
#[derive(Debug)]
pub(super) enum Undone {
    /// The partition is being given up: its next owner handles the batch.
    GivenUp,
    /// The batch can go on at this time, and other partitions need not wait for it.
    Parked(Instant),
    /// A handler halted the partition, until the chain changes or the handler is resumed.
    Halted { by: Arc<Handler>, reason: String },
}

impl ShutdownSignal {
    pub(super) fn new(token: CancellationToken, runtime: Handle) -> Self {
        Self { token, runtime }
    }

    /// Returns whether the daemon has not begun to shut down.
    pub(super) fn is_pending(&self) -> bool {
        !self.token.is_cancelled()
    }

    /// Waits for this long.
    pub(super) fn sleep(&self, time: Duration) -> Result<(), ShuttingDown> {
        self.runtime.block_on(async {
            tokio::select! {
                () = self.token.cancelled() => Err(ShuttingDown),
                () = tokio::time::sleep(time) => Ok(()),
            }
        })
    }

    /// Waits for an answer, however long it takes; during a shutdown no longer than [`PATIENCE`].
    pub(super) fn wait_for<T>(&self, answer: impl Future<Output = T>) -> Result<T, ShuttingDown> {
        let given_up = async {
            self.token.cancelled().await;
            tokio::time::sleep(PATIENCE).await;
        };
        self.runtime.block_on(async {
            tokio::select! {
                answer = answer => Ok(answer),
                () = given_up => Err(ShuttingDown),
            }
        })
    }
}
