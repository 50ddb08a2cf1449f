//! The test with a real shipper: Benthos, in Go. It takes minutes to build, and minutes to run, so it is not among those of
//! `cargo test`: `cargo xtask test --all` runs it, or `cargo xtask test shipper`.

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result};

use crate::{
    apt::{self, Need},
    cache, handlers,
    process::{run as run_command, step, succeeds},
    workspace,
};

/// The name that selects it.
const NAME: &str = "shipper";

/// Returns whether this filter can only match this test.
pub(super) fn is_it(filter: &str) -> bool {
    filter == NAME || filter.starts_with("shipper::")
}

/// Builds the shipper, and runs the test.
pub(super) fn run() -> Result<()> {
    apt::provide(&[go()])?;
    let shipper = build()?;
    handlers::build(handlers::Selection::All)?;
    step("shipping a million lines with Benthos");
    let mut test = workspace::cargo();
    test.args(["test", "--workspace", "--test", "suite", "--"])
        .args(["--ignored", "--nocapture", "lifecycle::shipper"])
        .env("EVENTOS_TEST_SHIPPER", shipper);
    run_command(&mut test)
}

fn go() -> Need {
    Need {
        what: "Go 1.25 or newer",
        package: "golang-go",
        is_there: succeeds(Command::new("go").arg("version")),
    }
}

/// Returns the program, which is built once for each version of its sources.
fn build() -> Result<PathBuf> {
    let sources = workspace::root().join("host/tests/clients/shipper");
    let mut recipe = String::new();
    for name in ["main.go", "go.mod", "go.sum"] {
        let path = sources.join(name);
        let text = std::fs::read_to_string(&path);
        recipe += &text.with_context(|| format!("cannot read {}", path.display()))?;
    }
    let folder = cache::dir()?.join(NAME);
    cache::prepare(
        &folder,
        &recipe,
        |folder| folder.join(NAME).exists(),
        |folder| {
            step("building the shipper; this takes minutes");
            let mut go = Command::new("go");
            go.args(["build", "-mod=readonly", "-buildvcs=false", "-o"])
                .arg(folder.join(NAME))
                .arg(".")
                .current_dir(&sources);
            run_command(&mut go).context("cannot build the shipper")
        },
    )?;
    Ok(folder.join(NAME))
}
