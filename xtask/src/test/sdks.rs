//! Tests of the SDKs in other languages, each with its own tools and without WebAssembly. They are selected by name
//! like any other test: `cargo xtask test sdks::`, `cargo xtask test sdks::js`.

use std::{fs, process::Command};

use anyhow::{Context, Result};

use crate::{
    apt,
    handlers::guests,
    process::{run, step},
    workspace,
};

/// The prefix of their names.
const ALL: &str = "sdks::";

type Part = fn() -> Result<()>;

const PARTS: [(&str, Part); 3] = [("sdks::c", c), ("sdks::js", js), ("sdks::python", python)];

/// Returns whether this filter can only match these tests.
pub(super) fn are_all_of(filter: &str) -> bool {
    filter.starts_with(ALL) || filter == ALL.trim_end_matches(':')
}

/// Runs those whose name contains `filter`, or all without one. Returns their number.
pub(super) fn run_those(filter: Option<&str>) -> Result<usize> {
    let wanted = |name: &str| filter.is_none_or(|filter| name.contains(filter));
    let wanted: Vec<_> = PARTS.iter().filter(|(name, _)| wanted(name)).collect();
    for (name, part) in &wanted {
        step(format_args!("testing {name}"));
        part().with_context(|| format!("{name} failed"))?;
    }
    Ok(wanted.len())
}

/// Compiled for this machine, with sanitizers; the memory of the test replaces `memory.c`.
fn c() -> Result<()> {
    apt::provide(&[guests::c_compiler()])?;
    let sdk = workspace::root().join("plugins/sdk-c");
    let temp = tempfile::tempdir().context("cannot make a folder")?;
    let program = temp.path().join("test");
    let mut cc = Command::new("cc");
    cc.args([
        "-std=c11",
        "-D_POSIX_C_SOURCE=200809L",
        "-DEVENTOS_NATIVE_TEST",
    ]);
    cc.args(["-Wall", "-Wextra", "-Werror", "-g"]);
    // These attributes only matter to a linker for WebAssembly.
    cc.args(["-Wno-attributes", "-Wno-unknown-attributes"]);
    cc.args(["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]);
    cc.arg("-I").arg(&sdk);
    for source in [
        "call.c",
        "columns.c",
        "effects.c",
        "format.c",
        "pointer.c",
        "seed.c",
        "values.c",
        "tests/test.c",
        "tests/world.c",
    ] {
        cc.arg(sdk.join(source));
    }
    run(cc.arg("-o").arg(&program))?;
    run(&mut Command::new(&program))
}

fn js() -> Result<()> {
    apt::provide(&[guests::node()])?;
    let tests = workspace::root().join("plugins/sdk-js/tests");
    let mut node = Command::new("node");
    node.arg("--test");
    for entry in fs::read_dir(&tests).with_context(|| format!("cannot read {}", tests.display()))? {
        let path = entry?.path();
        if path
            .to_str()
            .is_some_and(|path| path.ends_with(".test.mjs"))
        {
            node.arg(path);
        }
    }
    run(&mut node)
}

/// Uses the module that componentize-py generates from the contract, so that a change of the contract is noticed.
fn python() -> Result<()> {
    let sdk = workspace::root().join("plugins/sdk-python");
    let temp = tempfile::tempdir().context("cannot make a folder")?;
    let world = temp.path().join("world");
    let interpreter = guests::python_world(&world)?;
    let tests = sdk.join("tests");
    let path =
        std::env::join_paths([&world, &sdk, &tests]).context("a folder name contains a colon")?;
    let mut python = Command::new(interpreter);
    python
        .args(["-m", "unittest", "discover", "-s"])
        .arg(&tests)
        .env("PYTHONPATH", path)
        .env("PYTHONDONTWRITEBYTECODE", "1");
    run(&mut python)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_begins_like_them_means_them_alone() {
        assert!(["sdks", "sdks::", "sdks::c"].into_iter().all(are_all_of));
        assert!(!["", "python", "sdk"].into_iter().any(are_all_of));
    }

    #[test]
    fn a_filter_that_is_in_no_name_runs_none() {
        assert_eq!(run_those(Some("embedded::")).unwrap(), 0);
    }
}
