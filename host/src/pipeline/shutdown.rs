//! The signal to stop, for threads that wait; and why a batch may be left undone.

use std::{sync::Arc, time::Duration};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::plugin::Handler;

/// Lets a thread that is no task wait on what the runtime offers, until it is told to stop.
#[derive(Clone)]
pub(super) struct Stop {
    token: CancellationToken,
    runtime: Handle,
}

/// How long an answer is waited for once the daemon shuts down: the broker may be gone for good.
const PATIENCE: Duration = Duration::from_secs(15);

/// The daemon is shutting down: what is in hand stays undone, and is handled again after a restart.
#[derive(Debug)]
pub(super) struct Stopped;

/// Why a batch is left undone. Nothing of it has happened.
#[derive(Debug)]
pub(super) enum Undone {
    Stopped,
    Halted(Halt),
}

/// Its partition has stopped, until the chain changes or somebody resumes the handler.
#[derive(Debug)]
pub(super) struct Halt {
    pub by: Arc<Handler>,
}

impl From<Stopped> for Undone {
    fn from(_: Stopped) -> Self {
        Self::Stopped
    }
}

impl Stop {
    pub(super) fn new(token: CancellationToken, runtime: Handle) -> Self {
        Self { token, runtime }
    }

    pub(super) fn is_not_yet(&self) -> bool {
        !self.token.is_cancelled()
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

    /// Waits for an answer, however long it takes; in a shutdown no longer than [`PATIENCE`].
    pub(super) fn wait<T>(&self, answer: impl Future<Output = T>) -> Result<T, Stopped> {
        let stopped = async {
            self.token.cancelled().await;
            tokio::time::sleep(PATIENCE).await;
        };
        self.runtime.block_on(async {
            tokio::select! {
                answer = answer => Ok(answer),
                () = stopped => Err(Stopped),
            }
        })
    }
}
