//! Plugins of cargo in the user's cache folder, each at one version.

use std::{
    path::PathBuf,
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    cache,
    process::{run, step, succeeds},
    workspace,
};

/// A crate that installs a program of the same name.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
    /// The features without which it has no program.
    features: &'static str,
}

/// Collects the licences of dependencies.
pub(crate) const ABOUT: Tool = Tool {
    name: "cargo-about",
    version: "0.9.3",
    features: "cli",
};

/// Checks licenses, sources and duplicates of dependencies.
pub(crate) const DENY: Tool = Tool {
    name: "cargo-deny",
    version: "0.20.2",
    features: "",
};

/// Drives libFuzzer.
pub(crate) const FUZZ: Tool = Tool {
    name: "cargo-fuzz",
    version: "0.13.2",
    features: "",
};

/// Finds dependencies that no source names.
pub(crate) const MACHETE: Tool = Tool {
    name: "cargo-machete",
    version: "0.9.2",
    features: "",
};

/// Compares the public API of a crate with an earlier revision.
pub(crate) const SEMVER_CHECKS: Tool = Tool {
    name: "cargo-semver-checks",
    version: "0.51.0",
    features: "",
};

impl Tool {
    /// Installs the program unless the cache folder has it, and returns a command that runs it in the root of the
    /// workspace.
    pub(crate) fn provide(&self) -> Result<Command> {
        let Self {
            name,
            version,
            features,
        } = self;
        let folder = cache::dir()?.join("tools").join(name);
        let program = folder.join("bin").join(name);
        let works = |_: &std::path::Path| succeeds(Command::new(&program).arg("--help"));
        cache::prepare(&folder, version, works, |folder| {
            step(format_args!(
                "installing {name} {version} into {}",
                folder.display()
            ));
            let mut cargo = workspace::cargo();
            // Unoptimized and without debug information: compiling takes far longer than these programs run.
            cargo.env("CARGO_PROFILE_DEV_DEBUG", "false");
            cargo.args([
                "install",
                "--features",
                features,
                "--debug",
                "--locked",
                "--version",
                version,
                "--root",
            ]);
            run(cargo.arg(folder).arg(name).stdin(Stdio::null()))
                .with_context(|| format!("cannot install {name} {version}"))
        })?;
        Ok(command(program))
    }
}

fn command(program: PathBuf) -> Command {
    let mut command = Command::new(program);
    command.current_dir(workspace::root());
    command
}
