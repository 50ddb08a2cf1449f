//! Selects the Debian packages that make up the compiler, lets apt download them, and unpacks them below one folder
//! without installing them.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, Result, bail};

use crate::{
    apt,
    process::{capture, pipe, run, step, warn},
};

const COMPILER: &str = "rustc-web";
const COMPILER_LIBRARIES: &str = "libstd-rust-web-dev";
const STD_SOURCE: &str = "rust-web-src";

/// Unpacks the compiler and its libraries below `prefix`, and the sources of its standard library below `work`.
pub(super) fn fetch(prefix: &Path, work: &Path) -> Result<()> {
    refresh_lists()?;
    check_version(&capture(
        Command::new("apt-cache").args(["policy", COMPILER]),
    )?)?;
    let debs = work.join("debs");
    fs::create_dir_all(&debs).with_context(|| format!("cannot make {}", debs.display()))?;
    download(&missing_libraries()?, &debs)?;
    unpack(&debs, prefix, work)
}

fn refresh_lists() -> Result<()> {
    if apt::is_root() {
        return apt::update();
    }
    warn(
        "not root, so Debian's package lists are used as they are; `sudo apt-get update` refreshes them",
    );
    Ok(())
}

/// Fails if the compiler is too old for this workspace, before it is downloaded.
fn check_version(policy: &str) -> Result<()> {
    let candidate = policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate: "));
    let Some(version) = candidate.filter(|version| *version != "(none)") else {
        bail!(
            "there is no package {COMPILER}; run `apt-get update`, with Debian's security archive among its sources"
        );
    };
    let wanted = env!("CARGO_PKG_RUST_VERSION");
    if major_minor(version) < major_minor(wanted) {
        bail!(
            "{COMPILER} is {version}, but Rust {wanted} is needed; is Debian's security archive among apt's sources?"
        );
    }
    Ok(())
}

/// Returns (1, 96) for `1.96.0+dfsg1-1`; what is not a number counts as 0.
fn major_minor(version: &str) -> (u32, u32) {
    let mut numbers = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|digits| digits.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}

/// Returns the compiler's libraries and their dependencies, unless they are installed on this machine.
fn missing_libraries() -> Result<Vec<String>> {
    let mut query = Command::new("apt-cache");
    query.args(["depends", "--recurse", "--important", COMPILER_LIBRARIES]);
    let wanted = package_names(&capture(&mut query)?);
    // It fails if dpkg does not know one of the packages, but still reports the others.
    let known = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\n"])
        .args(&wanted)
        .output();
    let known = known.context("cannot run dpkg-query")?.stdout;
    let known = String::from_utf8_lossy(&known);
    let installed: Vec<&str> = known
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .collect();
    Ok(wanted
        .into_iter()
        .filter(|name| !installed.contains(&name.as_str()))
        .collect())
}

/// Returns the packages that a recursive `apt-cache depends` lists: those at the beginning of a line, except virtual
/// ones.
fn package_names(listing: &str) -> Vec<String> {
    let names = listing
        .lines()
        .filter(|line| !line.starts_with([' ', '<', '|']));
    names
        .filter(|line| !line.is_empty())
        .map(|name| name.trim_end().to_owned())
        .collect()
}

fn download(libraries: &[String], debs: &Path) -> Result<()> {
    step(format_args!(
        "downloading {COMPILER}, {STD_SOURCE}, {}",
        libraries.join(", ")
    ));
    // Root downloads into its own cache folder, which apt's unprivileged user cannot access.
    let mut fetch = apt::apt_get();
    fetch
        .args([
            "-o",
            "APT::Sandbox::User=root",
            "download",
            COMPILER,
            STD_SOURCE,
        ])
        .args(libraries);
    run(fetch.current_dir(debs)).context("cannot download Debian's packages")
}

/// Unpacks compiler and libraries below the prefix, and the sources of std into the work folder.
fn unpack(debs: &Path, prefix: &Path, work: &Path) -> Result<()> {
    step(format_args!(
        "unpacking packages below {}",
        prefix.display()
    ));
    for entry in debs
        .read_dir()
        .with_context(|| format!("cannot read {}", debs.display()))?
    {
        let deb = entry?.path();
        let is_source = deb
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(STD_SOURCE));
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--directory"]);
        if is_source {
            // The package also contains LLVM and the compiler, which are most of it.
            tar.arg(work)
                .args(["--wildcards", "./usr/src/rustc-*/library"]);
        } else {
            tar.arg(prefix).arg("--exclude=./usr/share");
        }
        pipe(
            Command::new("dpkg-deb").arg("--fsys-tarfile").arg(&deb),
            &mut tar,
        )?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_stand_at_the_beginning_of_a_line() {
        let listing = "libstd-rust-web-dev\n  Depends: libstd-rust-web-1.96\nlibstd-rust-web-1.96\n  Depends: libc6\n \
                       |Depends: libllvm22\n    other\n<virtual>\nlibc6\n";
        assert_eq!(
            package_names(listing),
            ["libstd-rust-web-dev", "libstd-rust-web-1.96", "libc6"]
        );
    }

    #[test]
    fn a_compiler_older_than_the_workspace_wants_is_refused() {
        let policy = |version: &str| {
            format!("rustc-web:\n  Installed: (none)\n  Candidate: {version}\n  Version table:\n")
        };
        assert!(check_version(&policy("1.96.0+dfsg1-1~deb12u2")).is_ok());
        assert!(check_version(&policy("2.0.0+dfsg1-1")).is_ok());
        assert!(check_version(&policy("1.85.0+dfsg3-1~deb12u3")).is_err());
        assert!(check_version(&policy("(none)")).is_err());
        assert!(
            check_version("").is_err(),
            "apt-cache says nothing about a package that it does not know"
        );
    }
}
