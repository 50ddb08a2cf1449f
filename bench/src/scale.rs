//! `cargo xtask bench scale`: what an Evento costs a daemon, and the memory that it takes, when one thing changes: the cores, the
//! partitions, the size of the values, the handlers, or how far the daemon is behind.
//!
//! A daemon is started on a topic that was filled before, and watched until it has consumed everything. A daemon with the same
//! settings on an empty topic shows what starting costs, which is subtracted.

use std::{
    collections::BTreeSet,
    fs, process,
    time::{Duration, Instant},
};

use eventos_testkit::{
    Daemon, Setup, handler,
    measure::{
        cpu::ThreadTimes,
        memory::{MIB, Memory},
        report::{Report, Table},
    },
    wait::pause,
};

use crate::{
    load::fill,
    options::{Defaults, Options},
    world::{self, Servers},
};

const DEFAULTS: Defaults = Defaults {
    rounds: [5, 1],
    events: [1_000_000, 100_000],
    seconds: [0, 0],
};

/// Bytes of a topic with larger values, divided by the number of Eventos in the base case.
const BYTES_EACH: u64 = 500;

/// Time after which a daemon has failed.
const DEADLINE: Duration = Duration::from_secs(300);

const COLUMNS: [&str; 6] = [
    "us of CPU an Evento",
    "times the base",
    "ns of CPU a byte",
    "thousand a second",
    "memory a stored Evento, bytes",
    "peak memory, MiB",
];

/// What is measured. Each case differs from the base in one thing.
#[derive(Clone, PartialEq)]
struct Case {
    name: String,
    /// Whether the daemon is confined to one core, so that it has one worker thread.
    one_core: bool,
    partitions: i32,
    bytes: usize,
    handlers: usize,
    events: u64,
}

/// What a daemon has used, as differences to a daemon on an empty topic.
struct Measured {
    seconds: f64,
    cpu: f64,
    memory: f64,
    stored: f64,
    /// The whole process counts.
    peak: f64,
}

pub(crate) fn run(options: &Options) {
    let extent = options.extent(&DEFAULTS);
    let settings = format!("{} rounds, {} Eventos", extent.rounds, extent.events);
    let mut report = Report::new("scale", &settings);
    let cases = cases(extent.events);
    prepare(&cases);
    let mut figures: Vec<[Vec<f64>; COLUMNS.len()]> = vec![Default::default(); cases.len()];
    for round in 0..extent.rounds {
        let mut base = None;
        for (case, figures) in cases.iter().zip(&mut figures) {
            eprintln!("round {round}, {}", case.name);
            let measured = measure(case);
            let cost = measured.cpu * 1e6 / case.events as f64;
            let row = [
                cost,
                cost / *base.get_or_insert(cost),
                cost * 1e3 / case.bytes as f64,
                case.events as f64 / measured.seconds / 1e3,
                measured.memory / measured.stored,
                measured.peak / MIB,
            ];
            for (column, figure) in figures.iter_mut().zip(row) {
                column.push(figure);
            }
        }
    }
    let mut table = Table::new("consumed and stored, from Kafka", &COLUMNS);
    for (case, figures) in cases.iter().zip(figures) {
        table.row(&case.name, figures.into());
    }
    report.add(&table);
    report.write();
}

/// Returns all cases, the base first.
fn cases(events: u64) -> Vec<Case> {
    let base = Case {
        name: format!("base: all cores, 4 partitions, 100 B, 1 handler, {events} behind"),
        one_core: false,
        partitions: 4,
        bytes: 100,
        handlers: 1,
        events,
    };
    let other = |name: String| Case {
        name,
        ..base.clone()
    };
    let mut cases = vec![base.clone()];
    cases.push(Case {
        one_core: true,
        ..other("1 core, 1 worker thread".to_owned())
    });
    cases.extend([1, 16, 64].map(|partitions| Case {
        partitions,
        ..other(format!("{partitions} partitions"))
    }));
    cases.extend([1_000, 10_000, 100_000, 1_000_000].map(|bytes| Case {
        bytes,
        events: (events * BYTES_EACH / bytes as u64).max(20),
        ..other(format!("values of {bytes} B"))
    }));
    cases.extend([4, 16].map(|handlers| Case {
        handlers,
        ..other(format!("{handlers} handlers"))
    }));
    cases.extend([5, 20].map(|times| Case {
        events: times * events,
        ..other(format!("{} behind", times * events))
    }));
    cases
}

/// Returns the topic with what a case consumes, or the empty one.
fn topic(case: &Case, events: u64) -> String {
    let (run, partitions, bytes) = (process::id(), case.partitions, case.bytes);
    format!("scale-{run}-{partitions}-{bytes}-{events}")
}

/// Creates the topics of all cases. Several have the same.
fn prepare(cases: &[Case]) {
    let servers = world::kafka();
    let mut topics = BTreeSet::new();
    for case in cases {
        for events in [case.events, 0] {
            let topic = topic(case, events);
            if topics.insert(topic.clone()) {
                eprintln!("filling {topic}");
                fill(&servers, &topic, case.partitions, case.bytes, events);
            }
        }
    }
}

/// Runs a daemon on the topic of a case, and one on the empty topic.
fn measure(case: &Case) -> Measured {
    let (idle, _setup) = start(case, 0);
    let began = idle.0;
    idle.1.wait_until_ready();
    let idle_seconds = began.elapsed().as_secs_f64();
    // The handler is instantiated by now, and no record has come.
    pause(Duration::from_millis(200));
    let idle_cpu = ThreadTimes::read(idle.1.pid()).total_seconds();
    let idle_memory = Memory::read(idle.1.pid());
    drop(idle);

    let ((began, daemon), _setup) = start(case, case.events);
    while (daemon.metric_sum("eventos_consumed_total") as u64) < case.events {
        assert!(began.elapsed() < DEADLINE, "{}", daemon.log());
        pause(Duration::from_millis(50));
    }
    let seconds = began.elapsed().as_secs_f64();
    let cpu = ThreadTimes::read(daemon.pid()).total_seconds();
    let memory = Memory::read(daemon.pid());
    Measured {
        seconds: (seconds - idle_seconds).max(0.001),
        cpu: cpu - idle_cpu,
        memory: memory.proportional - idle_memory.proportional,
        stored: daemon.metric_sum("eventos_store_events"),
        peak: memory.peak,
    }
}

/// Starts a daemon with the settings of a case on a topic with this many Eventos. Returns the moment, too.
fn start(case: &Case, events: u64) -> ((Instant, Daemon), Setup) {
    let mut setup = world::setup(Servers::Kafka, &["store"], "");
    setup.set_env("EVENTOS__KAFKA__TOPIC", &topic(case, events));
    for i in 1..case.handlers {
        let to = setup.path(&format!("plugins/{i:02}-look{i}.wasm"));
        fs::copy(handler("bench-handlers"), to).expect("the handler is copied");
    }
    if case.one_core {
        setup.wrapper = ["taskset", "-c", "0"].map(str::to_owned).to_vec();
    }
    let began = Instant::now();
    ((began, setup.start_listening()), setup)
}
