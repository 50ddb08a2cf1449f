//! Python: componentize-py, a PyPI package with its own CPython, in a virtual environment in the user's cache folder.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    apt,
    process::{run, succeeds},
    venv, workspace,
};

const REQUIREMENT: &str = include_str!("../../../../plugins/sdk-python/toolchain.txt").trim_ascii();

/// Path in the virtual environment.
const COMPILER: &str = "bin/componentize-py";

pub(super) fn build(folder: &Path) -> Result<Vec<u8>> {
    let tools = provide()?;
    let root = workspace::root();
    let temp = tempfile::tempdir().context("cannot make a folder")?;
    let component = temp.path().join("handler.wasm");
    let mut command = Command::new(tools.join(COMPILER));
    command
        .arg("-d")
        .arg(root.join("wit"))
        .args(["-w", "handler"]);
    command.arg("componentize");
    command.arg("-p").arg(root.join("plugins/sdk-python"));
    command.arg("-p").arg(folder);
    // With WASI, which the daemon satisfies: without it `random` would give the same numbers in each instance, and
    // `print` would trap. `eventos.component` is the SDK's module with the exports; it imports the author's
    // `handler`.
    command.arg("eventos.component").arg("-o").arg(&component);
    // Leaves no compiled files among the sources.
    run(command.env("PYTHONDONTWRITEBYTECODE", "1"))?;
    fs::read(&component).with_context(|| format!("cannot read {}", component.display()))
}

/// Generates the bindings of the contract in a new `folder`, and returns an interpreter that can run them.
pub(crate) fn world(folder: &Path) -> Result<PathBuf> {
    let tools = provide()?;
    let mut command = Command::new(tools.join(COMPILER));
    command.arg("-d").arg(workspace::root().join("wit"));
    run(command.args(["-w", "handler", "bindings"]).arg(folder))?;
    Ok(tools.join("bin/python"))
}

/// Returns the folder of the virtual environment.
fn provide() -> Result<PathBuf> {
    apt::provide(&[venv::need()])?;
    let runs = |folder: &Path| succeeds(Command::new(folder.join(COMPILER)).arg("--version"));
    venv::provide("componentize-py", REQUIREMENT, runs)
}
