//! A part of the daemon that runs until it is told to stop: started, watched and taken down alike.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// A running part.
pub(crate) struct Service {
    name: &'static str,
    stop: CancellationToken,
    /// None once it has been seen to end.
    task: Option<JoinHandle<Result<()>>>,
}

impl Service {
    /// Starts what `run` makes; it is to end soon after its token is cancelled.
    pub(crate) fn start<F>(name: &'static str, run: impl FnOnce(CancellationToken) -> F) -> Self
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let stop = CancellationToken::new();
        let task = Some(tokio::spawn(run(stop.clone())));
        Self { name, stop, task }
    }

    /// Completes when it ends without having been told to, which is always an error. To drop the future changes nothing.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        let Some(task) = &mut self.task else {
            return std::future::pending().await;
        };
        let ended = task.await;
        self.task = None;
        let name = self.name;
        // The error itself says what to do, so it comes first; whose it is, the log tells.
        ended
            .with_context(|| format!("{name} panicked"))?
            .inspect_err(|_| tracing::error!("{name} cannot go on"))?;
        bail!("{name} ended by itself")
    }

    /// Tells it to stop, and does not wait.
    pub(crate) fn stop(&self) {
        self.stop.cancel();
    }

    /// Tells it to stop and waits for its end, at most so long; it is cut off then.
    pub(crate) async fn finish(self, at_most: Duration) {
        self.stop();
        let (Some(mut task), name) = (self.task, self.name) else {
            return;
        };
        match timeout(at_most, &mut task).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => tracing::warn!("{name} did not stop cleanly: {error:#}"),
            Ok(Err(panic)) => tracing::error!("{name} panicked: {panic}"),
            Err(_) => {
                tracing::warn!("{name} is still busy after {at_most:?}; it is cut off");
                task.abort();
            }
        }
    }
}
