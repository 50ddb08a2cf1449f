//! The program as a shell runs it: its output, its errors and its exit codes.

mod check;
mod config;
mod handlers;
mod scaffolds;
mod testing;
mod usage;

use std::{
    fs,
    process::{Command, Output},
};

use tempfile::TempDir;

use crate::EVENTOS;

/// Runs of the program in a folder of its own, with an environment that sets nothing.
struct Shell {
    dir: TempDir,
}

/// What a run came to.
struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Shell {
    /// In an empty folder.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        Self { dir }
    }

    /// Writes a file, and the folders that lead to it.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, content).expect("written");
        self
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        self.run_with(arguments, &[])
    }

    /// Runs it with these variables.
    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Ran {
        let mut program = Command::new(EVENTOS);
        program.args(arguments).current_dir(self.dir.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("EVENTOS__")) {
            program.env_remove(name);
        }
        let output = program.envs(variables.iter().copied()).output();
        output.expect("started").into()
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Ran {
    /// Its errors: every line of stderr has to be one.
    fn errors(&self) -> Vec<&str> {
        let error = |line| {
            str::strip_prefix(line, "error: ").unwrap_or_else(|| panic!("no error: {line:?}"))
        };
        self.err.lines().map(error).collect()
    }
}
