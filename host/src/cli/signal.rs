//! The wish to stop, as the system sends it.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell reports for a program that an interrupt ended.
const INTERRUPTED: i32 = 130;

/// Listens for SIGINT and SIGTERM from now on. The answer is ready with the first of them; the second ends the
/// process at once, with code 130, whatever is left undone.
///
/// # Errors
/// If the handlers cannot be installed. Panics outside of a tokio runtime.
pub fn stop() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        let name = next(&mut interrupt, &mut terminate).await;
        tracing::info!(
            signal = name,
            "stopping: finishing what was begun; once more to stop at once"
        );
        // Lives as long as the runtime, which is as long as there is something to cut short.
        tokio::spawn(async move {
            let name = next(&mut interrupt, &mut terminate).await;
            tracing::warn!(signal = name, "stopped at once");
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
