//! `eventos test`: a handler on Eventos of a file, with the limits of a daemon and without one.

mod input;
mod output;
mod report;

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
    output::Told,
    report::{Report, remark},
};
use crate::{
    config::Config,
    pipeline::{DryRun, RecordEnd, RecordReport},
    plugin::{Cache, Engine, Handler, HandlerConfig, HandlerFile, OnError},
    telemetry::{capture::LogCapture, metrics::Metrics},
};

/// Run a handler on Eventos of a file, without a broker
///
/// Hands the lines in as a daemon would: in batches, within the handler's limits of time and memory, a batch that fails
/// in halves until the guilty Evento is alone, and again what is to be retried. Nothing is sent anywhere.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct Test {
    /// The handler
    #[arg(value_name = "HANDLER.wasm")]
    handler: PathBuf,
    /// NDJSON, an Evento a line; - is stdin
    #[arg(long, value_name = "FILE|-")]
    input: PathBuf,
    /// An entry of the handler's own configuration; may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = entry)]
    set: Vec<(String, String)>,
    /// A topic that the handler may emit to; may be repeated
    #[arg(long, value_name = "TOPIC")]
    produce: Vec<String>,
    /// The lines are whole records, for handlers that look at keys, headers, timestamps or tombstones
    #[arg(long)]
    records: bool,
    /// The configuration; without it config/eventos.toml, if that exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

const AFTER: &str = "\
Settings come from [handlers.defaults] and [handler.NAME] of the configuration, where NAME is the file's name without
a leading \"NN-\" and .wasm; --set and --produce go before those. Whatever on_error says, failures are told here.

Each line of the input gets one on stdout, in order:
  {\"line\":1,\"id\":\"s1\",\"outcome\":\"pass\",\"stored\":[],\"emitted\":[],\"log\":[]}
  outcome   pass, drop, replace, retry, reject; failed (the call trapped, or broke a limit or the contract);
            unreadable (no Evento)
  attempts  how often it was handed in, where more than once
  records   what goes on in its place, where replaced: key, value, headers, timestamp
  stored    the Eventos that it stored
  emitted   the records that it emitted, each with its topic
  log       level and message of each line that it logged about this Evento
  error     why the record would go to the dead letters: class, message, backtrace
Values are printed as they are; one that is no JSON is \"value_bytes\". What is no UTF-8 is {\"base64\":\"…\"}. Lines that
are about no Evento, such as what is printed to stdout, go to stderr.

With --records a line of the input is such a record; all but value may be left out, and null makes a tombstone:
  {\"key\":\"k\",\"headers\":[[\"alert\",\"red\"],[\"alert\",null]],\"timestamp\":1700000000000,\"value\":{\"id\":1,\"tipo\":\"sismo\"}}

Exits with 0 if each line was an Evento and was answered: a reject is an answer. With 1 if a call failed, a record was
still to be retried in the end, a line was no Evento, or the handler does not load.

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
    /// Runs the handler on every line, and prints what came of each.
    ///
    /// # Errors
    /// A configuration or a handler that is not right, or an input that cannot be read.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let lines = LogCapture::default();
        let ran = lines.during(|| self.rehearse(&lines));
        // What the handler said before it refused to start.
        lines.take().iter().for_each(remark);
        ran
    }

    fn rehearse(self, lines: &LogCapture) -> anyhow::Result<ExitCode> {
        let mut config = Config::load(self.config.as_deref())?;
        let file = HandlerFile::at(&self.handler);
        let own = config.handler.remove(&file.name).unwrap_or_default();
        let own = self.own(own, config.handlers.defaults.on_error);
        let mut input = Input::open(&self.input, self.records)?;
        let engine = Engine::new(Cache::existing(&config.handlers))?;
        let metrics = Metrics::new().handler(&file.name);
        let handler = Handler::load(&engine, &file, &config.handlers.defaults, &own, metrics)?;
        let dry_run = DryRun::new(Arc::new(handler), &config.kafka.topic, lines.clone());
        let mut run = Run {
            dry_run: dry_run.context("cannot start a thread")?,
            pending: VecDeque::new(),
            report: Report::default(),
            out: io::stdout().lock(),
        };
        match run.all(&mut input) {
            // Whoever reads stopped reading, as `head` does.
            Err(Fault::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(Fault::Output(error)) => return Err(error).context("cannot write to stdout"),
            Err(Fault::Input(error)) => return Err(error).context("cannot read the input"),
            Ok(()) => {}
        }
        Ok(run.report.finish())
    }

    /// The handler's own table, with what was given here before it.
    fn own(&self, mut own: HandlerConfig, on_error: OnError) -> HandlerConfig {
        let set = self.set.iter();
        own.config
            .extend(set.map(|(key, value)| (key.clone(), value.clone().into())));
        own.produce.extend(self.produce.iter().cloned());
        // What would be skipped, or stop a partition, is to be told like the rest.
        own.on_error = Some(match own.on_error.unwrap_or(on_error) {
            OnError::Retry => OnError::Retry,
            OnError::DeadLetter | OnError::Skip | OnError::Stop => OnError::DeadLetter,
        });
        own
    }
}

/// What ends a run early.
enum Fault {
    Input(io::Error),
    Output(io::Error),
}

/// A run over an input.
struct Run {
    dry_run: DryRun,
    /// The lines of the records of the batch in hand.
    pending: VecDeque<usize>,
    report: Report,
    out: StdoutLock<'static>,
}

impl Run {
    fn all(&mut self, input: &mut Input) -> Result<(), Fault> {
        while let Some(Entry { line, record }) = input.next().map_err(Fault::Input)? {
            match record {
                Ok(given) => {
                    self.pending.push_back(line);
                    let (key, value) = (given.key.as_deref(), given.value.as_deref());
                    let accounts = self
                        .dry_run
                        .push(key, value, given.headers(), given.timestamp);
                    self.tell(accounts)?;
                }
                Err(fault) => {
                    let accounts = self.dry_run.run();
                    self.tell(accounts)?;
                    let message = format!("not a record: {fault}");
                    self.report
                        .count(line, RecordEnd::Unreadable, Some(&message));
                    self.print(&Told::no_record(line, message))?;
                }
            }
            if input.is_waiting() {
                let accounts = self.dry_run.run();
                self.tell(accounts)?;
            }
        }
        let accounts = self.dry_run.run();
        self.tell(accounts)
    }

    fn tell(&mut self, accounts: Vec<RecordReport>) -> Result<(), Fault> {
        self.dry_run.take_remarks().iter().for_each(remark);
        for account in accounts {
            // One was put there with each record.
            let line = self.pending.pop_front().unwrap_or_default();
            let why = account
                .reason
                .as_ref()
                .and_then(|reason| reason.message.as_deref());
            self.report.count(line, account.end, why);
            self.print(&Told::new(line, account))?;
        }
        Ok(())
    }

    fn print(&mut self, told: &Told) -> Result<(), Fault> {
        let written = serde_json::to_writer(&mut self.out, told).map_err(io::Error::from);
        written
            .and_then(|()| self.out.write_all(b"\n"))
            .map_err(Fault::Output)
    }
}
