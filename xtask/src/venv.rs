//! Python environments in the user's cache folder.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    apt::Need,
    cache,
    process::{run, step, succeeds},
};

/// Returns the package that creates them, which Debian separates from Python.
pub(crate) fn need() -> Need {
    Need {
        what: "Python 3 with venv",
        package: "python3-venv",
        is_there: succeeds(Command::new("python3").args(["-c", "import ensurepip, venv"])),
    }
}

/// Returns the environment `name` with these requirements, one per line, as pip reads them.
///
/// An environment that no longer `works` is created again: it points to the interpreter that created it, which may
/// have been updated or removed.
pub(crate) fn provide(
    name: &str,
    requirements: &str,
    works: impl FnOnce(&Path) -> bool,
) -> Result<PathBuf> {
    let folder = cache::dir()?.join(name);
    cache::prepare(&folder, requirements, works, |folder| {
        step(format_args!(
            "making a Python environment in {}",
            folder.display()
        ));
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))
            .context("cannot make a Python environment")?;
        let list = folder.join("requirements.txt");
        std::fs::write(&list, requirements)
            .with_context(|| format!("cannot write {}", list.display()))?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--no-input"]);
        pip.args(["--disable-pip-version-check", "--progress-bar", "off"]);
        pip.args(["--only-binary", ":all:", "-r"]).arg(&list);
        run(pip.stdin(Stdio::null())).with_context(|| {
            format!("cannot install {requirements:?} (Python 3.10 or newer is needed)")
        })
    })?;
    Ok(folder)
}
