//! `cargo xtask fuzz [TARGET]`: runs the fuzz targets of the built-in broker with libFuzzer and AddressSanitizer.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{
    process::{run as run_command, step},
    tools, workspace,
};

/// The fuzz targets, one binary each.
pub(crate) const TARGETS: [&str; 3] = ["request", "batch", "recovery"];

/// A folder in memory, on Linux.
const MEMORY_FOLDER: &str = "/dev/shm";

/// Runs the fuzz target `target`, or each one without it, for `seconds`.
pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<()> {
    for name in TARGETS
        .into_iter()
        .filter(|name| target.is_none_or(|target| target == *name))
    {
        let mut fuzz = tools::FUZZ.provide()?;
        step(format_args!("fuzzing {name} for {seconds} s"));
        fuzz.arg("run")
            .arg("--fuzz-dir")
            .arg(workspace::root().join("broker/fuzz"));
        fuzz.arg(name).arg("--");
        fuzz.arg(format!("-max_total_time={seconds}"))
            .arg("-malloc_limit_mb=256");
        // The target `recovery` writes files for each input.
        if Path::new(MEMORY_FOLDER).is_dir() {
            fuzz.env("TMPDIR", MEMORY_FOLDER);
        }
        // Sanitizers are unstable flags of the compiler, which it accepts only with this.
        fuzz.env("RUSTC_BOOTSTRAP", "1");
        run_command(&mut fuzz).with_context(|| {
            format!("fuzzing {name} failed; its input is in broker/fuzz/artifacts")
        })?;
    }
    Ok(())
}
