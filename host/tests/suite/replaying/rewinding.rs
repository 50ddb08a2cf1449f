//! What a replay brings about.

use super::*;
use crate::EVENTOS;

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
    assert_eq!(fates(&dry), [("would_be_rewound", Some(10), Some(0)); 4]);
    daemon.wait_for_consumed(40);

    let answer = replay(&daemon, "from=earliest");
    assert_eq!(answer["records"], 40);
    assert_eq!(fates(&answer), [("rewound", Some(10), Some(0)); 4]);
    daemon.wait_for_consumed(80);
    assert_eq!(daemon.messages(""), before, "stored anew, not twice");
    let emitted = read_topic(daemon.broker(), &out(&setup));
    assert_eq!(emitted.len(), 80, "effects happen again");
    wait_for_committed(&setup, &daemon);

    // And it goes on from where it was.
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
    assert_eq!(fates(&answer), [("rewound", Some(10), Some(7))]);
    daemon.wait_for_consumed(43);
    wait_for_committed(&setup, &daemon);

    // 22:13:20 and 36 seconds: the last in each partition.
    let answer = replay(&daemon, "from=2023-11-14T22:13:56Z");
    assert_eq!(fates(&answer), [("rewound", Some(10), Some(9)); 4]);
    daemon.wait_for_consumed(47);
    wait_for_committed(&setup, &daemon);

    // Never forward, and not before the first.
    for later in ["from=10", "from=4000", "from=2100-01-01T00:00:00Z"] {
        let answer = replay(&daemon, later);
        assert_eq!(fates(&answer), [("unchanged", Some(10), Some(10)); 4]);
        assert_eq!(answer["records"], 0);
    }
    assert_eq!(daemon.messages(""), before);
    daemon.wait_for_consumed(47);
}

#[test]
fn a_replay_that_was_answered_outlasts_a_kill() {
    let (setup, daemon) = filled(Broker::Embedded, 40);
    // Nothing passes any more, so nothing is committed after the replay.
    assert_eq!(ask(&daemon, "/handlers/probe/pause").0, 200);
    replay(&daemon, "from=5");
    daemon.kill();
    let daemon = setup.start();
    daemon.wait_for_consumed(20);
    wait_for_committed(&setup, &daemon);
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
    let stored = eventually("10,000 stored Eventos", || {
        let text = daemon.messages("?limit=20000");
        let stored: Vec<Value> = serde_json::from_str(&text).expect("JSON");
        assert!(stored.len() <= 10_000, "{} are stored", stored.len());
        (stored.len() == 10_000).then_some(stored)
    });
    let ids: Vec<_> = stored.iter().map(|evento| evento["id"].as_i64()).collect();
    let all: Vec<_> = (0..10_000).map(Some).collect();
    // Each is a second younger than the one before.
    assert_eq!(ids, all);
    wait_for_committed(&setup, &daemon);
}

#[test]
fn what_a_stopped_partition_holds_is_read_again() {
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], "");
    setup.configure("[handler.probe]\non_error = \"stop\"\n");
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
    daemon.wait_for_log("the partition stops; replace the handler", "partition=");
    let answer = replay(&daemon, "from=1&partition=0");
    let (status, Some(_), Some(to)) = fates(&answer)[0] else {
        panic!("{answer}");
    };
    assert!(
        status == "rewound" && to == 1 || status == "unchanged" && to <= 1,
        "{answer}"
    );
    let answer = daemon.client().delete(daemon.url("/handlers/probe")).send();
    assert_eq!(answer.expect("answered").status(), 204);
    let stored = daemon.wait_for_messages(4);
    let ids: Vec<_> = stored.iter().map(|evento| &evento["id"]).collect();
    assert_eq!(ids, [0, 1, 2, 3]);
    wait_for_committed(&setup, &daemon);
}
