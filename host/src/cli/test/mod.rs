//! `eventos test`: runs a handler on Eventos from a file, with the limits of a daemon.

mod input;
mod output;
mod summary;

use std::{
    collections::VecDeque,
    io::{self, StdoutLock, Write},
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context;
use clap::Args;

use self::{
    input::{Entry, Input},
    output::OutputLine,
    summary::{Summary, print_log_line},
};
use crate::{
    config::Config,
    pipeline::{DryRun, RecordEnd, RecordReport},
    plugin::{Cache, Compiler, Engine, Handler, HandlerConfig, HandlerFile, OnError},
    telemetry::{capture::LogCapture, metrics::Metrics},
};

/// Run a handler on Eventos from a file, without a broker
///
/// Calls the handler as the daemon does: in batches, with its limits of time and memory. A batch that fails is halved
/// until the failing Evento is alone, and retries are repeated. Nothing is sent anywhere.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct Test {
    /// Handler to run
    #[arg(value_name = "HANDLER.wasm")]
    handler: PathBuf,
    /// Input: NDJSON with one Evento per line; - for stdin
    #[arg(long, value_name = "FILE|-")]
    input: PathBuf,
    /// Setting for the handler; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    set: Vec<(String, String)>,
    /// Topic that the handler may emit to; may be repeated
    #[arg(long, value_name = "TOPIC")]
    produce: Vec<String>,
    /// Read lines as whole records, for handlers that use keys, headers, timestamps or tombstones
    #[arg(long)]
    records: bool,
    /// Configuration file [default: config/eventos.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const AFTER: &str = "\
Settings come from [handlers.defaults] and [handler.NAME] in the configuration, where the file is NAME.wasm or
NN-NAME.wasm. --set and --produce take precedence. Failures are always shown, whatever on_error is set to.

For each line of the input, one line is printed to stdout, in order:
  {\"line\":1,\"id\":\"s1\",\"outcome\":\"pass\",\"stored\":[],\"emitted\":[],\"log\":[]}
  outcome   pass, drop, replace, retry or reject; failed (the call trapped, or violated a limit or the contract);
            unreadable (not an Evento)
  attempts  the number of calls, if more than one
  records   the replacements, if the outcome is replace: key, value, headers, timestamp
  stored    the Eventos that the handler stored
  emitted   the records that the handler emitted, each with its topic
  log       level and message of each line that the handler logged for this Evento
  error     why the record would become a dead letter: class, message, backtrace
Values are printed unchanged. A value that is not JSON is printed as \"value_bytes\", and bytes that are not UTF-8 as
{\"base64\":\"…\"}. Log lines that belong to no Evento, such as the stdout of the handler, are printed to stderr.

With --records, a line of the input is such a record. All members but value are optional; null is a tombstone:
  {\"key\":\"k\",\"headers\":[[\"alert\",\"red\"],[\"alert\",null]],\"timestamp\":1700000000000,\"value\":{\"id\":1,\"tipo\":\"sismo\"}}

Exits with 0 if the handler returned an outcome for every line, including reject. Exits with 1 if a call failed, a record
ran out of retries, a line was not an Evento, or the handler does not load.

Examples:
  eventos test alerts.wasm --input samples.ndjson
  eventos test alerts.wasm --input samples.ndjson --set least=5.5 --produce alerts
  eventos test alerts.wasm --input records.ndjson --records --config prod.toml
  head -5 sismos.ndjson | eventos test alerts.wasm --input - | jq -r .outcome";

fn entry(text: &str) -> Result<(String, String), String> {
    let entry = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = entry.ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

impl Test {
    /// Runs the handler on every line, and prints the results.
    ///
    /// # Errors
    /// If the configuration or the handler is invalid, or the input cannot be read.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let lines = LogCapture::default();
        let ran = lines.during(|| self.rehearse(&lines));
        // The lines that a handler logged before it failed to start.
        lines.take().iter().for_each(print_log_line);
        ran
    }

    fn rehearse(self, lines: &LogCapture) -> anyhow::Result<ExitCode> {
        let mut config = Config::load(self.config.as_deref())?;
        let file = HandlerFile::at(&self.handler);
        let own = config.handler.remove(&file.name).unwrap_or_default();
        let own = self.own_config(own, config.handlers.defaults.on_error);
        let mut input = Input::open(&self.input, self.records)?;
        let engine = Engine::new(Cache::existing(&config.handlers), Compiler::InProcess)?;
        let metrics = Metrics::new().handler(&file.name);
        let handler = Handler::load(&engine, &file, &config.handlers.defaults, &own, metrics)?;
        let topic = &config.kafka.topic;
        let dry_run = DryRun::new(Arc::new(handler), topic, config.evento, lines.clone());
        let mut run = Run {
            dry_run,
            pending: VecDeque::new(),
            summary: Summary::default(),
            out: io::stdout().lock(),
        };
        match run.run(&mut input) {
            // The reader closed the pipe, as `head` does.
            Err(RunError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(RunError::Output(error)) => return Err(error).context("cannot write to stdout"),
            Err(RunError::Input(error)) => return Err(error).context("cannot read the input"),
            Ok(()) => {}
        }
        Ok(run.summary.finish())
    }

    /// Returns the settings of the handler, overridden by the options.
    fn own_config(&self, mut own: HandlerConfig, on_error: OnError) -> HandlerConfig {
        let set = self.set.iter();
        own.config
            .extend(set.map(|(key, value)| (key.clone(), value.clone().into())));
        own.produce.extend(self.produce.iter().cloned());
        // The lines go to the user, who asked for all of them, and not into a log.
        own.log_lines = Some(0);
        // Records that would be skipped or would halt their partition are reported like other failures.
        own.on_error = Some(match own.on_error.unwrap_or(on_error) {
            OnError::Retry => OnError::Retry,
            OnError::DeadLetter | OnError::Skip | OnError::Stop => OnError::DeadLetter,
        });
        own
    }
}

/// An error that ends a run early.
enum RunError {
    Input(io::Error),
    Output(io::Error),
}

/// A run over an input.
struct Run {
    dry_run: DryRun,
    /// The line numbers of the records that have no result yet.
    pending: VecDeque<usize>,
    summary: Summary,
    out: StdoutLock<'static>,
}

impl Run {
    /// Runs the handler on the whole input.
    fn run(&mut self, input: &mut Input) -> Result<(), RunError> {
        while let Some(Entry { line, record }) = input.next().map_err(RunError::Input)? {
            match record {
                Ok(given) => {
                    self.pending.push_back(line);
                    let (key, value) = (given.key.as_deref(), given.value.as_deref());
                    let reports = self
                        .dry_run
                        .push(key, value, given.headers(), given.timestamp);
                    self.print_all(reports)?;
                }
                Err(error) => {
                    let reports = self.dry_run.run();
                    self.print_all(reports)?;
                    let message = format!("not a record: {error}");
                    self.summary
                        .count(line, RecordEnd::Unreadable, Some(&message));
                    self.print(&OutputLine::unreadable(line, message))?;
                }
            }
            if input.is_waiting() {
                let reports = self.dry_run.run();
                self.print_all(reports)?;
            }
        }
        let reports = self.dry_run.run();
        self.print_all(reports)
    }

    fn print_all(&mut self, reports: Vec<RecordReport>) -> Result<(), RunError> {
        self.dry_run.take_remarks().iter().for_each(print_log_line);
        for report in reports {
            // Each record has added its line.
            let line = self.pending.pop_front().unwrap_or_default();
            let reason = report.reason.as_ref();
            let why = reason.and_then(|reason| reason.message.as_deref());
            self.summary.count(line, report.end, why);
            self.print(&OutputLine::new(line, report))?;
        }
        Ok(())
    }

    fn print(&mut self, line: &OutputLine) -> Result<(), RunError> {
        let written = serde_json::to_writer(&mut self.out, line).map_err(io::Error::from);
        written
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(RunError::Output)
    }
}
