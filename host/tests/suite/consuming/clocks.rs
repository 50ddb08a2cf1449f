//! Clocks that are wrong: that of the daemon, and that of whoever produced a record.

use eventos_testkit::{WrongClock, create_topic_with};

use super::*;

const HOUR: i64 = 3_600_000;

/// Four hundred years, in ms.
const FAR: i64 = 400 * 365 * 24 * HOUR;

fn now() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().expect("after 1970");
    i64::try_from(since.as_millis()).expect("a timestamp")
}

#[test]
fn a_wall_clock_that_was_ahead_stops_no_sending_once_it_is_right_again() {
    for broker in BROKERS {
        let mut setup = setup(broker);
        let clock = WrongClock::new(setup.dir.path());
        for (name, value) in clock.environment() {
            setup.set_env(name, &value);
        }
        let daemon = setup.start();
        let send = |id: usize| {
            let evento = format!(r#"{{"id":{id},"tipo":"t"}}"#);
            daemon.post_body("/send", "application/json", evento)
        };
        send(0).assert_status(200);
        let mut sent = 1;
        for (id, ahead) in [(10, 2 * HOUR), (20, 24 * HOUR), (30, FAR), (40, -FAR / 40)] {
            clock.set_ahead(ahead);
            let answer = send(id);
            // The clock of Kafka is right, so it rejects a record from the future.
            let is_rejected = broker == Broker::Kafka && ahead > 0;
            assert_eq!(
                answer.status != 200,
                is_rejected,
                "{ahead}: {}",
                answer.text
            );
            clock.set_ahead(0);
            for id in id + 1..id + 4 {
                send(id).assert_status(200);
            }
            sent += 3 + usize::from(!is_rejected);
        }
        // Consuming goes on, too.
        daemon.wait_for_messages(sent);
    }
}

#[test]
fn a_record_from_the_far_future_is_neither_the_newest_for_ever_nor_evicted_last() {
    for broker in BROKERS {
        let host = (broker == Broker::Embedded).then(|| {
            let setup = Setup::new(EVENTOS, broker, &["store"], "");
            let daemon = setup.start();
            (setup, daemon)
        });
        let mut setup = setup(broker);
        setup.add_config("[store]\nmax_events = 10\n");
        if let Some((_, daemon)) = &host {
            setup.servers = daemon.broker().to_owned();
        }
        let any_time = [("message.timestamp.after.max.ms", "9223372036854775807")];
        create_topic_with(&setup.servers, &setup.topic(), PARTITIONS, &any_time);
        produce_at(&setup, "first", 0, now() - HOUR);
        produce_at(&setup, "future", 0, now() + FAR);
        produce_at(&setup, "end of time", 1, i64::MAX);
        produce_at(&setup, "after it", 0, now() - HOUR / 2);
        produce_at(&setup, "newest", 2, now());
        let daemon = setup.start();
        let order = ["end of time", "first", "future", "after it", "newest"];
        daemon.wait_for_messages(order.len());
        assert_eq!(stored(&daemon), order, "{broker:?}");
        daemon.kill();
        // A restart, which reads them again later, shows them in the same order.
        let daemon = setup.start();
        assert_eq!(stored(&daemon), order, "{broker:?}");
        let more: Vec<_> = (0..10).map(|i| format!("more-{i}")).collect();
        for id in &more {
            produce_at(&setup, id, 3, now());
        }
        eventually("the newer Eventos to take the place of the older", || {
            (stored(&daemon) == more).then_some(())
        });
    }
}

fn produce_at(setup: &Setup, id: &str, partition: i32, timestamp: i64) {
    let evento = format!(r#"{{"id":"{id}","tipo":"t"}}"#);
    let topic = setup.topic();
    let record = BaseRecord::<[u8], [u8]>::to(&topic).payload(evento.as_bytes());
    let record = record.partition(partition).timestamp(timestamp);
    produce(&setup.servers, [record]);
}

fn stored(daemon: &Daemon) -> Vec<String> {
    let messages: Vec<Value> = serde_json::from_str(&daemon.messages("")).expect("JSON");
    let id = |evento: &Value| evento["id"].as_str().expect("a text").to_owned();
    messages.iter().map(id).collect()
}
