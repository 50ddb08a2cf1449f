//! A view that is not restored yet, and one whose topic was deleted.

use eventos_testkit::{Broker, Setup, create_topic, delete_topic, eventually, read_topic};

use super::{produce_all, setup, stored};
use crate::EVENTOS;

#[test]
fn what_is_still_to_be_restored_is_told_to_be_missing() {
    let timeout = "EVENTOS__HANDLER__PROBE__TIMEOUT";
    let mut setup = setup(Broker::Embedded, &["probe", "store"], "");
    setup.set_env(timeout, "100ms");
    let daemon = setup.start();
    let eventos = ["good", "good", "good", "good", "spin"];
    let eventos = (0_i64..)
        .zip(eventos)
        .map(|(i, tipo)| (format!(r#"{{"id":{i},"tipo":"{tipo}"}}"#), i));
    produce_all(&daemon, &setup.topic(), &eventos.collect::<Vec<_>>());
    daemon.wait_for_messages(4);
    setup.wait_until_committed(&daemon);
    let before = stored(&daemon);
    assert!(daemon.stop().success());

    // Partition 0 has the Evento that takes long, and others may wait for the same worker. Before the partitions are assigned, all
    // of them are missing for another reason.
    setup.set_env(timeout, "2s");
    let daemon = setup.start_listening();
    eventually("partition 0 to be missing until it is restored", || {
        let answer = daemon.get("/messages");
        answer.assert_status(200);
        let reason = answer.header("x-missing-reason")?;
        let is_first = answer.header("x-partitions-missing")?.starts_with('0');
        (is_first && reason.contains("restored")).then_some(())
    });
    daemon.get("/readyz").assert_status(503);
    daemon.wait_until_ready();
    assert_eq!(daemon.get("/messages").header("x-partitions-missing"), None);
    assert_eq!(stored(&daemon), before);
}

#[test]
fn a_topic_that_was_deleted_meanwhile_is_handled_from_its_beginning() {
    // The broker has to outlive the daemon.
    let host = Setup::new(EVENTOS, Broker::Embedded, &["store"], "").start();
    let mut setup = setup(Broker::Embedded, &["probe", "store"], "");
    setup.servers = host.broker().to_owned();
    let out = format!("{}-out", setup.name);
    setup.add_config(&format!(
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
    setup.wait_until_committed(&daemon);
    assert!(daemon.stop().success());

    delete_topic(host.broker(), &setup.topic());
    create_topic(host.broker(), &setup.topic(), 4);
    produce_all(&host, &setup.topic(), &eventos(100..105));
    let daemon = setup.start_listening();
    daemon.wait_for_messages(5);
    setup.wait_until_committed(&daemon);
    assert_eq!(
        read_topic(host.broker(), &out).len(),
        25,
        "the records of the new topic are handled, not only replayed"
    );
}
