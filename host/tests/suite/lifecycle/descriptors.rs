//! Few file descriptors: the daemon takes as many as it may, and refuses what needs more.

use eventos_testkit::{Daemon, create_topic};
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    error::RDKafkaErrorCode,
};

use super::*;

fn create(daemon: &Daemon, topic: &str, partitions: i32) -> Result<(), RDKafkaErrorCode> {
    let admin: AdminClient<_> = ClientConfig::new()
        .set("bootstrap.servers", daemon.broker())
        .create()
        .expect("a client");
    let new = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let created = runtime.block_on(admin.create_topics([&new], &AdminOptions::new()));
    let created = created.expect("the broker answers").remove(0);
    created.map(|_| ()).map_err(|(_, code)| code)
}

/// Prepares a daemon with these limits of open files.
fn limited(soft: u32, hard: u32) -> Setup {
    let mut setup = setup(Broker::Embedded);
    let limits = format!("ulimit -Sn {soft}; ulimit -Hn {hard}; exec \"$@\"");
    setup.wrapper = ["bash", "-c", &limits, "bash"].map(str::to_owned).to_vec();
    setup
}

#[test]
fn a_topic_that_needs_too_many_open_files_is_refused_and_nothing_suffers() {
    let setup = limited(512, 1_024);
    let daemon = setup.start();
    for attempt in 0..3 {
        let refused = create(&daemon, &format!("large-{attempt}"), 1_000);
        assert_eq!(refused, Err(RDKafkaErrorCode::PolicyViolation));
    }
    // More than the soft limit would allow at the start.
    create(&daemon, "fits", 400).expect("it fits");
    assert_eq!(
        create(&daemon, "more", 400),
        Err(RDKafkaErrorCode::PolicyViolation)
    );
    daemon.send(r#"{"id":1,"tipo":"t"}"#);
    create_topic(daemon.broker(), "small", 4);
    let folders = setup
        .dir
        .path()
        .join("broker/logs")
        .read_dir()
        .expect("a folder");
    let is_refused = |name: &str| name.starts_with("large") || name.starts_with("more");
    let names = folders.map(|entry| entry.expect("an entry").file_name());
    assert!(
        !names
            .into_iter()
            .any(|name| is_refused(&name.to_string_lossy()))
    );
    daemon.stop();

    // The topics that are there need more files than this.
    let mut setup = setup;
    setup.wrapper = limited(256, 256).wrapper;
    let log = setup.expect_start_failure();
    assert!(log.contains("ulimit -n"), "{log}");
}

#[test]
fn topics_of_a_thousand_partitions_leave_room_for_everything_else() {
    let setup = limited(1_024, 4_096);
    let daemon = setup.start();
    create(&daemon, "first", 1_000).expect("it fits");
    create(&daemon, "second", 1_000).expect("it fits");
    daemon.send(r#"{"id":1,"tipo":"t"}"#);
    daemon.wait_for_messages(1);
}
