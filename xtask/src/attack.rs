//! `cargo xtask attack`: hostile clients, records and modules against a running daemon, one after the other. It prints each
//! attempt and its result.
//!
//! The attacks are in `host/tests/suite/attack`, and part of `cargo xtask test`.

use anyhow::{Context, Result};

use crate::{
    handlers,
    process::{run as run_command, step},
    workspace,
};

/// Builds what the attacks need, and runs them.
pub(crate) fn run() -> Result<()> {
    handlers::build(handlers::Selection::All)?;
    step("attacking a daemon");
    let mut tests = workspace::cargo();
    tests.args(["test", "--workspace", "--test", "suite", "attack::"]);
    tests.args(["--", "--nocapture"]);
    run_command(&mut tests).context("an attack was not contained")?;
    step("every attack was contained");
    Ok(())
}
