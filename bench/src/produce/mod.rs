//! `cargo xtask bench produce`: what a server with `POST /send` and `POST /send/batch` does in a second, and what a request costs it.
//! wrk sends from 64 connections to eventos, to a [bare](mod@bare) server with the same libraries, and to the Python prototype in turn.
//!
//! Each broker is a process of its own. eventos also consumes and stores what it is sent, which the others leave to another
//! program; so it is measured with a paused chain, too.

pub(crate) mod bare;
mod wrk;

use std::{any::Any, process::Command};

use eventos_testkit::{
    Program, create_topic, eventually, free_port,
    measure::{
        cpu::ThreadTimes,
        part::{Part, runtime},
        report::{Report, Table},
    },
    root,
};
use tokio::net::TcpStream;

use crate::{
    connection::Connection,
    options::{Defaults, Extent, Options},
    world::{self, Servers, provided},
};

const PARTITIONS: i32 = 4;

/// The bare server, which waits for no other record, or at most a millisecond.
const BARE: [&str; 2] = ["bare, linger 0", "bare, linger 1 ms"];

/// Eventos in a request to `/send/batch`.
const BATCH: u64 = 100;

const DEFAULTS: Defaults = Defaults {
    rounds: [5, 1],
    events: [0, 0],
    seconds: [5, 2],
};

const COLUMNS: [&str; 6] = [
    "thousand Eventos a second",
    "p50 of a request, ms",
    "p99 of a request, ms",
    "server, us of CPU an Evento",
    "broker, us",
    "wrk, us",
];

/// A broker in a process of its own.
struct Broker {
    name: &'static str,
    servers: String,
    pid: u32,
}

/// A server that is sent to. It ends with this value.
struct Subject {
    name: &'static str,
    address: String,
    pid: u32,
    takes_batches: bool,
    _running: Box<dyn Any>,
}

/// The rounds of one subject, by column.
type Rounds = [Vec<f64>; COLUMNS.len()];

pub(crate) fn run(options: &Options) {
    let extent = options.extent(&DEFAULTS);
    let Extent {
        rounds, seconds, ..
    } = extent;
    let connections = wrk::CONNECTIONS;
    let settings = format!("{rounds} rounds of {seconds} s, {connections} connections");
    let mut report = Report::new("produce", &settings);
    let dir = tempfile::tempdir().expect("a folder");
    let mut built_in = Part::start(&["serve-broker", &dir.path().display().to_string()]);
    let brokers = [
        Broker {
            name: "Kafka",
            servers: world::kafka(),
            pid: provided("EVENTOS_BENCH_KAFKA_PID")
                .parse()
                .expect("a process id"),
        },
        Broker {
            name: "built-in broker",
            servers: built_in.read_line(),
            pid: built_in.id(),
        },
    ];
    for broker in brokers {
        let subjects = [
            eventos(&broker, "eventos", false),
            eventos(&broker, "eventos, chain paused", true),
            bare(&broker, BARE[0], "0"),
            bare(&broker, BARE[1], "1"),
            prototype(&broker),
        ];
        for eventos in [1, BATCH] {
            compare(&mut report, &broker, &subjects, eventos, extent);
        }
    }
    report.write();
}

/// Starts a daemon.
fn eventos(broker: &Broker, name: &'static str, paused: bool) -> Subject {
    let mut setup = world::setup(Servers::BuiltIn, &["store"], "");
    setup.servers.clone_from(&broker.servers);
    create_topic(&broker.servers, &setup.topic(), PARTITIONS);
    let daemon = setup.start();
    if paused {
        daemon.pause("store");
    }
    Subject {
        name,
        address: world::address(&daemon),
        pid: daemon.pid(),
        takes_batches: true,
        _running: Box::new((setup, daemon)),
    }
}

/// Starts the bare server.
fn bare(broker: &Broker, name: &'static str, linger_ms: &str) -> Subject {
    let topic = format!("bare-{linger_ms}");
    create_topic(&broker.servers, &topic, PARTITIONS);
    let mut part = Part::start(&["serve-bare", &broker.servers, &topic, linger_ms]);
    Subject {
        name,
        address: part.read_line(),
        pid: part.id(),
        takes_batches: true,
        _running: Box::new(part),
    }
}

/// Starts the producer of the prototype, which is in `host/tests/seed`.
fn prototype(broker: &Broker) -> Subject {
    create_topic(&broker.servers, "prototype", PARTITIONS);
    let address = format!("127.0.0.1:{}", free_port());
    let (_, port) = address.split_once(':').expect("host and port");
    let mut python = Command::new(provided("EVENTOS_BENCH_PYTHON"));
    python
        .arg(root().join("bench/src/produce/prototype.py"))
        .arg(root().join("host/tests/seed"))
        .args([&broker.servers, "prototype", port])
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let program = Program::start(&mut python, "");
    eventually("the prototype to listen", || {
        let connected = runtime().block_on(TcpStream::connect(&address));
        connected.ok()
    });
    Subject {
        name: "Python prototype (acks=1)",
        pid: program.pid(),
        address,
        takes_batches: false,
        _running: Box::new(program),
    }
}

/// Sends requests with this number of Eventos to each subject in turn.
fn compare(report: &mut Report, broker: &Broker, all: &[Subject], eventos: u64, extent: Extent) {
    let path = if eventos == 1 { "/send" } else { "/send/batch" };
    let subjects = all
        .iter()
        .filter(|subject| eventos == 1 || subject.takes_batches);
    let subjects: Vec<&Subject> = subjects.collect();
    let mut figures: Vec<Rounds> = vec![Rounds::default(); subjects.len()];
    for subject in &subjects {
        check(subject, path, eventos);
        // The first requests find cold caches, and with Python a cold interpreter.
        wrk::run(&format!("http://{}{path}", subject.address), 1, eventos);
    }
    for round in 0..extent.rounds {
        for (subject, rounds) in subjects.iter().zip(&mut figures) {
            eprintln!("round {round}, {}, {path}: {}", broker.name, subject.name);
            let measured = measure(broker, subject, path, eventos, extent.seconds);
            for (column, figure) in rounds.iter_mut().zip(measured) {
                column.push(figure);
            }
        }
    }
    let title = match eventos {
        1 => format!("{}: {path}", broker.name),
        _ => format!("{}: {path}, {eventos} Eventos in a request", broker.name),
    };
    let mut table = Table::new(&title, &COLUMNS);
    let mut ratios = Table::new(&format!("{title}: rate divided by that of"), &BARE);
    let bare = BARE.map(|name| subjects.iter().position(|subject| subject.name == name));
    let bare = bare.map(|found| figures[found.expect("it is a subject")][0].clone());
    for (subject, rounds) in subjects.iter().zip(figures) {
        let by = |bare: &Vec<f64>| {
            rounds[0]
                .iter()
                .zip(bare)
                .map(|(rate, bare)| rate / bare)
                .collect()
        };
        ratios.row(subject.name, bare.iter().map(by).collect());
        table.row(subject.name, rounds.into());
    }
    report.add(&table);
    report.add(&ratios);
}

/// Checks that a subject acknowledges every Evento of a request.
fn check(subject: &Subject, path: &str, eventos: u64) {
    let evento = r#"{"id":"check","tipo":"sismo"}"#;
    let body = vec![evento; eventos as usize].join("\n");
    let reply = runtime().block_on(async {
        let mut connection = Connection::open(&subject.address).await;
        connection.post(path, body).await
    });
    let text = String::from_utf8_lossy(&reply.body);
    let sent = text.matches("message sent").count();
    assert_eq!(sent as u64, eventos, "{}: {text}", subject.name);
}

fn measure(
    broker: &Broker,
    subject: &Subject,
    path: &str,
    eventos: u64,
    seconds: u64,
) -> [f64; COLUMNS.len()] {
    let times = [subject.pid, broker.pid].map(ThreadTimes::read);
    let load = wrk::run(
        &format!("http://{}{path}", subject.address),
        seconds,
        eventos,
    );
    let sent = load.requests * eventos as f64;
    let [server, broker] = times.map(|times| times.seconds_since() * 1e6 / sent);
    let [median, p99] = load.latencies;
    let rate = sent / load.seconds / 1e3;
    [rate, median, p99, server, broker, load.cpu * 1e6 / sent]
}
