//! Random numbers of a handler: they differ, and a replay gives the same again, in other batches and another instance.

use std::{collections::BTreeSet, fs};

use eventos_testkit::{Broker, Setup, handler};
use serde_json::Value;

use super::{evento, send_to};
use crate::EVENTOS;

/// The number of Eventos in each of two partitions.
const EACH: usize = 20;

fn check(file: &str) {
    let toml = "[handler.probe]\ntimeout = \"10s\"\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], toml);
    let probe = setup.dir.path().join("plugins/00-probe.wasm");
    fs::copy(handler(file), probe).expect("the handler is copied");
    let daemon = setup.start();
    for i in 0..EACH {
        // One by one, so that most are a batch of their own.
        for partition in [0, 1] {
            let one = [evento(format_args!("{partition}-{i}"), "random")];
            send_to(&setup, &daemon, partition, &one);
        }
    }
    let before = daemon.wait_for_messages(2 * EACH);
    let numbers = |evento: &Value| evento["numbers"].as_array().expect("a list").clone();
    let all: Vec<_> = before.iter().flat_map(numbers).collect();
    let different: BTreeSet<_> = all.iter().map(Value::to_string).collect();
    assert_eq!(different.len(), all.len(), "{all:?}");
    setup.wait_until_committed(&daemon);
    daemon.kill();

    // The store is rebuilt by a replay.
    let daemon = setup.start();
    assert_eq!(daemon.wait_for_messages(2 * EACH), before);
}

#[test]
fn of_rust_differ_and_are_the_same_in_a_replay() {
    check("probe");
}

#[test]
fn of_c_differ_and_are_the_same_in_a_replay() {
    check("probe-c");
}

#[test]
fn of_javascript_differ_and_are_the_same_in_a_replay() {
    check("probe-js");
}

#[test]
fn of_python_differ_and_are_the_same_in_a_replay() {
    check("probe-python");
}
