//! `cargo xtask handlers`: builds every handler below plugins/ into the drop-in folder, as `plugins/NAME.wasm`.
//!
//! A handler in Rust is a member of the workspace in a folder `plugins/NAME` that builds a cdylib. Cargo makes a core
//! module of it, which the daemon takes as it is. [`guests`] builds handlers in other languages.
//!
//! Two kinds of handlers are not meant for the drop-in folder. One with `example = true` in
//! `[package.metadata.eventos]` becomes `examples/handlers/NAME.wasm`, to be copied by whoever wants it. One with
//! `drop-in = false` is for tests and benchmarks, and becomes `target/handlers/NAME.wasm`.

pub(crate) mod guests;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};

use crate::{
    process::{run, step},
    wasm_std,
    workspace::{self, Metadata},
};

/// A crate to build, and where its file goes.
#[derive(Debug, PartialEq)]
struct Handler {
    package: String,
    /// The file that cargo writes, relative to the folder of the profile.
    module: String,
    file: PathBuf,
}

/// Which handlers to build.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Selection {
    /// The handlers of the drop-in folder, which a daemon serves.
    DropIns,
    /// The drop-ins, the examples, and the handlers of tests and benchmarks.
    All,
}

/// Builds the selected handlers. Files whose bytes would not change are not written, so that a running daemon sees no
/// change.
pub(crate) fn build(selection: Selection) -> Result<()> {
    let root = workspace::root();
    let plugins = root.join("plugins");
    // A target folder of its own, because the compiler may differ from the host's, and cargo locks the folder.
    let target_dir = root.join("target/handlers");
    let mut handlers = find(&workspace::metadata()?, &root);
    if selection == Selection::DropIns {
        handlers.retain(|handler| handler.file.parent() == Some(&plugins));
    }
    if handlers.is_empty() {
        bail!(
            "no crate under {} is a handler: a handler has crate-type = [\"cdylib\"]",
            plugins.display()
        );
    }
    let compiler = wasm_std::provide()?;

    let names = handlers
        .iter()
        .map(|handler| handler.package.as_str())
        .collect::<Vec<_>>()
        .join(", ");
    step(format_args!("building the handlers: {names}"));
    let mut cargo = workspace::cargo();
    cargo
        .args([
            "build",
            "--profile",
            "handler",
            "--target",
            wasm_std::TARGET,
            "--target-dir",
        ])
        .arg(&target_dir);
    for handler in &handlers {
        cargo.args(["--package", &handler.package]);
    }
    compiler.use_in(&mut cargo);
    run(&mut cargo)?;

    let modules = target_dir.join(wasm_std::TARGET).join("handler");
    for handler in &handlers {
        let module = modules.join(&handler.module);
        let module =
            fs::read(&module).with_context(|| format!("cannot read {}", module.display()))?;
        let changed = write(&handler.file, &module)?;
        let shown = handler.file.strip_prefix(workspace::root());
        let shown = shown.unwrap_or(&handler.file).display();
        let note = if changed { "" } else { ", unchanged" };
        step(format_args!("{shown}: {} kB{note}", module.len() / 1000));
    }
    guests::build(&guests::drop_ins(&plugins)?)
}

/// Builds a handler of `plugins/` in each of the other languages, which only tests or benchmarks need. Installs their
/// toolchains.
pub(crate) fn build_translations(of: &str) -> Result<()> {
    let root = workspace::root();
    let (plugins, apart) = (root.join("plugins"), root.join("target/handlers"));
    guests::build(&guests::translations(of, &plugins, &apart)?)
}

/// Returns the handlers among the packages of the workspace in `root`, sorted by their files.
fn find(metadata: &Metadata, root: &Path) -> Vec<Handler> {
    let plugins = root.join("plugins");
    let mut handlers: Vec<Handler> = metadata
        .packages
        .iter()
        .filter_map(|package| {
            let folder = package.manifest_path.parent()?;
            if folder.parent()? != plugins {
                return None;
            }
            let cdylib = |kinds: &Vec<String>| kinds.iter().any(|kind| kind == "cdylib");
            let library = package
                .targets
                .iter()
                .find(|target| cdylib(&target.crate_types))?;
            // The folder names the file: unlike a package, it may begin with the digits that order the chain.
            let name = format!("{}.wasm", folder.file_name()?.to_str()?);
            let kind = &package.metadata["eventos"];
            let into = if kind["example"] == true {
                "examples/handlers"
            } else if kind["drop-in"] == false {
                "target/handlers"
            } else {
                "plugins"
            };
            Some(Handler {
                package: package.name.clone(),
                module: format!("{}.wasm", library.name.replace('-', "_")),
                file: root.join(into).join(name),
            })
        })
        .collect();
    handlers.sort_by(|a, b| a.file.cmp(&b.file));
    handlers
}

/// Replaces the file atomically, because a daemon may be watching the folder. Returns whether the bytes changed.
fn write(path: &Path, bytes: &[u8]) -> Result<bool> {
    if fs::read(path).is_ok_and(|old| old == bytes) {
        return Ok(false);
    }
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    // The name does not end in .wasm, so the incomplete file is not mistaken for a handler.
    let temporary = path.with_added_extension(format!("tmp-{}", std::process::id()));
    fs::write(&temporary, bytes)
        .with_context(|| format!("cannot write {}", temporary.display()))?;
    fs::rename(&temporary, path).with_context(|| format!("cannot replace {}", path.display()))?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(json: &str) -> Metadata {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_handler_is_a_cdylib_right_under_plugins() {
        let metadata = metadata(
            r#"{"target_directory": "/w/target", "packages": [
                {"name": "late", "version": "1.0.0", "manifest_path": "/w/plugins/store/Cargo.toml",
                 "targets": [{"name": "late", "crate_types": ["cdylib"]}]},
                {"name": "by-tipo", "version": "1.0.0", "manifest_path": "/w/plugins/10-by-tipo/Cargo.toml",
                 "targets": [{"name": "x", "crate_types": ["bin"]}, {"name": "by-tipo", "crate_types": ["cdylib", "rlib"]}]},
                {"name": "probe", "version": "1.0.0", "manifest_path": "/w/plugins/probe/Cargo.toml", "metadata": {"eventos": {"drop-in": false}},
                 "targets": [{"name": "probe", "crate_types": ["cdylib"]}]},
                {"name": "filter", "version": "1.0.0", "manifest_path": "/w/plugins/filter/Cargo.toml", "metadata": {"eventos": {"example": true}},
                 "targets": [{"name": "filter", "crate_types": ["cdylib"]}]},
                {"name": "sdk", "version": "1.0.0", "manifest_path": "/w/plugins/sdk/Cargo.toml",
                 "targets": [{"name": "sdk", "crate_types": ["lib"]}]},
                {"name": "other", "version": "1.0.0", "manifest_path": "/w/other/Cargo.toml",
                 "targets": [{"name": "other", "crate_types": ["cdylib"]}]}]}"#,
        );
        let handler = |package: &str, module: &str, file: &str| Handler {
            package: package.into(),
            module: module.into(),
            file: file.into(),
        };
        let expected = [
            handler("filter", "filter.wasm", "/w/examples/handlers/filter.wasm"),
            handler("by-tipo", "by_tipo.wasm", "/w/plugins/10-by-tipo.wasm"),
            handler("late", "late.wasm", "/w/plugins/store.wasm"),
            handler("probe", "probe.wasm", "/w/target/handlers/probe.wasm"),
        ];
        assert_eq!(find(&metadata, Path::new("/w")), expected);
    }

    #[test]
    fn the_same_bytes_are_not_written_again() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("store.wasm");
        assert!(write(&path, b"1").unwrap());
        assert!(!write(&path, b"1").unwrap());
        assert!(write(&path, b"2").unwrap());
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 1);
    }
}
