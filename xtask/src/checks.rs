//! `cargo xtask check [NAME]`: checks of the workspace that need tools of their own, which are installed if they are
//! missing.
//!
//! * `deny` checks licenses, sources and duplicate versions of dependencies by the rules of deny.toml,
//! * `machete` finds dependencies that no source names,
//! * `notices` checks that THIRD-PARTY-NOTICES.md is up to date; only by name and in `cargo xtask test --all`, since it
//!   takes minutes,
//! * `semver` compares the public API of the crates that others depend on with an earlier revision.

use std::process::Command;

use anyhow::{Context, Result};
use clap::ValueEnum;

use crate::{
    notices,
    process::{capture, run as run_command, step, succeeds},
    tools, workspace,
};

/// One of the checks.
#[derive(Clone, Copy, PartialEq, ValueEnum)]
pub(crate) enum Name {
    Deny,
    Machete,
    Notices,
    Semver,
}

/// The crates that others depend on, with their folders.
const PUBLIC: [(&str, &str); 2] = [("eventos-broker", "broker"), ("eventos-sdk", "plugins/sdk")];

/// Runs the check `name`, or all except `notices` without one. Public APIs are compared with the revision `baseline`, or
/// without one with the last release. Before the first release, they are not compared.
pub(crate) fn run(name: Option<Name>, baseline: Option<&str>) -> Result<()> {
    let is_wanted = |check| name.is_none_or(|name| name == check);
    if is_wanted(Name::Deny) {
        deny().context("deny failed; the rules are in deny.toml")?;
    }
    if is_wanted(Name::Machete) {
        machete().context("machete failed; remove the dependencies that it lists")?;
    }
    if name == Some(Name::Notices) {
        notices::check()?;
    }
    if is_wanted(Name::Semver) {
        semver(baseline).context(
            "semver failed; undo the breaking change, or raise the version of the crate",
        )?;
    }
    Ok(())
}

fn deny() -> Result<()> {
    let mut deny = tools::DENY.provide()?;
    step("checking duplicates, licenses and sources of dependencies");
    run_command(deny.args(["--locked", "check", "bans", "licenses", "sources"]))
}

fn machete() -> Result<()> {
    let mut machete = tools::MACHETE.provide()?;
    step("looking for unused dependencies");
    run_command(&mut machete)
}

fn semver(baseline: Option<&str>) -> Result<()> {
    let Some(baseline) = baseline.map(str::to_owned).or_else(last_release) else {
        step("no release yet: compare public APIs with a revision by --baseline-rev REV");
        return Ok(());
    };
    for (name, folder) in PUBLIC {
        if !existed(&baseline, folder, name)? {
            step(format_args!(
                "{name} did not exist in {baseline}: there is no API to compare with"
            ));
            continue;
        }
        let mut semver = tools::SEMVER_CHECKS.provide()?;
        step(format_args!("comparing the API of {name} with {baseline}"));
        semver.args([
            "semver-checks",
            "--package",
            name,
            "--baseline-rev",
            &baseline,
        ]);
        run_command(&mut semver)?;
    }
    Ok(())
}

/// Returns the tag of the last release before the current commit.
fn last_release() -> Option<String> {
    let release =
        capture(git().args(["describe", "--tags", "--abbrev=0", "--match", "v*", "HEAD^"]));
    Some(release.ok()?.trim().to_owned())
}

/// Returns whether the revision has the package `name` in `folder`.
fn existed(revision: &str, folder: &str, name: &str) -> Result<bool> {
    let manifest = format!("{revision}:{folder}/Cargo.toml");
    if succeeds(git().args(["cat-file", "-e", &manifest])) {
        let text = capture(git().args(["show", &manifest]))?;
        let expected = format!("name = \"{name}\"");
        return Ok(text.lines().any(|line| line.trim() == expected));
    }
    // An unknown revision is an error, a folder that is missing from it is not.
    let commit = format!("{revision}^{{commit}}");
    capture(git().args(["rev-parse", "--verify", &commit]))
        .with_context(|| format!("there is no revision {revision}"))?;
    Ok(false)
}

fn git() -> Command {
    let mut git = Command::new("git");
    git.current_dir(workspace::root());
    git
}
