//! `eventos check`: whether the configuration and the handlers are right, without starting anything.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::{
    config::{Config, Examined, Problem},
    plugin::Settings,
};

/// Check the configuration and the handlers without starting
///
/// Prints everything that is wrong with its place, and exits with 0 if nothing is, else with 1.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Check {
    /// The configuration; without it config/eventos.toml, if that exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Handlers to check instead of those in the plugins folder
    #[arg(value_name = "HANDLER.wasm")]
    handlers: Vec<PathBuf>,
    /// Print one JSON object to stdout, for programs
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Examples:
  eventos check
  eventos check --config prod.toml
  eventos check target/wasm32-wasip2/release/route.wasm
  eventos check --json | jq -r '.problems[] | \"\\(.place): \\(.message)\"'";

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    ok: bool,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    handlers: Vec<Handler>,
}

/// What was found of one handler.
#[derive(Debug, Serialize)]
struct Handler {
    name: String,
    path: PathBuf,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

impl Check {
    /// Checks, and tells what was found.
    ///
    /// # Errors
    /// If the findings cannot be written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let examined = Config::examine(self.config.as_deref(), std::env::vars_os());
        let findings = Findings::new(examined, self.handlers);
        match findings.print(self.json) {
            // Whoever reads stopped reading, as `head` does.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
            printed => printed.context("cannot write to stdout")?,
        }
        Ok(if findings.ok {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        })
    }
}

impl Findings {
    fn new(examined: Examined, named: Vec<PathBuf>) -> Self {
        let Examined {
            config,
            problems,
            places,
        } = examined;
        let mut findings = Self {
            ok: false,
            problems,
            warnings: Vec::new(),
            handlers: Vec::new(),
        };
        let dir = &config.handlers.dir;
        let dropped_in = findings.list(dir);
        let known: Vec<_> = dropped_in
            .iter()
            .chain(&named)
            .map(|path| handler_name(path))
            .collect();
        for name in config.handler.keys().filter(|name| !known.contains(name)) {
            let message = format!(
                "[handler.{name}]: no handler of that name in {}",
                dir.display()
            );
            findings.warnings.push(places.on_handler(name, message));
        }
        for path in if named.is_empty() { dropped_in } else { named } {
            findings.check(path, &config);
        }
        findings.ok = findings.problems.is_empty();
        findings
    }

    /// The files in the plugins folder, in the order in which they run.
    fn list(&mut self, dir: &Path) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(dir).and_then(|entries| {
            let paths = entries.map(|entry| entry.map(|entry| entry.path()));
            paths.collect::<io::Result<Vec<_>>>()
        });
        let mut paths = entries.unwrap_or_else(|error| {
            let message = format!("cannot be read, so no handler runs: {error}");
            let warning = Problem::new(dir.display().to_string(), "handlers.dir", message);
            self.warnings.push(warning);
            Vec::new()
        });
        paths.retain(|path| {
            path.extension()
                .is_some_and(|extension| extension == "wasm")
        });
        paths.sort();
        paths
    }

    fn check(&mut self, path: PathBuf, config: &Config) {
        let name = handler_name(&path);
        let settings = config.handler.get(&name).cloned().unwrap_or_default();
        let checked = check_handler(&path, &name, &settings.settings(&config.handlers.defaults));
        let twin = self.handlers.iter().find(|other| other.name == name);
        let twin = twin.map(|twin| format!("has the same name as {}", twin.path.display()));
        let fault = checked.as_ref().err().map(|error| format!("{error:#}"));
        let (ok, place) = (
            fault.is_none() && twin.is_none(),
            path.display().to_string(),
        );
        for message in fault.into_iter().chain(twin) {
            self.problems
                .push(Problem::new(&place, format!("handler.{name}"), message));
        }
        self.handlers.push(Handler {
            name,
            path,
            ok,
            digest: checked.ok().flatten(),
        });
    }

    fn print(&self, json: bool) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if json {
            serde_json::to_writer(&mut out, self)?;
            return writeln!(out);
        }
        for handler in self.handlers.iter().filter(|handler| handler.ok) {
            writeln!(
                out,
                "{}: handler {} is ok",
                handler.path.display(),
                handler.name
            )?;
        }
        for warning in &self.warnings {
            eprintln!("warning: {warning}");
        }
        for problem in &self.problems {
            eprintln!("error: {problem}");
        }
        match self.problems.len() {
            0 => writeln!(out, "ok"),
            1 => writeln!(out, "1 problem"),
            n => writeln!(out, "{n} problems"),
        }
    }
}

/// The file name without a leading `NN-` and without `.wasm`.
fn handler_name(path: &Path) -> String {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let (digits, rest) = stem.split_once('-').unwrap_or_default();
    let numbered = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if numbered && !rest.is_empty() {
        rest
    } else {
        &*stem
    }
    .to_owned()
}

/// THE ONE PLACE TO REPLACE by a call of `plugin::check(path, name, settings)`. Until then: whether the file is a
/// component at all. Answers with the digest, once there is one.
fn check_handler(path: &Path, name: &str, settings: &Settings) -> anyhow::Result<Option<String>> {
    let _ = (name, settings);
    let mut header = [0; 8];
    let mut file = std::fs::File::open(path).context("cannot be read")?;
    file.read_exact(&mut header)
        .context("is too short for a WebAssembly component")?;
    anyhow::ensure!(
        header == *b"\0asm\x0d\0\x01\0",
        "is no WebAssembly component (it starts with {})",
        header.escape_ascii()
    );
    Ok(None)
}
