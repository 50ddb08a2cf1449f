//! A part of the daemon that runs until it is stopped. All parts are started, watched and stopped alike.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// A running part of the daemon.
pub(super) struct Service {
    name: &'static str,
    stop: CancellationToken,
    /// None once the task has ended.
    task: Option<JoinHandle<Result<()>>>,
}

impl Service {
    /// Starts the future that `run` returns. It has to end soon after its token is cancelled.
    pub(super) fn start<F>(name: &'static str, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = Some(tokio::spawn(run(stop.clone())));
        Self { name, stop, task }
    }

    /// Completes when the service ends before it is stopped, which is always an error. Dropping the future changes
    /// nothing.
    pub(super) async fn ended(&mut self) -> Result<()> {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let ended = task.await;
        self.task = None;
        let name = self.name;
        // The error says what to do, so it is returned as it is. The log says which part it comes from.
        ended
            .with_context(|| format!("{name} panicked"))?
            .inspect_err(|_| tracing::error!("{name} failed"))?;
        bail!("{name} ended, although it was not stopped")
    }

    /// Tells the service to stop, without waiting for it.
    pub(super) fn stop(&self) {
        self.stop.cancel();
    }

    /// Tells the service to stop, and waits for its end. After this long it is aborted.
    pub(super) async fn finish(self, at_most: Duration) {
        self.stop();
        let (Some(mut task), name) = (self.task, self.name) else {
            return;
        };
        match timeout(at_most, &mut task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!("{name} did not stop cleanly: {error:#}"),
            Ok(Err(panic)) => tracing::error!("{name} panicked: {panic}"),
            Err(_) => {
                tracing::warn!("{name} is still busy after {at_most:?}; aborting it");
                task.abort();
            }
        }
    }
}
