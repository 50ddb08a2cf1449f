//! The contestants, and how each is started.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context as _, Result, bail};

/// A program with what it has to do.
pub(crate) struct Contestant {
    /// The name in the table, and for `--only`.
    pub(crate) name: &'static str,
    pub(crate) program: Program,
    pub(crate) is_exactly_once: bool,
    /// Whether it sends every event on to an output topic.
    pub(crate) sends: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Program {
    Eventos,
    KafkaStreams,
    Quix,
    Prototype,
    BarePoll,
    BareBatch,
    BareProduce,
}

/// All contestants, in the order in which they take turns.
pub(crate) const ALL: [Contestant; 13] = [
    stored("bare-poll", Program::BarePoll),
    stored("bare-batch", Program::BareBatch),
    stored("eventos-stored", Program::Eventos),
    stored("kafka-streams-stored", Program::KafkaStreams),
    exactly_once(stored("eventos-stored-exactly-once", Program::Eventos)),
    exactly_once(stored(
        "kafka-streams-stored-exactly-once",
        Program::KafkaStreams,
    )),
    stored("quix-stored", Program::Quix),
    stored("prototype-stored", Program::Prototype),
    sent("bare-sent", Program::BareProduce),
    sent("eventos-sent", Program::Eventos),
    sent("kafka-streams-sent", Program::KafkaStreams),
    exactly_once(sent("eventos-sent-exactly-once", Program::Eventos)),
    exactly_once(sent(
        "kafka-streams-sent-exactly-once",
        Program::KafkaStreams,
    )),
];

const fn stored(name: &'static str, program: Program) -> Contestant {
    Contestant {
        name,
        program,
        is_exactly_once: false,
        sends: false,
    }
}

const fn sent(name: &'static str, program: Program) -> Contestant {
    Contestant {
        sends: true,
        ..stored(name, program)
    }
}

const fn exactly_once(contestant: Contestant) -> Contestant {
    Contestant {
        is_exactly_once: true,
        ..contestant
    }
}

/// What a program gets as its arguments.
pub(crate) struct Job {
    pub(crate) servers: String,
    pub(crate) topic: String,
    pub(crate) group: String,
    pub(crate) events: u64,
    pub(crate) is_exactly_once: bool,
    /// The topic to send every event on to, if there is one.
    pub(crate) output: Option<String>,
}

impl Job {
    pub(crate) fn arguments(&self) -> [String; 6] {
        let guarantee = match self.is_exactly_once {
            true => "exactly_once",
            false => "at_least_once",
        };
        [
            self.servers.clone(),
            self.topic.clone(),
            self.group.clone(),
            self.events.to_string(),
            guarantee.to_owned(),
            self.output.clone().unwrap_or_else(|| "-".to_owned()),
        ]
    }

    /// Parses what [`Job::arguments`] returns.
    pub(crate) fn parse(arguments: &[&str]) -> Self {
        let &[servers, topic, group, events, guarantee, output] = arguments else {
            panic!("six arguments are expected, not {arguments:?}");
        };
        Self {
            servers: servers.to_owned(),
            topic: topic.to_owned(),
            group: group.to_owned(),
            events: events.parse().expect("a number"),
            is_exactly_once: guarantee == "exactly_once",
            output: (output != "-").then(|| output.to_owned()),
        }
    }
}

impl Program {
    /// Whether it keeps the events, so that its memory per event is of interest.
    pub(crate) fn stores(self) -> bool {
        !matches!(
            self,
            Program::BarePoll | Program::BareBatch | Program::BareProduce
        )
    }

    /// Returns the command that does the job.
    ///
    /// # Errors
    /// The program could not be installed.
    pub(crate) fn command(self, job: &Job) -> Result<Command> {
        let mut command = match self {
            Program::Eventos => own_part("eventos")?,
            Program::BarePoll => own_part("bare-poll")?,
            Program::BareBatch => own_part("bare-batch")?,
            Program::BareProduce => own_part("bare-produce")?,
            Program::KafkaStreams => java(job)?,
            Program::Quix => python("QUIX", "quix")?,
            Program::Prototype => python("PROTOTYPE", "prototype")?,
        };
        command.args(job.arguments());
        Ok(command)
    }
}

fn own_part(part: &str) -> Result<Command> {
    let mut command = Command::new(env::current_exe().context("the path of this executable")?);
    command.args(["run", part]);
    Ok(command)
}

/// The parallel collector has the highest throughput, and a heap that does not have to grow saves collections.
fn java(job: &Job) -> Result<Command> {
    let class_path = installed("KAFKA_STREAMS")?;
    let gigabytes = 4 + job.events / 1_500_000 / 2 * 2;
    let mut command = Command::new("java");
    command.arg("-XX:+UseParallelGC");
    command.args([format!("-Xms{gigabytes}g"), format!("-Xmx{gigabytes}g")]);
    command.args([
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        &class_path,
        "Race",
    ]);
    Ok(command)
}

fn python(variable: &str, folder: &str) -> Result<Command> {
    let peers = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("benches/race/peers");
    let mut command = Command::new(installed(variable)?);
    command.arg(peers.join(folder).join("race.py"));
    Ok(command)
}

/// Returns where `cargo xtask bench race` has installed a peer.
fn installed(peer: &str) -> Result<String> {
    let variable = format!("EVENTOS_RACE_{peer}");
    match (env::var(&variable), env::var(format!("{variable}_ERROR"))) {
        (Ok(at), _) => Ok(at),
        (_, Ok(error)) => bail!("it cannot be installed: {error}"),
        _ => bail!("{variable} is not set; run it as `cargo xtask bench race`"),
    }
}
