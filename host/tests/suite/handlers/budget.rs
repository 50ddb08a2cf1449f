//! What handlers return for one batch is bounded, however many records it has.

use std::fs;

use eventos_testkit::{Broker, Setup};

use super::{Fixture, evento};
use crate::EVENTOS;

/// Returns the largest memory that a process has used, in MiB.
fn peak(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.expect("a number") >> 10
}

/// Has 200 small Eventos grow to 4 MiB each, and returns the daemon.
fn grown(guarantee: &str) -> Fixture {
    let large = "x".repeat(4 << 20);
    let toml = format!(
        "[store]\nmax_bytes = \"64MiB\"\n\
         [handler.enrich]\nconfig = {{ members = {{ large = {large:?} }} }}\n"
    );
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["enrich", "store"], &toml);
    setup.set_env("EVENTOS__DELIVERY__GUARANTEE", guarantee);
    let eventos: Vec<_> = (0..200).map(|i| evento(i, "small")).collect();
    let fixture = Fixture::on(setup, &eventos);
    let replaced = r#"eventos_handler_events_total{handler="enrich",outcome="replace"}"#;
    assert_eq!(fixture.daemon.metric(replaced), Some(200.0));
    assert!(fixture.dead_letters().is_empty());
    let last = fixture.daemon.get("/messages/199");
    assert_eq!(last.status, 200);
    assert!(last.text.len() > 4 << 20);
    fixture.setup.wait_until_committed(&fixture.daemon);
    fixture
}

#[test]
fn a_batch_whose_records_grow_is_delivered_in_parts() {
    let fixture = grown("at_least_once");
    let peak = peak(fixture.daemon.pid());
    // All of it together would take 800 MiB, several times over.
    assert!(peak < 900, "{peak} MiB");
}

#[test]
fn so_it_is_with_exactly_once() {
    let fixture = grown("exactly_once");
    let peak = peak(fixture.daemon.pid());
    assert!(peak < 900, "{peak} MiB");
}
