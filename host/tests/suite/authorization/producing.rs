//! Topics that may not be written to.

use eventos_testkit::{Broker, Daemon, Received, committed, eventually, read_topic};
use serde_json::Value;

use super::{Guarded, evento, times_told, wait_until_lacking};

/// Sends an Evento; answers the status and the body.
pub fn send(daemon: &Daemon, id: &str) -> (u16, Value) {
    let request = daemon.client().post(daemon.url("/send"));
    let answer = request.json(&evento(id, "t")).send().expect("answered");
    (answer.status().as_u16(), answer.json().expect("JSON"))
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
    // It is of no use to try again, which 503 would say.
    assert_eq!(status, 502, "{problem}");
    assert_eq!(problem["type"], "urn:eventos:problem:broker-refused");
    assert!(
        problem["detail"]
            .as_str()
            .expect("a text")
            .contains("grant it Write"),
        "{problem}"
    );
    wait_until_lacking(&daemon, "Write", "topic", &topic);
    guarded.acls.allow("Write", "topic", &topic);
    eventually("sending to be permitted", || {
        (send(&daemon, "after").0 == 200).then_some(())
    });
    daemon.wait_until_ready();
}

/// Without a permission to write to any topic librdkafka gives the producer up for good.
#[test]
fn a_daemon_that_may_write_nowhere_goes_on_once_it_may() {
    let mut guarded = Guarded::of("reader", "secret", &["store"]);
    guarded.create_topics();
    let (topic, group) = (guarded.setup.topic(), guarded.setup.name.clone());
    for name in [guarded.output(), guarded.setup.dead_letters()] {
        guarded.acls.allow("Describe", "topic", &name);
    }
    guarded.acls.allow("Read", "topic", &topic);
    guarded.acls.allow("Read", "group", &group);
    guarded.put("one", "t");
    let daemon = guarded.setup.spawn();
    eventually("the Evento to wait", || {
        let told = "grant it Write on the topics that it produces to; its partition waits";
        daemon.log().contains(told).then_some(())
    });
    let (status, problem) = send(&daemon, "refused");
    assert_eq!(status, 502, "{problem}");
    assert_eq!(committed(&Broker::Kafka.servers(), &group, &topic), [0]);
    guarded.permit_all();
    guarded.wait_for_ids(&guarded.output(), &["one"]);
    assert_eq!(guarded.ids(&guarded.setup.dead_letters()), [""; 0]);
    eventually("sending to be permitted", || {
        (send(&daemon, "two").0 == 200).then_some(())
    });
    daemon.wait_until_ready();
}

/// What may not be emitted or put out is dead, and what may not even be that waits.
#[test]
fn what_may_not_be_written_is_dead_and_waits_for_the_dead_letters() {
    let mut guarded = Guarded::new(&["probe", "store"]);
    guarded.create_topics();
    guarded.permit_all();
    let (emitted, output, letters) = (
        guarded.emitted(),
        guarded.output(),
        guarded.setup.dead_letters(),
    );
    for topic in [&emitted, &letters] {
        guarded.acls.allow("Describe", "topic", topic);
        guarded.acls.revoke("Write", "topic", topic);
    }
    let daemon = guarded.setup.start();
    guarded.put("0", "good");
    guarded.put("1", "emit");
    guarded.put("2", "good");
    wait_until_lacking(&daemon, "Write", "topic", &letters);
    let of = |topic: &str| {
        let servers = Broker::Kafka.servers();
        committed(&servers, &guarded.setup.name, topic)
    };
    assert!(of(&guarded.setup.topic())[0] <= 1);
    let told = times_told(&daemon);
    assert!(told <= 3, "{}", daemon.log());

    guarded.acls.allow("Write", "topic", &letters);
    guarded.wait_for_ids(&letters, &["1"]);
    guarded.wait_for_ids(&output, &["0", "1", "2"]);
    let letter = read_topic(&Broker::Kafka.servers(), &letters).remove(0);
    let letter = Received::from(letter);
    assert_eq!(letter.header("__connect.errors.stage"), "emit");
    assert_eq!(daemon.sum("eventos_dead_letters_total"), 1.0);

    // To write them does not mean to read them.
    let answer = daemon.client().get(daemon.url("/dead-letters")).send();
    let answer = answer.expect("answered");
    assert_eq!(answer.status(), 502);
    let text = answer.text().expect("a body");
    assert!(
        text.contains(&format!("Read on the topic {letters}")),
        "{text}"
    );

    guarded.acls.allow("Write", "topic", &emitted);
    guarded.acls.revoke("Write", "topic", &output);
    eventually("the output to be refused", || {
        guarded.put("3", "good");
        let letters = read_topic(&Broker::Kafka.servers(), &letters);
        let last = Received::from(letters.into_iter().next_back()?);
        (last.header("__connect.errors.stage") == "output").then_some(())
    });
    wait_until_lacking(&daemon, "Write", "topic", &output);
    guarded.acls.allow("Write", "topic", &output);
    guarded.put("4", "emit");
    guarded.wait_for_ids(&emitted, &["4"]);
}
