//! The commands of the program: their output, errors and exit codes.

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

/// A folder in which the program is run, without variables that configure it.
struct Shell {
    dir: TempDir,
}

/// Exit code and output of a program that has exited.
struct Finished {
    code: Option<i32>,
    out: String,
    err: String,
}

impl Shell {
    /// Creates an empty folder.
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        Self { dir }
    }

    /// Writes a file, and creates the folders above it.
    fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        let path = self.dir.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("the folder is created");
        fs::write(path, content).expect("the file is written");
        self
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.run_with(arguments, &[])
    }

    /// Runs the program with these environment variables.
    fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Finished {
        let mut program = Command::new(EVENTOS);
        program.args(arguments).current_dir(self.dir.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("EVENTOS__")) {
            program.env_remove(name);
        }
        let output = program.envs(variables.iter().copied()).output();
        output.expect("the program starts").into()
    }
}

impl From<Output> for Finished {
    fn from(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Finished {
    /// Returns the errors. Every line of standard error has to be one.
    fn errors(&self) -> Vec<&str> {
        let error = |line| {
            str::strip_prefix(line, "error: ").unwrap_or_else(|| panic!("not an error: {line:?}"))
        };
        self.err.lines().map(error).collect()
    }
}
