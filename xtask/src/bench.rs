//! `cargo xtask bench NAME`: measures with the handlers as they are now.

use anyhow::Result;

use crate::process::{self, step};
use crate::{handlers, workspace};

/// Builds the handlers and runs one benchmark of the host; cargo names those that exist when `name`
/// is none.
pub fn run(name: &str, args: &[String]) -> Result<()> {
    handlers::build()?;
    step(format_args!("building and running the benchmark `{name}`"));
    process::run(
        workspace::cargo()
            .args(["bench", "--package", "eventos", "--bench", name, "--"])
            .args(args),
    )
}
