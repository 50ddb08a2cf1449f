//! A topic limits how far the timestamp of a record may be from the clock of the broker.

use super::*;

const HOUR: i64 = 3_600_000;

#[test]
fn a_record_with_an_unwanted_timestamp_is_dead_and_stops_nothing_with_the_broker_inside() {
    a_record_with_an_unwanted_timestamp_is_dead_and_stops_nothing(Broker::Embedded);
}

#[test]
fn a_record_with_an_unwanted_timestamp_is_dead_and_stops_nothing_with_kafka() {
    a_record_with_an_unwanted_timestamp_is_dead_and_stops_nothing(Broker::Kafka);
}

fn a_record_with_an_unwanted_timestamp_is_dead_and_stops_nothing(broker: Broker) {
    for guarantee in GUARANTEES {
        let recent = [("message.timestamp.before.max.ms", "3600000")];
        let topics = Topics {
            output: &recent,
            emitted: &recent,
            ..Topics::default()
        };
        let mut fixture = Fixture::new(broker, guarantee, &topics);
        let yesterday = now() - 24 * HOUR;
        let is_old = |id| [10, 11, 30].contains(&id);
        // What the handler emits has a timestamp of years ago.
        let samples = (0..60).map(|id| match id {
            id if is_old(id) => Sample::new(id, "good").at(yesterday),
            20 => Sample::new(id, "emit"),
            _ => Sample::new(id, "good"),
        });
        fixture.produce(0, &samples.collect::<Vec<_>>());
        let all_old = (100..110).map(|id| Sample::new(id, "good").at(yesterday));
        fixture.produce(1, &all_old.collect::<Vec<_>>());
        let daemon = fixture.start("");
        let output = fixture.ids(&daemon, &fixture.output());
        let expected = (0..60).filter(|id| !is_old(*id));
        assert_eq!(
            output,
            expected.collect::<Vec<_>>(),
            "{broker:?} {guarantee}"
        );
        assert!(fixture.ids(&daemon, &fixture.emitted()).is_empty());
        let mut dead: Vec<_> = fixture.letters(&daemon).iter().map(id).collect();
        dead.sort_unstable();
        let expected = (0..60)
            .filter(|id| is_old(*id) || *id == 20)
            .chain(100..110);
        assert_eq!(dead, expected.collect::<Vec<_>>(), "{broker:?} {guarantee}");
        daemon.get("/readyz").assert_status(200);
    }
}

#[test]
fn a_dead_letter_with_an_unwanted_timestamp_goes_without_it_with_the_broker_inside() {
    a_dead_letter_with_an_unwanted_timestamp_goes_without_it(Broker::Embedded);
}

#[test]
fn a_dead_letter_with_an_unwanted_timestamp_goes_without_it_with_kafka() {
    a_dead_letter_with_an_unwanted_timestamp_goes_without_it(Broker::Kafka);
}

fn a_dead_letter_with_an_unwanted_timestamp_goes_without_it(broker: Broker) {
    for guarantee in GUARANTEES {
        let topics = Topics {
            eventos: &[("message.timestamp.after.max.ms", "86400000")],
            // Kafka's default since version 4.
            dead_letters: &[("message.timestamp.after.max.ms", "3600000")],
            output: &[("message.timestamp.after.max.ms", "86400000")],
            ..Topics::default()
        };
        let mut fixture = Fixture::new(broker, guarantee, &topics);
        let ahead = now() + 2 * HOUR;
        let samples = [
            Sample::new(0, "reject"),
            Sample::new(1, "reject").at(ahead),
            Sample::new(2, "good").at(ahead),
            Sample::new(3, "reject"),
        ];
        fixture.produce(3, &samples);
        let daemon = fixture.start("");
        assert_eq!(fixture.ids(&daemon, &fixture.output()), [2]);
        let letters = fixture.letters(&daemon);
        let ids: Vec<_> = letters.iter().map(id).collect();
        assert_eq!(ids, [0, 1, 3], "{broker:?} {guarantee}");
        assert_eq!(letters[1].header("eventos.timestamp"), ahead.to_string());
        assert!(letters[1].timestamp.expect("a time") < ahead - HOUR);
        for letter in [&letters[0], &letters[2]] {
            let mut names = letter.headers.iter().map(|(name, _)| name);
            assert!(names.all(|name| name != "eventos.timestamp"), "{letter:?}");
        }
        daemon.get("/readyz").assert_status(200);

        // The record has its own timestamp wherever it is shown, and when it is redriven.
        let shown = daemon
            .get(&format!("/dead-letters?since={}", ahead - 1))
            .json();
        assert_eq!(shown[0]["timestamp"], ahead, "{shown}");
        assert_eq!(shown.as_array().map(Vec::len), Some(1));
        daemon.post("/dead-letters/redrive?id=1").assert_status(200);
        let records = read_topic(&fixture.servers, &fixture.setup.topic());
        let again = ReceivedRecord::from(records.last().expect("a record").clone());
        assert_eq!((id(&again), again.timestamp), (1, Some(ahead)));
    }
}
