//! A Python with the libraries of `python.txt`, in a virtual environment of its own in the user's
//! cache folder.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::cache;
use crate::process::{run, step, succeeds};

const REQUIREMENTS: &str = include_str!("python.txt");

/// Whether `python3` has what `python3 -m venv` uses; Debian packs that apart.
pub fn can_make_venvs() -> bool {
    succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"]))
}

/// The environment's interpreter, ready to import them all.
pub fn provide() -> Result<PathBuf> {
    let folder = cache::dir()?.join("python");
    // It points to the interpreter that made it, which may have been updated or removed, hence
    // `imports`.
    cache::prepare(&folder, REQUIREMENTS, imports, |folder| {
        step(format_args!(
            "making a Python environment in {}",
            folder.display()
        ));
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))
            .context("cannot make a Python environment")?;
        let requirements = folder.join("requirements.txt");
        std::fs::write(&requirements, REQUIREMENTS)
            .with_context(|| format!("cannot write {}", requirements.display()))?;
        let pip = [
            "-m",
            "pip",
            "install",
            "--no-input",
            "--disable-pip-version-check",
            "--progress-bar",
            "off",
            "--only-binary",
            ":all:",
            "-r",
        ];
        run(Command::new(interpreter(folder)).args(pip).arg(&requirements).stdin(Stdio::null()))
            .context("the Python libraries of the tests cannot be installed (Python 3.10 or newer is needed)")
    })?;
    Ok(interpreter(&folder))
}

fn interpreter(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}

fn imports(folder: &Path) -> bool {
    succeeds(
        Command::new(interpreter(folder))
            .args(["-c", "import aiokafka, confluent_kafka, fastapi, uvicorn"]),
    )
}
