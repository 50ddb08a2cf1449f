//! Binds, builds, spawns, drains.

use crate::config::Config;

/// Runs the daemon until `shutdown` is ready, then drains.
///
/// # Errors
/// Whatever keeps it from starting or ends it early.
pub async fn run(config: Config, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
    // A stand-in until the daemon exists.
    tracing::info!(http = %config.http.listen, "there is nothing to run yet");
    shutdown.await;
    Ok(())
}
