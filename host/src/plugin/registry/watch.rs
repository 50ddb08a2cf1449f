//! Watching the folder, so that a file that is dropped into it is a handler a moment later.

use std::{sync::Arc, time::Duration};

use notify::{Event, EventKind, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

use super::Registry;

/// How long nothing must change before the folder is read: who copies a file writes it in pieces.
const QUIET: Duration = Duration::from_millis(100);

impl Registry {
    /// Takes up what changes in the folder, until the future is dropped.
    ///
    /// # Errors
    /// The folder cannot be watched at all.
    pub async fn watch(&self) -> Result<(), notify::Error> {
        let changed = Arc::new(Notify::new());
        let notify = Arc::clone(&changed);
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // What was only read is no change, and reading is what a change leads to.
            if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_))) {
                notify.notify_one();
            }
        })?;
        watcher.watch(&self.0.config.dir, RecursiveMode::NonRecursive)?;
        // What changed between the loading and the watching.
        changed.notify_one();
        loop {
            changed.notified().await;
            while tokio::time::timeout(QUIET, changed.notified())
                .await
                .is_ok()
            {}
            let registry = self.clone();
            // Compiling takes its time, and a thread of its own.
            let reloaded = tokio::task::spawn_blocking(move || registry.reload()).await;
            if let Err(error) = reloaded {
                tracing::error!(%error, "reading the handlers' folder ended in a bug");
            }
        }
    }
}
