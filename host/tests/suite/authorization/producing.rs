//! Topics that the daemon has no permission to write to.

use eventos_testkit::{
    Broker, Daemon, ReceivedRecord, alter_topic, committed_offsets, create_topic, delete_topic,
    eventually, read_topic,
};
use serde_json::Value;

use super::{Guarded, count_reports, evento, wait_for_missing_permission};

/// Sends an Evento. Returns the status and the body.
pub(super) fn send(daemon: &Daemon, id: &str) -> (u16, Value) {
    let evento = evento(id, "t").to_string();
    let answer = daemon.post_body("/send", "application/json", evento);
    (answer.status.as_u16(), answer.json())
}

#[test]
fn what_is_sent_is_refused_for_good_and_taken_once_it_is_permitted() {
    let mut guarded = Guarded::new(&["store"]);
    guarded.create_topics();
    guarded.permit_all();
    let daemon = guarded.setup.start();
    assert_eq!(send(&daemon, "before").0, 200);
    let topic = guarded.setup.topic();
    guarded.acls.revoke("Write", "topic", &topic);
    let (status, problem) = eventually("sending to be refused", || {
        let sent = send(&daemon, "refused");
        (sent.0 != 200).then_some(sent)
    });
    // A status of 503 would ask the client to try again, which does not help here.
    assert_eq!(status, 502, "{problem}");
    assert_eq!(problem["type"], "urn:eventos:problem:broker-refused");
    assert!(
        problem["detail"]
            .as_str()
            .expect("a text")
            .contains("denies this daemon Write on its topic; grant it"),
        "{problem}"
    );
    wait_for_missing_permission(&daemon, "Write", "topic", &topic);
    guarded.acls.allow("Write", "topic", &topic);
    eventually("sending to be permitted", || {
        (send(&daemon, "after").0 == 200).then_some(())
    });
    daemon.wait_until_ready();
}

/// If a producer may not write to any topic, librdkafka reports a fatal error, and the producer cannot be used again.
#[test]
fn a_daemon_that_may_write_nowhere_goes_on_once_it_may() {
    let mut guarded = Guarded::with_user("reader", "secret", &["store"]);
    guarded.create_topics();
    let (topic, group) = (guarded.setup.topic(), guarded.setup.name.clone());
    for name in [guarded.output(), guarded.setup.dead_letter_topic()] {
        guarded.acls.allow("Describe", "topic", &name);
    }
    guarded.acls.allow("Read", "topic", &topic);
    guarded.acls.allow("Read", "group", &group);
    guarded.produce("one", "t");
    let daemon = guarded.setup.start_listening();
    eventually("the partition to wait", || {
        let line = "grant it Write on the topics that it produces to; its partition waits";
        daemon.log().contains(line).then_some(())
    });
    let (status, problem) = send(&daemon, "refused");
    assert_eq!(status, 502, "{problem}");
    assert_eq!(
        committed_offsets(&Broker::Kafka.servers(), &group, &topic),
        [0]
    );
    guarded.permit_all();
    guarded.wait_for_ids(&guarded.output(), &["one"]);
    assert_eq!(guarded.ids(&guarded.setup.dead_letter_topic()), [""; 0]);
    eventually("sending to be permitted", || {
        (send(&daemon, "two").0 == 200).then_some(())
    });
    daemon.wait_until_ready();
}

/// A record that may not be emitted or sent to the output topic becomes a dead letter. If the dead-letter topic may not be written to
/// either, the partition waits.
#[test]
fn what_may_not_be_written_is_dead_and_waits_for_the_dead_letters() {
    let mut guarded = Guarded::new(&["probe", "store"]);
    guarded.create_topics();
    guarded.permit_all();
    let (emitted, output, letters) = (
        guarded.emitted(),
        guarded.output(),
        guarded.setup.dead_letter_topic(),
    );
    for topic in [&emitted, &letters] {
        guarded.acls.allow("Describe", "topic", topic);
        guarded.acls.revoke("Write", "topic", topic);
    }
    let daemon = guarded.setup.start();
    guarded.produce("0", "good");
    guarded.produce("1", "emit");
    guarded.produce("2", "good");
    wait_for_missing_permission(&daemon, "Write", "topic", &letters);
    let committed = |topic: &str| {
        let servers = Broker::Kafka.servers();
        committed_offsets(&servers, &guarded.setup.name, topic)
    };
    assert!(committed(&guarded.setup.topic())[0] <= 1);
    assert!(count_reports(&daemon) <= 3, "{}", daemon.log());

    guarded.acls.allow("Write", "topic", &letters);
    guarded.wait_for_ids(&letters, &["1"]);
    guarded.wait_for_ids(&output, &["0", "1", "2"]);
    let letter = read_topic(&Broker::Kafka.servers(), &letters).remove(0);
    let letter = ReceivedRecord::from(letter);
    assert_eq!(letter.header("__connect.errors.stage"), "emit");
    assert_eq!(daemon.metric_sum("eventos_dead_letters_total"), 1.0);

    // The permission to write dead letters does not include the permission to read them.
    let text = daemon.get("/dead-letters").assert_status(502).text.clone();
    assert!(
        text.contains(&format!("Read on the topic {letters}")),
        "{text}"
    );

    guarded.acls.allow("Write", "topic", &emitted);
    guarded.acls.revoke("Write", "topic", &output);
    eventually("the output to be refused", || {
        guarded.produce("3", "good");
        let letters = read_topic(&Broker::Kafka.servers(), &letters);
        let last = ReceivedRecord::from(letters.into_iter().next_back()?);
        (last.header("__connect.errors.stage") == "output").then_some(())
    });
    wait_for_missing_permission(&daemon, "Write", "topic", &output);
    guarded.acls.allow("Write", "topic", &output);
    guarded.produce("4", "emit");
    guarded.wait_for_ids(&emitted, &["4"]);
}

/// Without the permission to describe the settings of a topic, a daemon learns how large a batch may be from a rejection.
#[test]
fn every_evento_that_fits_is_sent_although_the_limit_of_the_topic_is_secret() {
    let mut guarded = Guarded::new(&["store"]);
    guarded.create_topics();
    guarded.permit_all();
    let servers = Broker::Kafka.servers();
    for topic in [guarded.setup.topic(), guarded.output()] {
        alter_topic(&servers, &topic, &[("max.message.bytes", "100000")]);
    }
    let daemon = guarded.setup.start();
    let evento = |i: usize| format!(r#"{{"id":"{i}","tipo":"t","pad":"{}"}}"#, "x".repeat(1_000));
    daemon.send_all(&(0..3_000).map(evento).collect::<Vec<_>>());
    let expected: Vec<_> = (0..3_000).map(|i| i.to_string()).collect();
    eventually("the output", || {
        (guarded.ids(&guarded.output()).len() == 3_000).then_some(())
    });
    let consumed = guarded.ids(&guarded.setup.topic());
    assert_eq!(
        guarded.ids(&guarded.output()),
        consumed,
        "the output has the order of the input"
    );
    let mut sent = consumed;
    sent.sort_by_key(|id| id.parse::<usize>().expect("a number"));
    assert_eq!(sent, expected);
    assert_eq!(guarded.ids(&guarded.setup.dead_letter_topic()), [""; 0]);
}

#[test]
fn a_topic_that_is_missing_and_may_not_be_created_is_named_until_it_exists() {
    let mut guarded = Guarded::new(&["probe", "store"]);
    guarded.create_topics();
    guarded.permit_all();
    let daemon = guarded.setup.start();
    let (servers, letters) = (Broker::Kafka.servers(), guarded.setup.dead_letter_topic());
    // The permissions are those of the name, so they also hold for the next topic with it.
    guarded.acls.allow("Read", "topic", &letters);
    delete_topic(&servers, &letters);
    guarded.produce("0", "reject");
    eventually("the topic at /readyz", || {
        let ready = daemon.get("/readyz").json();
        let is_pending = ready["pending"].as_array()?.contains(&"topic".into());
        (is_pending && ready["detail"].as_str()?.contains(&letters)).then_some(())
    });
    let log = daemon.wait_for_log("records wait for a topic");
    let mut lines = log.lines();
    assert!(lines.any(|line| line.contains("records wait for a topic") && line.contains(&letters)));
    let answer = daemon.get("/dead-letters");
    assert!(answer.problem(503, "topic-missing").contains(&letters));

    create_topic(&servers, &letters, 1);
    guarded.wait_for_ids(&letters, &["0"]);
    daemon.wait_until_ready();
    assert_eq!(
        daemon.get("/dead-letters").assert_status(200).json()[0]["value"],
        evento("0", "reject").to_string()
    );
}
