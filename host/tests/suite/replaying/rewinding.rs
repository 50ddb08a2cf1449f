//! The effects of a replay.

use super::*;

#[test]
fn everything_is_handled_again_and_stored_once_with_the_broker_inside() {
    everything_is_handled_again_and_stored_once(Broker::Embedded);
}

#[test]
fn everything_is_handled_again_and_stored_once_with_kafka() {
    everything_is_handled_again_and_stored_once(Broker::Kafka);
}

fn everything_is_handled_again_and_stored_once(broker: Broker) {
    let (setup, daemon) = filled(broker, 40);
    let before = daemon.messages("");

    let dry = replay(&daemon, "from=earliest&dry_run=true");
    assert_eq!(dry["records"], 40);
    assert_eq!(outcomes(&dry), [("would_be_rewound", Some(10), Some(0)); 4]);
    daemon.wait_for_consumed(40);

    let answer = replay(&daemon, "from=earliest");
    assert_eq!(answer["records"], 40);
    assert_eq!(outcomes(&answer), [("rewound", Some(10), Some(0)); 4]);
    daemon.wait_for_consumed(80);
    assert_eq!(daemon.messages(""), before, "each is stored once");
    let emitted = read_topic(daemon.broker(), &output(&setup));
    assert_eq!(emitted.len(), 80, "each is emitted twice");
    setup.wait_until_committed(&daemon);

    // After the replay, new records are handled.
    fill(&setup, &daemon, 40..44);
    daemon.wait_for_messages(44);
    daemon.wait_for_consumed(84);
}

#[test]
fn a_part_is_handled_again_from_an_offset_or_a_time_with_the_broker_inside() {
    a_part_is_handled_again_from_an_offset_or_a_time(Broker::Embedded);
}

#[test]
fn a_part_is_handled_again_from_an_offset_or_a_time_with_kafka() {
    a_part_is_handled_again_from_an_offset_or_a_time(Broker::Kafka);
}

fn a_part_is_handled_again_from_an_offset_or_a_time(broker: Broker) {
    let (setup, daemon) = filled(broker, 40);
    let before = daemon.messages("");

    let answer = replay(&daemon, "from=7&partition=2");
    assert_eq!(outcomes(&answer), [("rewound", Some(10), Some(7))]);
    daemon.wait_for_consumed(43);
    setup.wait_until_committed(&daemon);

    // The first record has the time 22:13:20, and record 36 is the last one in partition 0.
    let answer = replay(&daemon, "from=2023-11-14T22:13:56Z");
    assert_eq!(outcomes(&answer), [("rewound", Some(10), Some(9)); 4]);
    daemon.wait_for_consumed(47);
    setup.wait_until_committed(&daemon);

    // A replay never moves a partition forward.
    for later in ["from=10", "from=4000", "from=2100-01-01T00:00:00Z"] {
        let answer = replay(&daemon, later);
        assert_eq!(outcomes(&answer), [("unchanged", Some(10), Some(10)); 4]);
        assert_eq!(answer["records"], 0);
    }
    assert_eq!(daemon.messages(""), before);
    daemon.wait_for_consumed(47);
}

#[test]
fn a_replay_that_was_answered_outlasts_a_kill() {
    let (setup, daemon) = filled(Broker::Embedded, 40);
    // The paused handler lets nothing through, so the daemon commits nothing after the replay.
    daemon.pause("probe");
    replay(&daemon, "from=5");
    daemon.kill();
    let daemon = setup.start_listening();
    // The pause outlasts the kill, too.
    daemon.resume("probe");
    daemon.wait_until_ready();
    daemon.wait_for_consumed(20);
    setup.wait_until_committed(&daemon);
}

#[test]
fn replays_while_eventos_flow_lose_none_and_store_none_twice() {
    let setup = setup(Broker::Embedded);
    let daemon = setup.start();
    for round in 0..20 {
        fill(&setup, &daemon, round * 500..(round + 1) * 500);
        let from = [0, 17, 200, 1_000][usize::try_from(round % 4).expect("small")];
        replay(&daemon, &format!("from={from}"));
    }
    wait_for_numbered_messages(&daemon, 10_000);
    setup.wait_until_committed(&daemon);
}

#[test]
fn what_a_stopped_partition_holds_is_read_again() {
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], "");
    setup.add_config("[handler.probe]\non_error = \"stop\"\n");
    let daemon = setup.start();
    let topic = setup.topic();
    let values = ["good", "good", "panic", "good"].into_iter().enumerate();
    let values: Vec<_> = values
        .map(|(i, tipo)| format!(r#"{{"id":{i},"tipo":"{tipo}"}}"#))
        .collect();
    for value in &values {
        let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
        produce(daemon.broker(), [record.payload(value.as_bytes())]);
    }
    daemon.wait_for_log("partition halted; replace the handler");
    let answer = replay(&daemon, "from=1&partition=0");
    let (status, Some(_), Some(to)) = outcomes(&answer)[0] else {
        panic!("{answer}");
    };
    assert!(
        status == "rewound" && to == 1 || status == "unchanged" && to <= 1,
        "{answer}"
    );
    daemon.delete("/handlers/probe").assert_status(204);
    let stored = daemon.wait_for_messages(4);
    let ids: Vec<_> = stored.iter().map(|evento| &evento["id"]).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    setup.wait_until_committed(&daemon);
}
