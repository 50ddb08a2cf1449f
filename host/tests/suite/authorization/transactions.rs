//! `guarantee = "exactly_once"` takes more permissions.

use eventos_testkit::{Broker, committed, eventually};

use super::{Guarded, times_told, wait_until_lacking};

#[test]
fn a_refused_transaction_waits_and_happens_once() {
    let mut guarded = Guarded::new(&["probe", "store"]);
    guarded.create_topics();
    guarded.permit_all();
    guarded.setup.configure("\"group.instance.id\" = \"one\"\n");
    let guarantee = "EVENTOS__DELIVERY__GUARANTEE";
    guarded.setup.set(guarantee, "exactly_once");
    let (emitted, output) = (guarded.emitted(), guarded.output());
    let daemon = guarded.setup.spawn();
    let ids = format!("{}-one-", guarded.setup.name);
    wait_until_lacking(
        &daemon,
        "Write and Describe",
        "transactional id",
        &format!("{ids}0"),
    );
    guarded.acls.allow_all("Write", "transactional id", &ids);
    daemon.wait_until_ready();
    guarded.put("0", "good");
    guarded.wait_for_ids(&output, &["0"]);

    // What may be described is found out to be refused only in the transaction.
    for topic in [&emitted, &output] {
        guarded.acls.allow("Describe", "topic", topic);
    }
    guarded.acls.revoke("Write", "topic", &output);
    guarded.put("1", "good");
    wait_until_lacking(&daemon, "Write", "topic", &output);
    guarded.acls.allow("Write", "topic", &output);
    guarded.wait_for_ids(&output, &["0", "1"]);

    guarded.acls.revoke("Write", "topic", &emitted);
    guarded.put("2", "emit");
    let both = format!("topics {emitted}, {output}");
    eventually(&both, || daemon.log().contains(&both).then_some(()));
    guarded.acls.allow("Write", "topic", &emitted);
    guarded.wait_for_ids(&output, &["0", "1", "2"]);
    guarded.wait_for_ids(&emitted, &["2"]);
    eventually("all to be committed", || {
        let (group, topic) = (&guarded.setup.name, guarded.setup.topic());
        (committed(&Broker::Kafka.servers(), group, &topic) == [3]).then_some(())
    });
    daemon.wait_until_ready();
    assert_eq!(guarded.ids(&guarded.setup.dead_letters()), [""; 0]);
    assert!(times_told(&daemon) <= 6, "{}", daemon.log());
}
