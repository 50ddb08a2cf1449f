//! Where the workspace is, its cargo, and what cargo says about its packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process::capture;

/// What `cargo metadata` says, as far as chores ask for it.
#[derive(Deserialize)]
pub struct Metadata {
    pub packages: Vec<Package>,
    /// Where this workspace's artifacts go, `CARGO_TARGET_DIR` and the user's cargo configuration
    /// considered.
    pub target_directory: PathBuf,
}

#[derive(Deserialize)]
pub struct Package {
    pub name: String,
    pub manifest_path: PathBuf,
    pub targets: Vec<Target>,
    /// The manifest's `package.metadata`, null without one.
    #[serde(default)]
    pub metadata: serde_json::Value,
}

#[derive(Deserialize)]
pub struct Target {
    pub name: String,
    pub crate_types: Vec<String>,
}

/// The folder of the workspace's Cargo.toml.
pub fn root() -> PathBuf {
    // Cargo tells it at run time too, which stays right when a checkout was moved with its target
    // folder.
    let xtask =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask)
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// The cargo that started us, working in the root of the workspace.
pub fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Asks cargo about the members of the workspace.
pub fn metadata() -> Result<Metadata> {
    let json = capture(cargo().args(["metadata", "--no-deps", "--format-version", "1"]))?;
    serde_json::from_str(&json).context("cannot read what `cargo metadata` answered")
}
