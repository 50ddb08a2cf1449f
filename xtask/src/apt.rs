//! Installs missing programs with Debian's package manager, or says what to install.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

use crate::process::{capture, run, step, succeeds};

/// A program that a chore cannot do without.
pub(crate) struct Need {
    /// Name of the program in a sentence, with its minimum version.
    pub what: &'static str,
    /// The Debian package that contains it.
    pub package: &'static str,
    pub is_there: bool,
}

/// Returns whether this machine installs packages with apt.
pub(crate) fn is_debian() -> bool {
    Path::new("/etc/debian_version").exists() && succeeds(Command::new("apt-get").arg("--version"))
}

/// Returns whether this process may install packages and refresh their lists.
pub(crate) fn is_root() -> bool {
    capture(Command::new("id").arg("-u")).is_ok_and(|uid| uid.trim() == "0")
}

/// Returns an `apt-get` that asks no questions, whatever its standard input is.
pub(crate) fn apt_get() -> Command {
    let mut command = Command::new("apt-get");
    command
        .arg("-q")
        .env("DEBIAN_FRONTEND", "noninteractive")
        .stdin(Stdio::null());
    command
}

/// Refreshes the package lists, which a fresh machine or container often lacks.
pub(crate) fn update() -> Result<()> {
    step("apt-get update");
    run(apt_get().arg("update")).context("cannot refresh Debian's package lists")
}

/// Installs the missing programs, or fails with a list of what to install.
pub(crate) fn provide(needs: &[Need]) -> Result<()> {
    let missing: Vec<&Need> = needs.iter().filter(|need| !need.is_there).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let what = missing
        .iter()
        .map(|need| need.what)
        .collect::<Vec<_>>()
        .join(", ");
    let packages: Vec<&str> = missing.iter().map(|need| need.package).collect();
    if !is_debian() {
        bail!(
            "missing: {what}; install it and try again (in Debian the packages are {})",
            packages.join(" ")
        );
    }
    if !is_root() {
        bail!(
            "missing: {what}; install it with `sudo apt-get install {}` and try again",
            packages.join(" ")
        );
    }
    step(format_args!("installing what is missing: {what}"));
    update()?;
    run(apt_get()
        .args(["install", "-y", "--no-install-recommends"])
        .args(&packages))
    .with_context(|| {
        format!(
            "missing: {what}, and apt could not install {}",
            packages.join(" ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_missing_asks_for_nothing() {
        assert!(
            provide(&[Need {
                what: "a shell",
                package: "no-such-package",
                is_there: true
            }])
            .is_ok()
        );
    }
}
