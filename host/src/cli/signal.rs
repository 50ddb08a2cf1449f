//! Signals that stop the daemon.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code that shells use for a program that was ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// Listens for SIGINT and SIGTERM from now on. The returned future completes with the first of them. The second ends
/// the process at once, with exit code 130, even if work is unfinished.
///
/// # Errors
/// If the signal handlers cannot be installed.
///
/// # Panics
/// Outside of a tokio runtime.
pub(super) fn stop() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        let name = next(&mut interrupt, &mut terminate).await;
        tracing::info!(
            signal = name,
            "stopping after the batches in flight; send the signal again to stop at once"
        );
        // The task lives as long as the runtime, and so as long as there is anything to abort.
        tokio::spawn(async move {
            let name = next(&mut interrupt, &mut terminate).await;
            tracing::warn!(signal = name, "stopped at once by a second signal");
            std::process::exit(INTERRUPTED);
        });
    })
}

async fn next(interrupt: &mut Signal, terminate: &mut Signal) -> &'static str {
    tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    }
}
