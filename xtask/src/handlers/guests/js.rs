//! JavaScript: componentize-qjs, an npm package with its own QuickJS, in the user's cache folder.
//! `plugins/sdk-js/build.cjs` drives it, like on an author's machine.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, Result};

use crate::{
    apt::{self, Need},
    cache,
    process::{run, step, succeeds},
    workspace,
};

const PACKAGE: &str = include_str!("../../../../plugins/sdk-js/toolchain.txt").trim_ascii();

/// The SDK is a file with this name, and a folder with the files that belong to it.
const SDK: &str = "eventos";

pub(super) fn build(folder: &Path) -> Result<Vec<u8>> {
    let modules = provide()?;
    let root = workspace::root();
    let sdk = root.join("plugins/sdk-js");
    // A handler and the SDK lie side by side, like on an author's machine.
    let temp = tempfile::tempdir().context("cannot make a folder")?;
    copy_files(super::entries(folder)?, temp.path())?;
    copy_files([sdk.join(SDK).with_extension("js")], temp.path())?;
    copy_files(super::entries(&sdk.join(SDK))?, &temp.path().join(SDK))?;
    let component = temp.path().join("handler.wasm");
    let mut node = Command::new("node");
    node.env("NODE_PATH", modules).arg(sdk.join("build.cjs"));
    run(node.arg(temp.path()).arg(root.join("wit")).arg(&component))?;
    fs::read(&component).with_context(|| format!("cannot read {}", component.display()))
}

/// Copies those of the paths that are files into a folder.
fn copy_files(paths: impl IntoIterator<Item = PathBuf>, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    for path in paths {
        if let Some(name) = path.file_name().filter(|_| path.is_file()) {
            fs::copy(&path, to.join(name))
                .with_context(|| format!("cannot copy {}", path.display()))?;
        }
    }
    Ok(())
}

/// Node runs JavaScript here; npm brings it along.
pub(crate) fn node() -> Need {
    Need {
        what: "Node",
        package: "npm",
        is_there: succeeds(Command::new("node").arg("--version")),
    }
}

/// Returns the folder of the package and its dependencies.
fn provide() -> Result<PathBuf> {
    let folder = cache::dir()?.join("componentize-qjs");
    let modules = |folder: &Path| folder.join("node_modules");
    let loads = |folder: &Path| {
        let mut node = Command::new("node");
        node.env("NODE_PATH", modules(folder));
        succeeds(node.args(["-e", "require('componentize-qjs')"]))
    };
    cache::prepare(&folder, PACKAGE, loads, |folder| {
        apt::provide(&[Need {
            what: "npm",
            package: "npm",
            is_there: succeeds(Command::new("npm").arg("--version")),
        }])?;
        step(format_args!(
            "installing {PACKAGE} into {}",
            folder.display()
        ));
        let mut npm = Command::new("npm");
        npm.args([
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
        ]);
        run(npm.arg(folder).arg(PACKAGE).stdin(Stdio::null()))
            .with_context(|| format!("cannot install {PACKAGE}"))
    })?;
    Ok(modules(&folder))
}
