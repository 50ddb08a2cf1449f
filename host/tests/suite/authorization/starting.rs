//! A daemon that starts before anything is permitted to it.

use eventos_testkit::{Broker, create_topic, eventually};

use super::{Guarded, producing::send, times_told, wait_until_lacking};

#[test]
fn with_a_wrong_password_it_says_that_it_is_not_let_in() {
    let mut guarded = Guarded::of("eventos", "wrong", &["store"]);
    guarded.setup.set("EVENTOS__KAFKA__CONNECT_RETRIES", "0");
    let (status, log) = guarded.setup.spawn().wait();
    assert_eq!(status.code(), Some(1), "{log}");
    let error = format!(
        "error: the broker at {} does not let this daemon in: ",
        guarded.setup.servers
    );
    assert!(log.contains(&error), "{log}");
    assert!(log.contains("Invalid username or password"), "{log}");
    assert!(log.contains("sasl.password"), "{log}");
}

#[test]
fn after_the_last_try_it_gives_up_and_says_what_to_grant() {
    let mut guarded = Guarded::new(&["store"]);
    guarded.setup.set("EVENTOS__KAFKA__CONNECT_RETRIES", "1");
    let (status, log) = guarded.setup.spawn().wait();
    assert_eq!(status.code(), Some(1), "{log}");
    let error = format!(
        "error: the broker denies a permission to the user of this daemon; grant it Describe on the topic {}",
        guarded.setup.topic()
    );
    assert!(log.contains(&error), "{log}");
}

/// One permission after the other, each told before it is granted.
#[test]
fn it_waits_for_each_permission_and_begins_once_it_has_all() {
    let mut guarded = Guarded::of("beginner", "secret", &["store"]);
    let (topic, letters) = (guarded.setup.topic(), guarded.setup.dead_letters());
    create_topic(&Broker::Kafka.servers(), &topic, 1);
    guarded.put("before", "t");
    let daemon = guarded.setup.spawn();
    for (operation, resource, name) in [
        ("Describe", "topic", topic.clone()),
        ("Describe", "topic", letters.clone()),
        ("Describe", "topic", guarded.output()),
        ("Create", "topic", letters),
        ("Create", "topic", guarded.output()),
        ("Read", "group", guarded.setup.name.clone()),
        ("Read", "topic", topic.clone()),
    ] {
        wait_until_lacking(&daemon, operation, resource, &name);
        assert_eq!(daemon.messages(""), "[]");
        guarded.acls.allow(operation, resource, &name);
    }
    eventually("the output to be refused", || {
        let told = "grant it Write on the topics that it produces to;";
        daemon.log().contains(told).then_some(())
    });
    assert_eq!(daemon.messages(""), "[]");
    // Each is told once, however often it is tried.
    assert_eq!(times_told(&daemon), 8, "{}", daemon.log());
    let output = guarded.output();
    guarded.acls.allow("Write", "topic", &output);
    daemon.wait_for_messages(1);
    daemon.wait_until_ready();
    guarded.wait_for_ids(&output, &["before"]);
    guarded.acls.allow("Write", "topic", &topic);
    eventually("sending to be permitted", || {
        (send(&daemon, "after").0 == 200).then_some(())
    });
    daemon.wait_for_messages(2);
}
