//! The additional permissions of `guarantee = "exactly_once"`.

use eventos_testkit::{Broker, committed_offsets, eventually};

use super::{Guarded, count_reports, wait_for_missing_permission};

#[test]
fn a_refused_transaction_waits_and_happens_once() {
    let mut guarded = Guarded::new(&["probe", "store"]);
    guarded.create_topics();
    guarded.permit_all();
    guarded
        .setup
        .add_config("\"group.instance.id\" = \"one\"\n");
    let guarantee = "EVENTOS__DELIVERY__GUARANTEE";
    guarded.setup.set_env(guarantee, "exactly_once");
    let (emitted, output) = (guarded.emitted(), guarded.output());
    let daemon = guarded.setup.start_listening();
    let ids = format!("{}-one-", guarded.setup.name);
    wait_for_missing_permission(
        &daemon,
        "Write and Describe",
        "transactional id",
        &format!("{ids}0"),
    );
    guarded.acls.allow_prefix("Write", "transactional id", &ids);
    daemon.wait_until_ready();
    guarded.produce("0", "good");
    guarded.wait_for_ids(&output, &["0"]);

    // If the topic may be described, the transaction is the first to be refused.
    for topic in [&emitted, &output] {
        guarded.acls.allow("Describe", "topic", topic);
    }
    guarded.acls.revoke("Write", "topic", &output);
    guarded.produce("1", "good");
    wait_for_missing_permission(&daemon, "Write", "topic", &output);
    guarded.acls.allow("Write", "topic", &output);
    guarded.wait_for_ids(&output, &["0", "1"]);

    guarded.acls.revoke("Write", "topic", &emitted);
    guarded.produce("2", "emit");
    let both = format!("topics {emitted}, {output}");
    eventually(&both, || daemon.log().contains(&both).then_some(()));
    guarded.acls.allow("Write", "topic", &emitted);
    guarded.wait_for_ids(&output, &["0", "1", "2"]);
    guarded.wait_for_ids(&emitted, &["2"]);
    eventually("all records to be committed", || {
        let (group, topic) = (&guarded.setup.name, guarded.setup.topic());
        (committed_offsets(&Broker::Kafka.servers(), group, &topic) == [3]).then_some(())
    });
    daemon.wait_until_ready();
    assert_eq!(guarded.ids(&guarded.setup.dead_letter_topic()), [""; 0]);
    assert!(count_reports(&daemon) <= 6, "{}", daemon.log());
}
