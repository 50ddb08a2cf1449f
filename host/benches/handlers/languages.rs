//! The handler `bench-handlers` in each language: CPU time of the thread that calls it.
//!
//! The batch is filled before. The measured call crosses into the handler, runs it, crosses back, and checks the answer. In native
//! Rust, the same logic reads the same columns and makes the same answer.

use std::{hint::black_box, path::PathBuf, sync::Arc};

use eventos::{
    event::{Batch, Header, Offset, Partition, Records, Timestamp, TopicPartition},
    plugin::{Compiler, Engine, Handler, HandlerConfig, HandlerFile, Instance, Settings},
    telemetry::metrics::Metrics,
};
use eventos_testkit::measure::{Figures, thread_seconds};

/// Rounds in which all languages take turns.
const ROUNDS: usize = 11;

/// Minimum CPU seconds per language and round.
const ROUND: f64 = 0.1;

/// Calls between two readings of the clock.
const CALLS: usize = 8;

/// Name and component of each language. The others are compared with the first.
const LANGUAGES: [(&str, Option<&str>); 5] = [
    ("native Rust", None),
    ("Rust", Some("bench-handlers")),
    ("C", Some("bench-handlers-c")),
    ("JavaScript", Some("bench-handlers-js")),
    ("Python", Some("bench-handlers-python")),
];

/// Title, tipo and batch size of each logic.
const LOGICS: [(&str, &str, usize); 4] = [
    ("pass, 256", "look", 256),
    ("pass, 1,024", "look", 1_024),
    ("replace, 256", "mark", 256),
    ("replace, 1,024", "mark", 1_024),
];

/// Measures and prints a table in Markdown.
pub(crate) fn compare() {
    let engine = Engine::new(None, Compiler::InProcess).expect("an engine");
    let mut ways = LANGUAGES.map(|(name, file)| {
        eprintln!("compiling {name}");
        file.map(|file| instance(&engine, file))
    });
    let columns = LOGICS.map(|(title, tipo, size)| {
        eprintln!("measuring {title}");
        rounds(&mut ways, &batch(tipo, size))
    });
    println!(
        "ns of CPU per Evento, Eventos per second, and relative to native Rust: median of {ROUNDS} rounds"
    );
    println!(
        "(minimum to maximum). 100-byte values, a key, a header; the batch is filled before\n"
    );
    println!("| | {} |", LOGICS.map(|(title, ..)| title).join(" | "));
    println!("|---|{}", "---|".repeat(LOGICS.len()));
    for (row, (name, _)) in LANGUAGES.iter().enumerate() {
        let cells = columns.iter().map(|rounds| cell(&rounds[row], &rounds[0]));
        println!("| {name} | {} |", cells.collect::<Vec<_>>().join(" | "));
    }
    println!();
}

/// Measures the nanoseconds per Evento of each language, round by round.
fn rounds(ways: &mut [Option<Instance>; 5], batch: &Arc<Batch>) -> [Vec<f64>; 5] {
    let mut rounds = [const { Vec::new() }; 5];
    // The first round does not count, because the handlers allocate their memory in it.
    for round in 0..=ROUNDS {
        for (way, figures) in ways.iter_mut().zip(&mut rounds) {
            let figure = match way {
                Some(instance) => time(batch.len(), || call(instance, batch)),
                None => time(batch.len(), || natively(batch)),
            };
            if round > 0 {
                figures.push(figure);
            }
        }
    }
    rounds
}

/// Measures the nanoseconds per Evento.
fn time(size: usize, mut call: impl FnMut()) -> f64 {
    let (began, mut calls) = (thread_seconds(), 0);
    loop {
        for _ in 0..CALLS {
            call();
        }
        calls += CALLS;
        let taken = thread_seconds() - began;
        if taken >= ROUND {
            return taken * 1e9 / (calls * size) as f64;
        }
    }
}

fn cell(of: &[f64], native: &[f64]) -> String {
    let figures = Figures::new(of.to_vec());
    let per_second = 1e9 / figures.median();
    let per_second = match per_second {
        ..1e6 => format!("{:.0} k/s", per_second / 1e3),
        _ => format!("{:.1} M/s", per_second / 1e6),
    };
    let times = Figures::ratios(of, native);
    format!(
        "{}, {per_second}, {:.1} x",
        figures.to_string().trim(),
        times.median()
    )
}

/// Makes a batch of Eventos of 100 bytes each.
fn batch(tipo: &str, size: usize) -> Arc<Batch> {
    let mut batch = Batch::new(TopicPartition::new("eventos", Partition(0)));
    let values: Vec<_> = (0..size)
        .map(|i| format!(r#"{{"id":"{i:08}","tipo":"{tipo}","place":"{:-<58}"}}"#, ""))
        .collect();
    for (value, offset) in values.iter().zip(0..) {
        assert_eq!(value.len(), 100);
        let header = Header {
            name: b"source",
            value: Some(b"0123456789abcdef"),
        };
        let (key, value) = (Some(&b"the-key"[..]), Some(value.as_bytes()));
        batch.push(
            Offset(offset),
            key,
            value,
            [header],
            (Timestamp(1_700_000_000_000), 0),
        );
    }
    let unreadable = batch.read();
    assert!(unreadable.offsets.is_empty());
    assert_eq!(batch.len(), size, "each is a valid Evento");
    Arc::new(batch)
}

fn call(instance: &mut Instance, batch: &Arc<Batch>) {
    let answer = instance.call(batch).expect("the handler returns");
    assert_eq!(answer.outcomes.iter().len(), batch.len());
    black_box(answer);
}

/// The logic of plugins/bench-handlers.
fn natively(batch: &Arc<Batch>) {
    let (mut kinds, mut ends) = (Vec::with_capacity(batch.len()), Vec::new());
    let mut replacements = Records::default();
    for i in 0..batch.len() {
        let record = batch.record(i);
        let first = record.value.and_then(<[u8]>::first);
        kinds.push(match (batch.tipo(i), first) {
            (_, Some(b'!') | None) => 1_u8,
            ("mark", _) => {
                let header = Header {
                    name: b"seen-by",
                    value: Some(b"bench"),
                };
                let headers = record.headers.chain([header]);
                replacements.push(record.key, record.value, headers, record.timestamp, 0);
                ends.push(replacements.len());
                2
            }
            _ => 0,
        });
    }
    black_box((kinds, ends, replacements));
}

fn instance(engine: &Engine, name: &str) -> Instance {
    let target = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/handlers");
    let file = HandlerFile::at(&target.join(format!("{name}.wasm")));
    let (own, metrics) = (HandlerConfig::default(), Metrics::new().handler(name));
    let handler = Handler::load(engine, &file, &Settings::default(), &own, metrics);
    let handler =
        handler.expect("run it as `cargo xtask bench handlers`, which builds the handlers");
    handler.instance().expect("the handler starts")
}
