//! `eventos check`: validates the configuration and the handlers.

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
    plugin::{
        self, Admission, Cache, Compiler, Engine, Handler, HandlerFile, HandlerSource, LoadFault,
    },
    telemetry::in_one_line,
    telemetry::metrics::Metrics,
};

/// Validate the configuration and the handlers, without running the daemon
///
/// Reads the settings from the same file and environment as `serve`. Compiles each handler, checks its imports, and
/// starts it once with its settings, which runs its `init`. Opens no port and connects to no broker. Prints every
/// problem with its location, and exits with 1 if there is any.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Check {
    /// Configuration file [default: config/eventos.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Handlers to check instead of those in the drop-in folder
    #[arg(value_name = "HANDLER.wasm")]
    handlers: Vec<PathBuf>,
    /// Print the result as one JSON object
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
A handler NAME.wasm or NN-NAME.wasm has the settings in [handler.NAME]. It may be a component, or a core module as cargo
and clang build it. To see what a handler does with Eventos, use `eventos test`.

Examples:
  eventos check                          check the configuration and the drop-in folder that serve would use
  eventos check --config prod.toml
  eventos check alerts/alerts.wasm       check one handler in any folder
  eventos check --json | jq -r '.problems[] | \"\\(.place): \\(.message)\"'";

/// The result of a check.
#[derive(Debug, Serialize)]
struct Findings {
    ok: bool,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    handlers: Vec<HandlerFinding>,
}

/// The result for one handler.
#[derive(Debug, Serialize)]
struct HandlerFinding {
    name: String,
    path: PathBuf,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    /// The key in `handlers.keys` that has signed the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<String>,
    /// The topics that the handler may emit to.
    produce: Vec<String>,
}

impl Check {
    /// Checks, and prints the findings.
    ///
    /// # Errors
    /// If the findings cannot be written.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let examined = Config::examine(self.config.as_deref(), std::env::vars_os());
        let findings = Findings::new(examined, self.handlers);
        match findings.print(self.json) {
            // The reader closed the pipe, as `head` does.
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
        // If handlers are named, a missing drop-in folder is not a problem.
        let dropped_in = match plugin::discover(&config.handlers.dir) {
            Ok(files) => {
                for same in plugin::same_names(&files)
                    .iter()
                    .filter(|_| named.is_empty())
                {
                    let dir = config.handlers.dir.display().to_string();
                    findings.problem(&dir, "handlers.dir", same);
                }
                files
            }
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
            let message = format!("[handler.{name}]: {dir} has no handler of that name");
            findings.warnings.push(places.on_handler(name, message));
        }
        for (key, why) in config.http.tls.warnings() {
            findings.warnings.push(places.on_tls(&key, why));
        }
        match Engine::new(Cache::existing(&config.handlers), Compiler::InProcess) {
            Ok(engine) => {
                for file in dropped_in.into_iter().filter(|_| named.is_empty()) {
                    let source = HandlerSource::read_dropped_in(&file.path);
                    findings.load(&engine, (file, source), &config);
                }
                for file in named {
                    let source = HandlerSource::read(&file.path);
                    findings.load(&engine, (file, source), &config);
                }
            }
            Err(error) => findings.problem("this machine", "handlers", &error),
        }
        findings.ok = findings.problems.is_empty();
        findings
    }

    fn load(
        &mut self,
        engine: &Engine,
        (file, source): (HandlerFile, Result<HandlerSource, LoadFault>),
        config: &Config,
    ) {
        let own = config.handler.get(&file.name).cloned().unwrap_or_default();
        let metrics = Metrics::new().handler(&file.name);
        let load = || {
            let source = source?;
            let signer = Admission::new(&config.handlers).check(&source, &own)?;
            let settings = (&config.handlers.defaults, &own);
            let handler = Handler::load_source(engine, &file, &source, settings, metrics);
            Ok((handler.map_err(|error| error.reason)?, signer))
        };
        let loaded: Result<_, LoadFault> = load();
        if let Err(fault) = &loaded {
            let place = file.path.display().to_string();
            self.problem(&place, &format!("handler.{}", file.name), fault);
        }
        let signer = loaded.as_ref().ok().and_then(|(_, signer)| *signer);
        self.handlers.push(HandlerFinding {
            name: file.name,
            path: file.path,
            ok: loaded.is_ok(),
            digest: loaded.ok().map(|(handler, _)| handler.digest().to_owned()),
            signer: signer.map(|key| key.to_string()),
            produce: own.produce,
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
            write!(
                out,
                "{}: handler {} is ok",
                handler.path.display(),
                handler.name
            )?;
            if !handler.produce.is_empty() {
                write!(out, "; it may emit to {}", handler.produce.join(", "))?;
            }
            match &handler.signer {
                Some(signer) => writeln!(out, "; signed by {signer}")?,
                None => writeln!(out)?,
            }
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
