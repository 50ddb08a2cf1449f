//! `cargo xtask fuzz [TARGET]`: runs the fuzz targets of the built-in broker and of the daemon with libFuzzer and
//! AddressSanitizer.
//!
//! Each begins with the inputs in `seeds/`, which are kept in the repository, and collects others in `corpus/`, which are not.
//! An input that fails is left in `artifacts/`. The tests run the same targets for seconds, without either: see
//! `eventos_testkit::fuzz`.

use std::{fs, path::Path};

use anyhow::{Context, Result};

use crate::{
    process::{run as run_command, step},
    tools, workspace,
};

/// The crates with fuzz targets, and the targets of each, one binary each.
const CRATES: [(&str, &[&str]); 2] = [
    (
        "broker/fuzz",
        &["batch", "decompress", "journals", "recovery", "request"],
    ),
    (
        "host/fuzz",
        &[
            "body", "evento", "letter", "module", "outcomes", "pointer", "query", "rows", "text",
        ],
    ),
];

/// A folder in memory, on Linux.
const MEMORY_FOLDER: &str = "/dev/shm";

/// Settings of the build that differ from those of a release: linking is faster, and overflow panics.
const PROFILE: [(&str, &str); 2] = [
    ("CARGO_PROFILE_RELEASE_LTO", "off"),
    ("CARGO_PROFILE_RELEASE_OVERFLOW_CHECKS", "true"),
];

/// Returns the names of all fuzz targets.
pub(crate) fn targets() -> impl Iterator<Item = &'static str> {
    CRATES
        .into_iter()
        .flat_map(|(_, targets)| targets.iter().copied())
}

/// Runs the fuzz target `target`, or each one without it, for `seconds`.
pub(crate) fn run(target: Option<&str>, seconds: u32) -> Result<()> {
    for (folder, targets) in CRATES {
        let folder = workspace::root().join(folder);
        let wanted = |name: &&&str| target.is_none_or(|target| target == **name);
        for name in targets.iter().filter(wanted) {
            run_target(&folder, name, seconds)?;
        }
    }
    Ok(())
}

fn run_target(folder: &Path, name: &str, seconds: u32) -> Result<()> {
    let corpus = folder.join("corpus").join(name);
    fs::create_dir_all(&corpus).context("cannot create the folder of the corpus")?;
    let mut fuzz = tools::FUZZ.provide()?;
    step(format_args!("fuzzing {name} for {seconds} s"));
    fuzz.arg("run").arg("--fuzz-dir").arg(folder);
    fuzz.args(["--features", "libfuzzer", "--target-dir"])
        .arg(workspace::root().join("target/fuzz"));
    fuzz.arg(name).arg(corpus);
    fuzz.arg(folder.join("seeds").join(name)).arg("--");
    fuzz.arg(format!("-max_total_time={seconds}"))
        .args(["-malloc_limit_mb=256", "-timeout=30"]);
    // Some targets write files for each input.
    if Path::new(MEMORY_FOLDER).is_dir() {
        fuzz.env("TMPDIR", MEMORY_FOLDER);
    }
    // Sanitizers are unstable flags of the compiler, which it accepts only with this.
    fuzz.env("RUSTC_BOOTSTRAP", "1").envs(PROFILE);
    let artifacts = folder.join("artifacts").join(name);
    run_command(&mut fuzz).with_context(|| {
        format!(
            "fuzzing {name} failed; its input is in {}; keep it in seeds/{name} once that is repaired",
            artifacts.display()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The tests that run the targets of each crate for seconds.
    const TESTS: [&str; 2] = ["broker/src/fuzzing/tests.rs", "host/fuzz/tests/targets.rs"];

    #[test]
    fn every_target_is_listed_has_seeds_and_is_run_by_the_tests() {
        for ((folder, targets), tests) in CRATES.into_iter().zip(TESTS) {
            let folder = workspace::root().join(folder);
            let sources = fs::read_dir(folder.join("fuzz_targets")).expect("a folder");
            let names = sources.map(|entry| entry.expect("a file").path());
            let mut names: Vec<_> = names
                .map(|path| path.file_stem().expect("a name").to_owned())
                .collect();
            names.sort();
            assert_eq!(names, *targets);
            let tests = fs::read_to_string(workspace::root().join(tests)).expect("a file");
            for name in targets {
                assert!(folder.join("seeds").join(name).is_dir(), "{name}");
                assert!(tests.contains(&format!("fn fuzz_{name}()")), "{name}");
            }
        }
    }
}
