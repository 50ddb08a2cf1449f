//! `eventos check`: whether the configuration and the handlers are right, without starting anything.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use serde::Serialize;

use crate::{
    config::{Config, ConfigReport, Problem},
    plugin::{self, Cache, Engine, Handler, HandlerFile},
    telemetry::in_one_line,
    telemetry::metrics::Metrics,
};

/// Check the configuration and the handlers without starting
///
/// Reads the settings as `serve` does, of file and environment. Each handler is compiled, held against what it may import,
/// and started once with its own settings, so that its `init` has its say. Nothing listens, and no broker is asked.
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
A handler NAME.wasm has the settings of [handler.NAME], without a leading \"NN-\". It is a component, or the core module
that cargo or clang makes. Whether it does what it should, `eventos test` shows.

Examples:
  eventos check                          the file that serve would read, and every handler of its folder
  eventos check --config prod.toml
  eventos check alerts/alerts.wasm       one handler, wherever it is
  eventos check --json | jq -r '.problems[] | \"\\(.place): \\(.message)\"'";

/// What was found.
#[derive(Debug, Serialize)]
struct Findings {
    ok: bool,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    handlers: Vec<Checked>,
}

/// What was found of one handler.
#[derive(Debug, Serialize)]
struct Checked {
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
    fn new(examined: ConfigReport, named: Vec<PathBuf>) -> Self {
        let ConfigReport {
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
        let named: Vec<_> = named.iter().map(|path| HandlerFile::at(path)).collect();
        // Whoever names handlers may be anywhere; their names are of interest, the folder is not.
        let dropped_in = match plugin::discover(&config.handlers.dir) {
            Ok(files) => files,
            Err(error) => {
                if named.is_empty() {
                    let dir = config.handlers.dir.display().to_string();
                    findings.problem(&dir, "handlers.dir", &error);
                }
                Vec::new()
            }
        };
        let known = |name: &String| {
            dropped_in
                .iter()
                .chain(&named)
                .any(|file| file.name == *name)
        };
        for name in config.handler.keys().filter(|&name| !known(name)) {
            let dir = config.handlers.dir.display();
            let message = format!("[handler.{name}]: no handler of that name in {dir}");
            findings.warnings.push(places.on_handler(name, message));
        }
        match Engine::new(Cache::existing(&config.handlers)) {
            Ok(engine) => {
                for file in if named.is_empty() { dropped_in } else { named } {
                    findings.load(&engine, file, &config);
                }
            }
            Err(error) => findings.problem("this machine", "handlers", &error),
        }
        findings.ok = findings.problems.is_empty();
        findings
    }

    fn load(&mut self, engine: &Engine, file: HandlerFile, config: &Config) {
        let own = config.handler.get(&file.name).cloned().unwrap_or_default();
        let metrics = Metrics::new().handler(&file.name);
        let loaded = Handler::load(engine, &file, &config.handlers.defaults, &own, metrics);
        if let Err(error) = &loaded {
            let place = file.path.display().to_string();
            self.problem(&place, &format!("handler.{}", file.name), &error.reason);
        }
        self.handlers.push(Checked {
            name: file.name,
            path: file.path,
            ok: loaded.is_ok(),
            digest: loaded.ok().map(|handler| handler.digest().to_owned()),
        });
    }

    fn problem(&mut self, place: &str, key: &str, error: &dyn std::error::Error) {
        let message = in_one_line(error);
        self.problems.push(Problem::new(place, key, message));
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
