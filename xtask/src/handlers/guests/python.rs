//! Python: componentize-py, a package of PyPI that brings its own CPython, in a virtual environment
//! in the user's cache folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::process::{run, succeeds};
use crate::{apt, venv, workspace};

pub const REQUIREMENT: &str = "componentize-py==0.25.1";

pub fn build(folder: &Path) -> Result<Vec<u8>> {
    let compiler = provide()?;
    let root = workspace::root();
    let temp = tempfile::tempdir().context("cannot make a folder")?;
    let component = temp.path().join("handler.wasm");
    let mut command = Command::new(compiler);
    command
        .arg("-d")
        .arg(root.join("wit"))
        .args(["-w", "handler"]);
    command.arg("componentize");
    command.arg("-p").arg(root.join("plugins/sdk-python"));
    command.arg("-p").arg(folder);
    // With WASI, which the daemon satisfies: without it `random` would give the same numbers in each instance, and `print` trap.
    // The SDK's module that has the exports; it imports the author's `handler`.
    command.arg("eventos.component").arg("-o").arg(&component);
    // So that it leaves nothing among the sources.
    run(command.env("PYTHONDONTWRITEBYTECODE", "1"))?;
    fs::read(&component).with_context(|| format!("cannot read {}", component.display()))
}

fn provide() -> Result<PathBuf> {
    apt::provide(&[venv::need()])?;
    let program = |folder: &Path| folder.join("bin/componentize-py");
    let runs = |folder: &Path| succeeds(Command::new(program(folder)).arg("--version"));
    let folder = venv::provide("componentize-py", REQUIREMENT, runs)?;
    Ok(program(&folder))
}
