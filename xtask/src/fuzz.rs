//! `cargo xtask fuzz [TARGET]`: runs the fuzz targets of the built-in broker and of the daemon with libFuzzer and
//! AddressSanitizer.
//!
//! Each begins with the inputs in `seeds/`, which are kept in the repository, and collects others in `corpus/`, which are not.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    process::{run as run_command, step},
    tools, workspace,
};

/// The fuzz targets, one binary each.
pub(crate) const TARGETS: [&str; 8] = [
    "request",
    "batch",
    "decompress",
    "recovery",
    "evento",
    "outcomes",
    "text",
    "query",
];

/// The targets of the daemon. The others are of the broker.
const OF_THE_DAEMON: [&str; 4] = ["evento", "outcomes", "text", "query"];

/// A folder in memory, on Linux.
const MEMORY_FOLDER: &str = "/dev/shm";

/// Runs the fuzz target `target`, or each one without it, for `seconds`.
pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<()> {
    for name in TARGETS
        .into_iter()
        .filter(|name| target.is_none_or(|target| target == *name))
    {
        let folder = match OF_THE_DAEMON.contains(&name) {
            true => "host/fuzz",
            false => "broker/fuzz",
        };
        let folder = workspace::root().join(folder);
        let corpus = folder.join("corpus").join(name);
        fs::create_dir_all(&corpus).context("cannot create the folder of the corpus")?;
        let mut fuzz = tools::FUZZ.provide()?;
        step(format_args!("fuzzing {name} for {seconds} s"));
        fuzz.arg("run").arg("--fuzz-dir").arg(&folder);
        fuzz.arg(name).arg(corpus);
        fuzz.arg(folder.join("seeds").join(name)).arg("--");
        fuzz.arg(format!("-max_total_time={seconds}"))
            .arg("-malloc_limit_mb=256");
        // The target `recovery` writes files for each input.
        if Path::new(MEMORY_FOLDER).is_dir() {
            fuzz.env("TMPDIR", MEMORY_FOLDER);
        }
        // Sanitizers are unstable flags of the compiler, which it accepts only with this.
        fuzz.env("RUSTC_BOOTSTRAP", "1");
        let artifacts = folder.join("artifacts").join(name);
        run_command(&mut fuzz).with_context(|| {
            format!(
                "fuzzing {name} failed; its input is in {}",
                artifacts.display()
            )
        })?;
    }
    Ok(())
}
