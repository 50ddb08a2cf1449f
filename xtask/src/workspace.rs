//! The workspace: its root, its cargo, and the metadata of its packages.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::process::capture;

/// The part of the output of `cargo metadata` that chores need.
#[derive(Deserialize)]
pub(crate) struct Metadata {
    pub packages: Vec<Package>,
    /// The target folder, which `CARGO_TARGET_DIR` and the user's cargo configuration may change.
    pub target_directory: PathBuf,
}

#[derive(Deserialize)]
pub(crate) struct Package {
    pub name: String,
    pub version: String,
    pub manifest_path: PathBuf,
    pub targets: Vec<Target>,
    /// The manifest's `package.metadata`; null if it has none.
    #[serde(default)]
    pub metadata: serde_json::Value,
}

#[derive(Deserialize)]
pub(crate) struct Target {
    pub name: String,
    pub crate_types: Vec<String>,
}

/// Returns the folder of the workspace's Cargo.toml.
pub(crate) fn root() -> PathBuf {
    // Cargo also sets the variable at run time, which stays right if a checkout was moved with its target folder.
    let xtask =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    Path::new(&xtask)
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_owned)
}

/// Returns the cargo that started this process, working in the root of the workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root());
    cargo
}

/// Asks cargo about the members of the workspace.
pub(crate) fn metadata() -> Result<Metadata> {
    query("--no-deps")
}

/// Asks cargo about the members of the workspace and all that they depend on.
pub(crate) fn metadata_with_dependencies() -> Result<Metadata> {
    query("--locked")
}

fn query(flag: &str) -> Result<Metadata> {
    let json = capture(cargo().args(["metadata", flag, "--format-version", "1"]))?;
    serde_json::from_str(&json).context("cannot parse the output of `cargo metadata`")
}
