//! Watches the drop-in folder, so that a new file becomes a handler within a moment.

use std::{sync::Arc, time::Duration};

use notify::{Event, EventKind, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::Registry;

/// How long the folder must be quiet before it is read, because files are copied piece by piece.
const QUIET: Duration = Duration::from_millis(100);

impl Registry {
    /// Applies changes of the folder until the future is dropped.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be watched at all.
    pub async fn watch(&self) -> Result<(), notify::Error> {
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // Ignore reads: every change makes us read the folder, which would otherwise trigger the next change.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                notify.notify_one();
            }
        })?;
        watcher.watch(&self.0.config.dir, RecursiveMode::NonRecursive)?;
        // Covers what changed between loading the handlers and watching the folder.
        changed.notify_one();
        loop {
            changed.notified().await;
            while tokio::time::timeout(QUIET, changed.notified())
                .await
                .is_ok()
            {}
            let registry = self.clone();
            // Compiling takes long, so it gets a thread of its own.
            let reloaded = tokio::task::spawn_blocking(move || registry.reload()).await;
            if let Err(error) = reloaded {
                tracing::error!(%error, "reloading the drop-in folder panicked");
            }
        }
    }
}
