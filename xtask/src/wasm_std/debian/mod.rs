//! Makes a compiler for WebAssembly from Debian's packages, for machines whose rustup may not download.
//!
//! Debian's `rustc-web` follows Rust closely, and `rust-web-src` has the sources of exactly its standard library,
//! which is compiled here: a standard library only works with the compiler that built it. Everything is unpacked
//! below one folder and nothing is installed, so the machine does not change.

mod packages;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{Compiler, TARGET, linker};
use crate::{
    cache,
    process::{capture, run, step, succeeds},
    workspace,
};

/// Change this together with the steps below, so that the result of an older version is replaced.
const RECIPE: &str = "rustc-web and std, first edition";

/// Returns whether the compiler is complete and still runs.
pub(super) fn is_ready(prefix: &Path) -> bool {
    cache::is_ready(prefix, RECIPE) && runs(prefix)
}

/// Returns the compiler below `prefix`, with the linker of the active compiler: Debian's linker is a separate
/// package.
pub(super) fn compiler(prefix: &Path) -> Result<Compiler> {
    Ok(Compiler::Other {
        rustc: rustc(prefix),
        linker: linker()?,
    })
}

/// Downloads about 150 MB and takes one or two minutes.
pub(super) fn make(prefix: &Path) -> Result<()> {
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

/// Path of the script that [`write_wrapper`] writes.
fn rustc(prefix: &Path) -> PathBuf {
    prefix.join("bin/rustc")
}

/// Writes the script that shows the compiler its libraries, which it expects in the system's folders.
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
        std::env::join_paths(&folders).context("the name of the cache folder contains a colon")?;
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

/// Compiles the standard library with the compiler that was just unpacked.
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
        // std uses unstable features, which a stable compiler only accepts with this variable.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", &target_dir)
        // The flags with which Rust's own build compiles std: unstable for its users, and suitable for LTO.
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
