//! `cargo xtask run`: builds the daemon and its handlers, and serves, in one command.

use std::{os::unix::process::CommandExt, process::Command};

use anyhow::{Context, Result};

use crate::{
    handlers,
    process::{self, step},
    workspace,
};

/// Builds the handlers of the drop-in folder and the daemon, and then becomes `eventos serve`: signals and the exit code
/// are the daemon's own.
pub(crate) fn run(args: &[String]) -> Result<()> {
    handlers::build(handlers::Selection::DropIns)?;

    step("building the daemon in release");
    process::run(workspace::cargo().args(["build", "--release", "--package", "eventos"]))?;
    let eventos = workspace::metadata()?
        .target_directory
        .join("release/eventos");

    step(format_args!(
        "{} serve {}",
        eventos.display(),
        args.join(" ")
    ));
    // The paths of the configuration are relative to the working directory.
    let error = Command::new(&eventos)
        .arg("serve")
        .args(args)
        .current_dir(workspace::root())
        .exec();
    Err(error).with_context(|| format!("cannot start {}", eventos.display()))
}
