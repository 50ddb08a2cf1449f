//! Signals that stop the daemon.

use std::{fs, future::pending, io};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// The exit code that shells use for a program that was ended by SIGINT.
const INTERRUPTED: i32 = 130;

/// Listens for SIGINT, SIGTERM and SIGHUP from now on. The returned future completes with the first of them. After that, SIGINT
/// or SIGTERM ends the process at once, with exit code 130, even if work is unfinished. SIGHUP does not: a terminal that is
/// closed sends several, and systemd can send one right behind SIGTERM.
///
/// SIGHUP stays ignored if it is when the process starts, as with `nohup`.
///
/// # Errors
/// If the signal handlers cannot be installed.
///
/// # Panics
/// Outside of a tokio runtime.
pub(super) fn stop() -> io::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = match is_hangup_ignored() {
        true => None,
        false => Some(signal(SignalKind::hangup())?),
    };
    Ok(async move {
        let name = tokio::select! {
            name = next(&mut interrupt, &mut terminate) => name,
            () = received(hangup.as_mut()) => "SIGHUP",
        };
        tracing::info!(
            signal = name,
            "stopping after the batches in flight; send SIGINT or SIGTERM again to stop at once"
        );
        // The task lives as long as the runtime, and so as long as there is anything to abort.
        tokio::spawn(async move {
            // While it is listened for, it does not end the process.
            let _hangup = hangup;
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

async fn received(signal: Option<&mut Signal>) {
    match signal {
        Some(signal) => drop(signal.recv().await),
        None => pending().await,
    }
}

/// Returns whether this process was started with SIGHUP ignored; false if that is unknown.
fn is_hangup_ignored() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    // SIGHUP is signal 1, and so bit 0.
    mask.is_some_and(|mask| mask & 1 == 1)
}
