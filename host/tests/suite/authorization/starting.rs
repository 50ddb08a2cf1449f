//! A daemon that starts without permissions.

use eventos_testkit::{Broker, create_topic, eventually};

use super::{Guarded, count_reports, producing::send, wait_for_missing_permission};

#[test]
fn with_a_wrong_password_it_says_that_it_is_not_let_in() {
    let mut guarded = Guarded::with_user("eventos", "wrong", &["store"]);
    guarded
        .setup
        .set_env("EVENTOS__KAFKA__CONNECT_RETRIES", "0");
    let (status, log) = guarded.setup.start_listening().wait_for_exit();
    assert_eq!(status.code(), Some(1), "{log}");
    let error = format!(
        "error: the broker at {} rejected the connection: ",
        guarded.setup.servers
    );
    assert!(log.contains(&error), "{log}");
    assert!(log.contains("Invalid username or password"), "{log}");
    assert!(log.contains("sasl.password"), "{log}");
}

/// librdkafka says once why it is not let in, and then only that no broker is there.
#[test]
fn after_many_tries_it_still_says_why_it_was_not_let_in() {
    for (mechanism, password, reason) in [
        ("PLAIN", "wrong", "Invalid username or password"),
        ("SCRAM-SHA-256", "secret", "SCRAM-SHA-256"),
    ] {
        let mut guarded = Guarded::with_login(mechanism, "eventos", password, &["store"]);
        for (variable, value) in [("CONNECT_RETRIES", "2"), ("CONNECT_RETRY_DELAY", "1s")] {
            let variable = format!("EVENTOS__KAFKA__{variable}");
            guarded.setup.set_env(&variable, value);
        }
        let (status, log) = guarded.setup.start_listening().wait_for_exit();
        assert_eq!(status.code(), Some(1), "{log}");
        let error = log.lines().find(|line| line.starts_with("error: "));
        let error = error.expect("an error");
        assert!(error.contains("rejected the connection: "), "{error}");
        assert!(error.contains(reason), "{error}");
    }
}

#[test]
fn after_the_last_try_it_gives_up_and_says_what_to_grant() {
    let mut guarded = Guarded::new(&["store"]);
    guarded
        .setup
        .set_env("EVENTOS__KAFKA__CONNECT_RETRIES", "1");
    let (status, log) = guarded.setup.start_listening().wait_for_exit();
    assert_eq!(status.code(), Some(1), "{log}");
    let error = format!(
        "error: the broker denies a permission to the user of this daemon; grant it Describe on the topic {}",
        guarded.setup.topic()
    );
    assert!(log.contains(&error), "{log}");
}

/// Each permission is granted only after the daemon has reported it as missing.
#[test]
fn it_waits_for_each_permission_and_begins_once_it_has_all() {
    let mut guarded = Guarded::with_user("beginner", "secret", &["store"]);
    let (topic, letters) = (guarded.setup.topic(), guarded.setup.dead_letter_topic());
    create_topic(&Broker::Kafka.servers(), &topic, 1);
    guarded.produce("before", "t");
    let daemon = guarded.setup.start_listening();
    for (operation, resource, name) in [
        ("Describe", "topic", topic.clone()),
        ("Describe", "topic", letters.clone()),
        ("Describe", "topic", guarded.output()),
        ("Create", "topic", letters),
        ("Create", "topic", guarded.output()),
        ("Read", "group", guarded.setup.name.clone()),
        ("Read", "topic", topic.clone()),
    ] {
        wait_for_missing_permission(&daemon, operation, resource, &name);
        assert_eq!(daemon.messages(""), "[]");
        guarded.acls.allow(operation, resource, &name);
    }
    eventually("the output to be refused", || {
        let line = "grant it Write on the topics that it produces to;";
        daemon.log().contains(line).then_some(())
    });
    assert_eq!(daemon.messages(""), "[]");
    // Each missing permission is logged once, however often the daemon tries again.
    assert_eq!(count_reports(&daemon), 8, "{}", daemon.log());
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
