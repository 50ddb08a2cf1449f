//! A compiler for WebAssembly out of Debian's packages, for machines whose rustup may not download.
//!
//! Debian's `rustc-web` follows Rust closely, and `rust-web-src` has the sources of exactly its
//! standard library, which is compiled here: a standard library only works with the compiler that
//! it was built by. Everything is unpacked below one folder, nothing is installed, and so nothing
//! on the machine changes.

mod packages;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use super::{Compiler, TARGET, linker};
use crate::process::{capture, run, step, succeeds};
use crate::{cache, workspace};

/// To be changed with the steps below, so that what an older version of them made is made again.
const RECIPE: &str = "rustc-web and std, first edition";

/// Whether the compiler was made, completely, and still runs.
pub fn is_ready(prefix: &Path) -> bool {
    cache::is_ready(prefix, RECIPE) && runs(prefix)
}

/// The compiler below `prefix`, with the linker of the active one: Debian's is a package of its
/// own.
pub fn compiler(prefix: &Path) -> Result<Compiler> {
    Ok(Compiler::Other {
        rustc: rustc(prefix),
        linker: linker()?,
    })
}

/// Downloads about 150 MB and takes a minute or two; announces every step.
pub fn make(prefix: &Path) -> Result<()> {
    cache::prepare(prefix, RECIPE, runs, |prefix| {
        let work = prefix.join("work");
        packages::fetch(prefix, &work)?;
        write_wrapper(prefix)?;
        build_std(prefix, &work)?;
        fs::remove_dir_all(&work).with_context(|| format!("cannot remove {}", work.display()))
    })
}

fn runs(prefix: &Path) -> bool {
    succeeds(Command::new(rustc(prefix)).arg("--version"))
}

/// The script that [`write_wrapper`] writes.
fn rustc(prefix: &Path) -> PathBuf {
    prefix.join("bin/rustc")
}

/// Makes the script that shows the compiler its libraries, which it expects in the system's
/// folders.
fn write_wrapper(prefix: &Path) -> Result<()> {
    let mut folders: Vec<PathBuf> = ["usr/lib", "lib"].map(|lib| prefix.join(lib)).into();
    for lib in folders.clone() {
        // Debian's folder for the architecture, such as x86_64-linux-gnu.
        let Ok(entries) = lib.read_dir() else {
            continue;
        };
        folders.extend(
            entries
                .flatten()
                .map(|e| e.path())
                .filter(|path| path.to_string_lossy().ends_with("-linux-gnu")),
        );
    }
    let search =
        std::env::join_paths(&folders).context("the cache folder's name may hold no colon")?;
    let script = format!(
        "#!/bin/sh\nLD_LIBRARY_PATH='{}'${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}} exec '{}' \"$@\"\n",
        search.to_string_lossy(),
        prefix.join("usr/bin/rustc").display()
    );
    let path = rustc(prefix);
    fs::create_dir_all(prefix.join("bin"))
        .with_context(|| format!("cannot make {}", prefix.join("bin").display()))?;
    fs::write(&path, script).with_context(|| format!("cannot write {}", path.display()))?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
        .with_context(|| format!("cannot make {} executable", path.display()))?;
    step(capture(Command::new(&path).arg("--version"))?.trim_end());
    Ok(())
}

/// Compiles the standard library with the compiler just unpacked, for it to find.
fn build_std(prefix: &Path, work: &Path) -> Result<()> {
    step(format_args!("compiling std for {TARGET}"));
    let sources = work.join("usr/src");
    let source = sources
        .read_dir()
        .ok()
        .and_then(|mut folders| folders.next())
        .transpose()?;
    let source =
        source.with_context(|| format!("the sources of std are not in {}", sources.display()))?;
    let target_dir = work.join("std");
    let mut cargo = workspace::cargo();
    cargo
        .current_dir(source.path().join("library"))
        .args(["build", "--locked", "--release", "--target", TARGET])
        .args(["-p", "std", "-p", "panic_abort", "-p", "proc_macro"])
        .env("RUSTC", rustc(prefix))
        // std uses unstable features, which a stable compiler accepts only with this.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", &target_dir)
        // The flags with which Rust's own build makes std: unstable for its users, and fit for LTO.
        .env(
            "RUSTFLAGS",
            "-Zforce-unstable-if-unmarked -Cembed-bitcode=yes -Cstrip=debuginfo",
        )
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(&mut cargo)?;

    let built = target_dir.join(TARGET).join("release/deps");
    let library = prefix.join("usr/lib/rustlib").join(TARGET).join("lib");
    fs::create_dir_all(&library).with_context(|| format!("cannot make {}", library.display()))?;
    for entry in built
        .read_dir()
        .with_context(|| format!("cannot read {}", built.display()))?
    {
        let file = entry?.path();
        if let Some(name) = file
            .file_name()
            .filter(|_| file.extension().is_some_and(|ending| ending == "rlib"))
        {
            fs::copy(&file, library.join(name))
                .with_context(|| format!("cannot copy {}", file.display()))?;
        }
    }
    Ok(())
}
