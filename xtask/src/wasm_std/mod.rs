//! Provides a Rust compiler for wasm32-unknown-unknown.
//!
//! These are tried in order: the active compiler as it is; a compiler that an earlier run made; the active compiler
//! after `rustup target add`; a compiler made of Debian's packages ([`debian`]). If `RUSTUP_AUTO_INSTALL` is 0,
//! rustup is not asked to download anything.

mod debian;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    apt, cache,
    process::{capture, run, step, succeeds, warn},
};

/// The target of handlers: it has no operating system, so a module imports nothing but the contract.
pub(crate) const TARGET: &str = "wasm32-unknown-unknown";

/// The compiler that builds for [`TARGET`].
pub(crate) enum Compiler {
    /// The compiler that cargo uses anyway.
    Active,
    /// Another compiler, with the linker that it needs.
    Other { rustc: PathBuf, linker: PathBuf },
}

impl Compiler {
    /// Makes this cargo command use the compiler.
    pub(crate) fn use_in(&self, cargo: &mut Command) {
        if let Compiler::Other { rustc, linker } = self {
            cargo
                .env("RUSTC", rustc)
                .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", linker);
        }
    }
}

/// Finds or makes such a compiler; the error says what to do by hand.
pub(crate) fn provide() -> Result<Compiler> {
    if active_has_std() {
        return Ok(Compiler::Active);
    }
    let prefix = cache::dir()?.join("rust-wasm");
    if debian::is_ready(&prefix) {
        return debian::compiler(&prefix);
    }

    step(format_args!(
        "the Rust compiler here has no standard library for {TARGET}"
    ));
    let mut reasons = Vec::new();
    match add_with_rustup() {
        Ok(()) => return Ok(Compiler::Active),
        Err(error) => reasons.push(format!("rustup: {error:#}")),
    }
    if apt::is_debian() {
        step(format_args!(
            "making a compiler for {TARGET} of Debian's packages in {}, once",
            prefix.display()
        ));
        match debian::make(&prefix) {
            Ok(()) => return debian::compiler(&prefix),
            Err(error) => reasons.push(format!("Debian's packages: {error:#}")),
        }
    }
    bail!(
        "no Rust compiler for {TARGET}\n  {}\nrun `rustup target add {TARGET}` where rustup may download, \
         or set RUSTC to a compiler that has this target, and try again",
        reasons.join("\n  ")
    )
}

/// Returns whether the active compiler has the standard library of the target.
fn active_has_std() -> bool {
    let args = ["--print", "target-libdir", "--target", TARGET];
    capture(Command::new(active_rustc()).args(args))
        .is_ok_and(|dir| holds_std(Path::new(dir.trim_end())))
}

fn active_rustc() -> std::ffi::OsString {
    env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}

/// Returns whether a target's library folder contains std; rustc names the folder whether or not it exists.
fn holds_std(dir: &Path) -> bool {
    let Ok(entries) = dir.read_dir() else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("libstd-") && name.ends_with(".rlib")
    })
}

fn add_with_rustup() -> Result<()> {
    if env::var_os("RUSTUP_AUTO_INSTALL").is_some_and(|value| value == "0") {
        bail!("not asked, since RUSTUP_AUTO_INSTALL=0 forbids it to download");
    }
    if !succeeds(Command::new("rustup").arg("--version")) {
        bail!("it is not installed");
    }
    step(format_args!("rustup target add {TARGET}"));
    if let Err(error) = run(Command::new("rustup").args(["target", "add", TARGET])) {
        warn(format_args!("{error:#}"));
        return Err(error);
    }
    if !active_has_std() {
        bail!("the target was added, but not to the compiler in use: is RUSTC set?");
    }
    Ok(())
}

/// Returns a linker for WebAssembly: the LLD of the active compiler, or one that is installed.
fn linker() -> Result<PathBuf> {
    let rustc = active_rustc();
    let sysroot = capture(Command::new(&rustc).args(["--print", "sysroot"]))?;
    let host = host(&capture(Command::new(&rustc).arg("-vV"))?)?;
    let shipped = Path::new(sysroot.trim_end())
        .join("lib/rustlib")
        .join(host)
        .join("bin/rust-lld");
    if shipped.exists() {
        return Ok(shipped);
    }
    if succeeds(Command::new("wasm-ld").arg("--version")) {
        return Ok("wasm-ld".into());
    }
    bail!("no linker for WebAssembly; install LLD (`apt-get install lld`)")
}

/// Returns the host's target triple from the output of `rustc -vV`.
fn host(version: &str) -> Result<String> {
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("`rustc -vV` names no host")?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_read_from_the_compilers_version() {
        let said = "rustc 1.95.0 (59807616e 2026-04-14)\nbinary: rustc\nhost: aarch64-unknown-linux-gnu\nrelease: 1.95.0\n";
        assert_eq!(host(said).unwrap(), "aarch64-unknown-linux-gnu");
        assert!(host("").is_err());
    }

    #[test]
    fn a_library_folder_without_std_does_not_count() {
        let temp = tempfile::tempdir().unwrap();
        assert!(!holds_std(&temp.path().join("missing")));
        std::fs::write(temp.path().join("libcore-1f.rlib"), "").unwrap();
        assert!(!holds_std(temp.path()));
        std::fs::write(temp.path().join("libstd-2e.rlib"), "").unwrap();
        assert!(holds_std(temp.path()));
    }
}
