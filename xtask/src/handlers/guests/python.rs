//! Python: componentize-py, a PyPI package with its own CPython, in a virtual environment in the user's cache folder.
//! `plugins/sdk-python/build.py` drives it, like on an author's machine.

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

const REQUIREMENTS: &str =
    include_str!("../../../../plugins/sdk-python/toolchain.txt").trim_ascii();

/// Paths in the virtual environment.
const COMPILER: &str = "bin/componentize-py";
const INTERPRETER: &str = "bin/python";

pub(super) fn build(folder: &Path) -> Result<Vec<u8>> {
    let tools = provide()?;
    let root = workspace::root();
    let temp = tempfile::tempdir().context("cannot make a folder")?;
    let component = temp.path().join("handler.wasm");
    let mut python = Command::new(tools.join(INTERPRETER));
    python
        .arg(root.join("plugins/sdk-python/build.py"))
        .arg(folder)
        .arg(root.join("wit"))
        .arg(&component);
    run(python.env("PYTHONDONTWRITEBYTECODE", "1"))?;
    fs::read(&component).with_context(|| format!("cannot read {}", component.display()))
}

/// Generates the bindings of the contract in a new `folder`, and returns an interpreter that can run them.
pub(crate) fn world(folder: &Path) -> Result<PathBuf> {
    let tools = provide()?;
    let mut command = Command::new(tools.join(COMPILER));
    command.arg("-d").arg(workspace::root().join("wit"));
    run(command.args(["-w", "handler", "bindings"]).arg(folder))?;
    Ok(tools.join(INTERPRETER))
}

/// Returns the folder of the virtual environment.
fn provide() -> Result<PathBuf> {
    apt::provide(&[venv::need()])?;
    let runs = |folder: &Path| succeeds(Command::new(folder.join(COMPILER)).arg("--version"));
    venv::provide("componentize-py", REQUIREMENTS, runs)
}
