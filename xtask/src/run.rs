//! `cargo xtask run`: from a checkout to a daemon that serves, in one command.

use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{self, step};
use crate::{handlers, workspace};

/// Builds handlers and host, then becomes `eventos serve`: signals and the exit code are the
/// daemon's own.
pub fn run(args: &[String]) -> Result<()> {
    handlers::build()?;

    step("building the host in release");
    process::run(workspace::cargo().args(["build", "--release", "--package", "eventos"]))?;
    let eventos = workspace::metadata()?
        .target_directory
        .join("release/eventos");

    step(format_args!(
        "{} serve {}",
        eventos.display(),
        args.join(" ")
    ));
    // In the root, since the configuration's paths are relative to the working directory.
    let error = Command::new(&eventos)
        .arg("serve")
        .args(args)
        .current_dir(workspace::root())
        .exec();
    Err(error).with_context(|| format!("cannot start {}", eventos.display()))
}
