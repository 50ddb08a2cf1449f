//! Python: componentize-py, a package of PyPI that brings its own CPython, in a virtual environment
//! in the user's cache folder.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::apt::{self, Need};
use crate::process::{run, step, succeeds};
use crate::{cache, workspace};

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
    let folder = cache::dir()?.join("componentize-py");
    let program = |folder: &Path| folder.join("bin/componentize-py");
    let runs = |folder: &Path| succeeds(Command::new(program(folder)).arg("--version"));
    cache::prepare(&folder, REQUIREMENT, runs, |folder| {
        apt::provide(&[Need {
            what: "Python 3 with venv",
            package: "python3-venv",
            is_there: succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])),
        }])?;
        step(format_args!(
            "getting {REQUIREMENT} into {}",
            folder.display()
        ));
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))
            .context("cannot make a Python environment")?;
        let pip = [
            "-m",
            "pip",
            "install",
            "--no-input",
            "--disable-pip-version-check",
        ];
        let quiet = [
            "--progress-bar",
            "off",
            "--only-binary",
            ":all:",
            REQUIREMENT,
        ];
        let mut pip_install = Command::new(folder.join("bin/python"));
        run(pip_install.args(pip).args(quiet).stdin(Stdio::null()))
            .with_context(|| format!("{REQUIREMENT} cannot be installed"))
    })?;
    Ok(program(&folder))
}
