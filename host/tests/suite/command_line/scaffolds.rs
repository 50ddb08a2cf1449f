//! `eventos new`: the project that it creates builds and runs in each language, outside of this repository.
//!
//! These tests take a minute or two, and download what they need from package registries.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{Finished, Shell};

/// A new project in its own folder.
struct Scaffold {
    shell: Shell,
}

impl Scaffold {
    fn new(language: &str) -> Self {
        let shell = Shell::new();
        let output = shell.run(&["new", "10-alerts", "--lang", language, "--dir", "mine"]);
        assert_eq!((output.code, output.err.as_str()), (Some(0), ""));
        assert!(
            output.out.ends_with("  mine/10-alerts/build.sh\n"),
            "{}",
            output.out
        );
        Self { shell }
    }

    fn folder(&self) -> PathBuf {
        self.shell.dir.path().join("mine/10-alerts")
    }

    /// Returns a command that runs its build script from another folder, without variables that influence it.
    fn script(&self) -> Command {
        let mut script = Command::new(self.folder().join("build.sh"));
        script.current_dir(self.shell.dir.path());
        for variable in ["EVENTOS", "RUSTC", "CARGO_TARGET_DIR", "RUSTFLAGS"] {
            script.env_remove(variable);
        }
        script
    }

    fn check(&self) {
        let output = self.shell.run(&["check", "mine/10-alerts/10-alerts.wasm"]);
        let expected = "mine/10-alerts/10-alerts.wasm: handler alerts is ok\nok\n";
        assert_eq!(
            (output.code, output.out.as_str()),
            (Some(0), expected),
            "{}",
            output.err
        );
    }
}

fn run(command: &mut Command) -> Finished {
    command.output().expect("the program starts").into()
}

/// Returns the outcome of each sample, in order.
fn outcomes(output: &Finished) -> Vec<String> {
    assert_eq!(output.code, Some(0), "{}\n{}", output.out, output.err);
    // The output of the build tools comes first.
    let reports = output.out.lines().filter(|line| line.starts_with('{'));
    let reports = reports.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    reports
        .map(|report| report["outcome"].as_str().expect("a text").to_owned())
        .collect()
}

/// Expected outcomes of the samples: a weak earthquake, two strong ones, an explosion, a quarry blast and a strong one.
const STRONG: [&str; 6] = ["drop", "replace", "replace", "pass", "pass", "replace"];

/// Runs the unit tests with the command that the README gives.
fn run_unit_tests(scaffold: &Scaffold) {
    let readme = fs::read_to_string(scaffold.folder().join("README.md")).expect("the README");
    let mut lines = readme
        .lines()
        .skip_while(|line| !line.starts_with("./build.sh --set"));
    let mut command = Command::new("sh");
    command.args(["-c", lines.nth(1).expect("a command")]);
    let output = run(command.current_dir(scaffold.folder()));
    assert_eq!(output.code, Some(0), "{}\n{}", output.out, output.err);
}

/// Runs the build script with an empty cache, so that it downloads everything.
fn build_without_cache(scaffold: &Scaffold) -> Finished {
    let empty = scaffold.shell.dir.path().join("cache");
    run(scaffold.script().env("XDG_CACHE_HOME", empty))
}

#[test]
fn rust_builds_and_passes() {
    let scaffold = Scaffold::new("rust");
    assert_eq!(outcomes(&run(&mut scaffold.script())), STRONG);
    scaffold.check();
}

#[test]
fn javascript_builds_and_passes() {
    let scaffold = Scaffold::new("js");
    assert_eq!(outcomes(&build_without_cache(&scaffold)), STRONG);
    scaffold.check();
    // The script passes its arguments to `eventos test`. The magnitudes of the strong ones are 5.3, 6.1 and 5.6.
    let output = run(scaffold.script().args(["--set", "least=6"]));
    assert_eq!(
        outcomes(&output),
        ["drop", "drop", "replace", "pass", "pass", "drop"]
    );
    let arguments = ["--set", "alerts=a", "--produce", "a"];
    let output = run(scaffold.script().args(arguments));
    assert_eq!(outcomes(&output), STRONG);
    let emitted = output.out.matches(r#""emitted":[{"topic":"a""#).count();
    assert_eq!(emitted, 3, "{}", output.out);
    run_unit_tests(&scaffold);
}

#[test]
fn python_builds_and_passes() {
    let scaffold = Scaffold::new("python");
    assert_eq!(outcomes(&build_without_cache(&scaffold)), STRONG);
    scaffold.check();
    run_unit_tests(&scaffold);
}

#[test]
fn c_builds_and_passes() {
    let scaffold = Scaffold::new("c");
    assert_eq!(outcomes(&run(&mut scaffold.script())), STRONG);
    scaffold.check();
    run_unit_tests(&scaffold);
    // If the test fails, so does the script.
    let output = run(scaffold.script().args(["--set", "least=much"]));
    assert_eq!(output.code, Some(1));
    let error = "the setting `least` is much; it must be a number";
    assert!(output.err.contains(error), "{}", output.err);
    let output = run(scaffold.script().env("EVENTOS", "/nowhere/eventos"));
    assert_eq!(
        (output.code, output.err.as_str()),
        (
            Some(1),
            "error: the eventos program is missing; set EVENTOS to where it is\n"
        )
    );
}

/// Creates a folder with only the programs that every system has.
fn bare_path(shell: &Shell) -> PathBuf {
    let bin = shell.dir.path().join("bin");
    fs::create_dir(&bin).expect("the folder is created");
    let path = std::env::var_os("PATH").expect("a variable");
    for tool in ["sh", "dirname", "sed", "grep", "cp"] {
        let found = std::env::split_paths(&path).find(|folder| folder.join(tool).is_file());
        let found = found.unwrap_or_else(|| panic!("{tool} is missing"));
        symlink(found.join(tool), bin.join(tool)).expect("the link is created");
    }
    bin
}

#[test]
fn what_is_missing_is_named_with_what_to_do() {
    for (language, expected) in [
        (
            "c",
            "clang 14 or newer is missing; apt-get install clang lld",
        ),
        (
            "js",
            "Node.js 18 or newer with npm is missing; apt-get install nodejs npm",
        ),
        (
            "python",
            "Python 3.10 or newer with venv is missing; apt-get install python3-venv",
        ),
        ("rust", "Rust is missing; see https://rustup.rs"),
    ] {
        let scaffold = Scaffold::new(language);
        let path = bare_path(&scaffold.shell);
        let output = run(scaffold
            .script()
            .env("PATH", path)
            .env("XDG_CACHE_HOME", "/nowhere"));
        assert_eq!(
            (output.code, output.err),
            (Some(1), format!("error: {expected}\n"))
        );
    }
}

/// If rustup may not download, the script does not call it.
#[test]
fn a_compiler_without_the_target_is_named_with_what_to_do() {
    let scaffold = Scaffold::new("rust");
    let mut script = scaffold.script();
    // This compiler prints nothing, so it has no libraries.
    script
        .env("RUSTC", "/bin/true")
        .env("RUSTUP_AUTO_INSTALL", "0");
    let output = run(script.env("EVENTOS_RUST_WASM", "/nowhere"));
    assert_eq!(output.code, Some(1));
    let start = "error: a Rust compiler for wasm32-unknown-unknown is missing; ";
    assert!(output.err.starts_with(start), "{}", output.err);
}

/// Lists the entries of a folder, sorted.
fn list_folder(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("UTF-8");
    let mut names: Vec<_> = entries
        .map(|entry| name(entry.expect("an entry")))
        .collect();
    names.sort();
    names
}

#[test]
fn a_folder_that_is_there_is_left_alone() {
    let shell = Shell::new();
    shell.write("alerts/precious", "");
    let output = shell.run(&["new", "alerts", "--lang", "c"]);
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""));
    assert_eq!(
        output.errors(),
        ["alerts already exists; choose another name, or remove it"]
    );
    assert_eq!(list_folder(shell.dir.path()), ["alerts"]);
    assert_eq!(list_folder(&shell.dir.path().join("alerts")), ["precious"]);
}

#[test]
fn where_nothing_can_be_made_nothing_is_left() {
    let shell = Shell::new();
    shell.write("file", "");
    let output = shell.run(&["new", "alerts", "--lang", "c", "--dir", "file"]);
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""));
    assert!(
        output.err.starts_with("error: cannot create file/alerts\n"),
        "{}",
        output.err
    );
    assert_eq!(list_folder(shell.dir.path()), ["file"]);
}

#[test]
fn a_name_that_no_handler_may_have_is_wrong_usage() {
    let shell = Shell::new();
    let long = "a".repeat(101);
    for name in ["", "a b", "../a", "a/b", "alertás", "a.b", &long] {
        let output = shell.run(&["new", name, "--lang", "c"]);
        assert_eq!(
            (output.code, output.out.as_str()),
            (Some(2), ""),
            "{name:?}"
        );
        assert!(
            output.err.contains("use letters, digits, '-' and '_'"),
            "{}",
            output.err
        );
    }
    for wrong in [&["--", "-a"][..], &["a"], &["a", "--lang", "cobol"]] {
        let output = shell.run(&[&["new"], wrong].concat());
        assert_eq!(output.code, Some(2), "{wrong:?}");
    }
    assert_eq!(list_folder(shell.dir.path()), [""; 0]);
}
