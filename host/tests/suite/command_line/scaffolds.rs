//! `eventos new`: what it makes builds and runs, in each language, outside of this repository.
//!
//! These take a minute or two, and get what they need from the registries of packages.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use super::{Ran, Shell};

/// A new handler in a folder of its own.
struct Scaffold {
    shell: Shell,
}

impl Scaffold {
    fn new(language: &str) -> Self {
        let shell = Shell::new();
        let ran = shell.run(&["new", "10-alerts", "--lang", language, "--dir", "mine"]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
        assert!(
            ran.out.ends_with("  mine/10-alerts/build.sh\n"),
            "{}",
            ran.out
        );
        Self { shell }
    }

    fn folder(&self) -> PathBuf {
        self.shell.dir.path().join("mine/10-alerts")
    }

    /// Its script, from another folder, with nothing that says where eventos is.
    fn script(&self) -> Command {
        let mut script = Command::new(self.folder().join("build.sh"));
        script.current_dir(self.shell.dir.path());
        for variable in ["EVENTOS", "RUSTC", "CARGO_TARGET_DIR", "RUSTFLAGS"] {
            script.env_remove(variable);
        }
        script
    }

    fn check(&self) {
        let ran = self.shell.run(&["check", "mine/10-alerts/10-alerts.wasm"]);
        let expected = "mine/10-alerts/10-alerts.wasm: handler alerts is ok\nok\n";
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (Some(0), expected),
            "{}",
            ran.err
        );
    }
}

fn run(command: &mut Command) -> Ran {
    command.output().expect("started").into()
}

/// The outcome of each sample, in order.
fn outcomes(ran: &Ran) -> Vec<String> {
    assert_eq!(ran.code, Some(0), "{}\n{}", ran.out, ran.err);
    // What the tools say comes before.
    let told = ran.out.lines().filter(|line| line.starts_with('{'));
    let told = told.map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    told.map(|told| told["outcome"].as_str().expect("a text").to_owned())
        .collect()
}

/// Weak, strong, strong, explosion, quarry blast, strong.
const STRONG: [&str; 6] = ["drop", "pass", "pass", "pass", "pass", "pass"];

/// With an empty cache: everything is got.
fn from_nothing(scaffold: &Scaffold) -> Ran {
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
    assert_eq!(outcomes(&from_nothing(&scaffold)), STRONG);
    scaffold.check();
    // Its arguments are those of `eventos test`; 5.3, 6.1 and 5.6 are the magnitudes.
    let ran = run(scaffold.script().args(["--set", "least=6"]));
    assert_eq!(
        outcomes(&ran),
        ["drop", "drop", "pass", "pass", "pass", "drop"]
    );
}

#[test]
fn python_builds_and_passes() {
    let scaffold = Scaffold::new("python");
    assert_eq!(outcomes(&from_nothing(&scaffold)), STRONG);
    scaffold.check();
}

#[test]
fn c_builds_and_passes() {
    let scaffold = Scaffold::new("c");
    let ran = run(&mut scaffold.script());
    assert_eq!(
        outcomes(&ran),
        ["pass", "pass", "pass", "drop", "drop", "pass"]
    );
    scaffold.check();
    let ran = run(scaffold.script().args(["--set", "tipo=explosion"]));
    assert_eq!(
        outcomes(&ran),
        ["drop", "drop", "drop", "pass", "drop", "drop"]
    );
    // A mistake is an error of the script's.
    let ran = run(scaffold.script().args(["--set", "tipo="]));
    assert_eq!(ran.code, Some(1));
    assert!(ran.err.contains("the setting tipo is empty"), "{}", ran.err);
    let ran = run(scaffold.script().env("EVENTOS", "/nowhere/eventos"));
    assert_eq!(
        (ran.code, ran.err.as_str()),
        (
            Some(1),
            "error: the eventos program is missing; set EVENTOS to where it is\n"
        )
    );
}

/// A folder with only those programs that every system has.
fn bare_path(shell: &Shell) -> PathBuf {
    let bin = shell.dir.path().join("bin");
    fs::create_dir(&bin).expect("made");
    let path = std::env::var_os("PATH").expect("set");
    for tool in ["sh", "dirname", "sed", "grep", "cp"] {
        let found = std::env::split_paths(&path).find(|folder| folder.join(tool).is_file());
        let found = found.unwrap_or_else(|| panic!("{tool} is not there"));
        symlink(found.join(tool), bin.join(tool)).expect("linked");
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
        let ran = run(scaffold
            .script()
            .env("PATH", path)
            .env("XDG_CACHE_HOME", "/nowhere"));
        assert_eq!(
            (ran.code, ran.err),
            (Some(1), format!("error: {expected}\n"))
        );
    }
}

/// Where rustup may not download, it is not asked.
#[test]
fn a_compiler_without_the_target_is_named_with_what_to_do() {
    let scaffold = Scaffold::new("rust");
    let mut script = scaffold.script();
    // It answers nothing, and so has no libraries.
    script
        .env("RUSTC", "/bin/true")
        .env("RUSTUP_AUTO_INSTALL", "0");
    let ran = run(script.env("EVENTOS_RUST_WASM", "/nowhere"));
    assert_eq!(ran.code, Some(1));
    let start = "error: a Rust compiler for wasm32-unknown-unknown is missing; ";
    assert!(ran.err.starts_with(start), "{}", ran.err);
}

/// Everything below a folder.
fn listed(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("UTF-8");
    let mut names: Vec<_> = entries.map(|entry| name(entry.expect("read"))).collect();
    names.sort();
    names
}

#[test]
fn a_folder_that_is_there_is_left_alone() {
    let shell = Shell::new();
    shell.write("alerts/precious", "");
    let ran = shell.run(&["new", "alerts", "--lang", "c"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert_eq!(
        ran.errors(),
        ["alerts is there already; choose another name, or remove it"]
    );
    assert_eq!(listed(shell.dir.path()), ["alerts"]);
    assert_eq!(listed(&shell.dir.path().join("alerts")), ["precious"]);
}

#[test]
fn where_nothing_can_be_made_nothing_is_left() {
    let shell = Shell::new();
    shell.write("file", "");
    let ran = shell.run(&["new", "alerts", "--lang", "c", "--dir", "file"]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""));
    assert!(
        ran.err.starts_with("error: cannot make file/alerts\n"),
        "{}",
        ran.err
    );
    assert_eq!(listed(shell.dir.path()), ["file"]);
}

#[test]
fn a_name_that_no_handler_may_have_is_wrong_usage() {
    let shell = Shell::new();
    let long = "a".repeat(101);
    for name in ["", "a b", "../a", "a/b", "alertás", "a.b", &long] {
        let ran = shell.run(&["new", name, "--lang", "c"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(2), ""), "{name:?}");
        assert!(
            ran.err.contains("use letters, digits, '-' and '_'"),
            "{}",
            ran.err
        );
    }
    for wrong in [&["--", "-a"][..], &["a"], &["a", "--lang", "cobol"]] {
        let ran = shell.run(&[&["new"], wrong].concat());
        assert_eq!(ran.code, Some(2), "{wrong:?}");
    }
    assert_eq!(listed(shell.dir.path()), [""; 0]);
}
