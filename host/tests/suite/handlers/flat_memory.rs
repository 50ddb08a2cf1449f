//! A handler that replaces, emits and rejects for a long time needs no more memory than at the beginning, in each language.

use std::{env, fs};

use eventos_testkit::{Broker, Daemon, Setup, handler, produce};
use rdkafka::producer::BaseRecord;

use crate::EVENTOS;

/// The variable with the number of Eventos; `cargo xtask test --all` sets it to a million.
const EVENTS: &str = "EVENTOS_TEST_FLAT_EVENTS";

/// Few enough for every run, and enough to find a leak of 200 bytes an Evento.
const SHORT: u32 = 24_000;

/// The Eventos after which the memory is measured for the first time: several full batches.
const WARM_UP: u32 = 8_000;

/// How much more memory it may be in the end, in bytes: allocators keep some pieces.
const TOLERANCE: f64 = (2 << 20) as f64;

const TIPOS: [&str; 4] = ["echo", "replace", "emit", "reject"];

/// Has the daemon handle this many Eventos. Returns the memory of the handler afterwards.
fn handle(setup: &Setup, daemon: &Daemon, from: u32, to: u32) -> f64 {
    let topic = setup.topic();
    let filling = "x".repeat(400);
    let evento = |i: u32| {
        let tipo = TIPOS[i as usize % TIPOS.len()];
        format!(r#"{{"id":"{i}","tipo":"{tipo}","filling":"{filling}"}}"#)
    };
    let all: Vec<_> = (from..to).collect();
    for part in all.chunks(10_000) {
        let eventos: Vec<_> = part.iter().map(|&i| evento(i)).collect();
        let record = |evento| {
            BaseRecord::<[u8], [u8]>::to(&topic)
                .partition(0)
                .payload(evento)
        };
        let records = eventos.iter().map(|evento| record(evento.as_bytes()));
        produce(daemon.broker(), records);
        daemon.wait_for_consumed(part[part.len() - 1] + 1);
    }
    let memory = r#"eventos_handler_memory_bytes{handler="probe"}"#;
    daemon.metric(memory).expect("the metric")
}

fn check(file: &str) {
    let count = env::var(EVENTS).map_or(SHORT, |count| count.parse().expect("a number"));
    let toml = "[handler.probe]\ntimeout = \"30s\"\nproduce = [\"flat\"]\nconfig = { emit_to = \"flat\" }\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &[], toml);
    let probe = setup.dir.path().join("plugins/00-probe.wasm");
    fs::copy(handler(file), probe).expect("the handler is copied");
    let daemon = setup.start();
    let before = handle(&setup, &daemon, 0, WARM_UP);
    let after = handle(&setup, &daemon, WARM_UP, count);
    println!("{file}: {before} bytes after {WARM_UP} Eventos, {after} after {count}");
    assert!(after - before <= TOLERANCE, "{before} bytes became {after}");
    let outcome = |outcome: &str| {
        let line =
            format!(r#"eventos_handler_events_total{{handler="probe",outcome="{outcome}"}}"#);
        daemon.metric(&line).unwrap_or_default()
    };
    let each = f64::from(count) / 4.0;
    assert_eq!(
        ["replace", "pass", "reject", "retry"].map(outcome),
        [2.0 * each, each, each, 0.0]
    );
    assert_eq!(daemon.metric_sum("eventos_handler_errors_total"), each);
}

#[test]
fn of_rust_stays_flat() {
    check("probe");
}

#[test]
fn of_c_stays_flat() {
    check("probe-c");
}

#[test]
fn of_javascript_stays_flat() {
    check("probe-js");
}

#[test]
fn of_python_stays_flat() {
    check("probe-python");
}
