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

pub(super) fn build(folder: &Path) -> Result<Vec<u8>> {
    let modules = provide()?;
    let root = workspace::root();
    let sdk = root.join("plugins/sdk-js");
    // A handler and the SDK lie side by side, like on an author's machine.
    let temp = tempfile::tempdir().context("cannot make a folder")?;
    for file in super::entries(folder)?
        .into_iter()
        .chain([sdk.join("eventos.js")])
    {
        if let Some(name) = file.file_name().filter(|_| file.is_file()) {
            fs::copy(&file, temp.path().join(name))
                .with_context(|| format!("cannot copy {}", file.display()))?;
        }
    }
    let component = temp.path().join("handler.wasm");
    let mut node = Command::new("node");
    node.env("NODE_PATH", modules).arg(sdk.join("build.cjs"));
    run(node.arg(temp.path()).arg(root.join("wit")).arg(&component))?;
    fs::read(&component).with_context(|| format!("cannot read {}", component.display()))
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
