//! While a view is not whole yet, and where there is nothing to make it of.

use eventos_testkit::{Broker, Setup, create_topic, delete_topic, eventually, read_topic};
use reqwest::blocking::Response;

use super::{produce_all, setup, shown, wait_until_committed};
use crate::EVENTOS;

fn missing(answer: &Response) -> Option<String> {
    let missing = answer.headers().get("x-partitions-missing")?;
    Some(missing.to_str().expect("ASCII").to_owned())
}

#[test]
fn what_is_still_to_be_restored_is_told_to_be_missing() {
    let timeout = "EVENTOS__HANDLER__PROBE__TIMEOUT";
    let mut setup = setup(Broker::Embedded, &["probe", "store"], "");
    setup.set(timeout, "100ms");
    let daemon = setup.start();
    let eventos = ["good", "good", "good", "good", "spin"];
    let eventos = (0_i64..)
        .zip(eventos)
        .map(|(i, tipo)| (format!(r#"{{"id":{i},"tipo":"{tipo}"}}"#), i));
    produce_all(&daemon, &setup.topic(), &eventos.collect::<Vec<_>>());
    daemon.wait_for_messages(4);
    wait_until_committed(&setup, &daemon);
    let before = shown(&daemon);
    assert!(daemon.stop().success());

    // The first partition has the one that takes its time; others may wait for the same worker. Before the group has
    // shared them out, all are missing for another reason.
    setup.set(timeout, "2s");
    let daemon = setup.spawn();
    let ask = |path: &str| {
        daemon
            .client()
            .get(daemon.url(path))
            .send()
            .expect("answered")
    };
    eventually(
        "the first partition to be missing until it is restored",
        || {
            let answer = ask("/messages");
            assert_eq!(answer.status(), 200);
            let reason = answer.headers().get("x-missing-reason")?;
            let reason = reason.to_str().expect("ASCII");
            let is_first = missing(&answer)?.starts_with('0');
            (is_first && reason.contains("restored")).then_some(())
        },
    );
    assert_eq!(ask("/readyz").status(), 503);
    daemon.wait_until_ready();
    assert_eq!(missing(&ask("/messages")), None);
    assert_eq!(shown(&daemon), before);
}

#[test]
fn a_topic_that_was_deleted_meanwhile_is_handled_from_its_beginning() {
    // The broker has to be there while the daemon is not.
    let host = Setup::new(EVENTOS, Broker::Embedded, &["store"], "").start();
    let mut setup = setup(Broker::Embedded, &["probe", "store"], "");
    setup.servers = host.broker().to_owned();
    let out = format!("{}-out", setup.name);
    setup.configure(&format!(
        "[handler.probe]\nproduce = [{out:?}]\nconfig = {{ emit_to = {out:?} }}\n"
    ));
    create_topic(host.broker(), &out, 1);
    create_topic(host.broker(), &setup.topic(), 4);
    let eventos = |ids: std::ops::Range<i64>| -> Vec<_> {
        ids.map(|i| (format!(r#"{{"id":{i},"tipo":"emit"}}"#), i))
            .collect()
    };
    let daemon = setup.start();
    produce_all(&host, &setup.topic(), &eventos(0..20));
    daemon.wait_for_messages(20);
    wait_until_committed(&setup, &daemon);
    assert!(daemon.stop().success());

    delete_topic(host.broker(), &setup.topic());
    create_topic(host.broker(), &setup.topic(), 4);
    produce_all(&host, &setup.topic(), &eventos(100..105));
    let daemon = setup.spawn();
    daemon.wait_for_messages(5);
    wait_until_committed(&setup, &daemon);
    assert_eq!(
        read_topic(host.broker(), &out).len(),
        25,
        "each is handled as new"
    );
}
