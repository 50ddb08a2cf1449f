//! A daemon that loses the permission to read its topic or to use its group.

use super::{Guarded, wait_for_missing_permission};

#[test]
fn what_may_not_be_read_any_more_is_read_once_it_may() {
    let mut guarded = Guarded::new(&["store"]);
    guarded.create_topics();
    guarded.permit_all();
    let daemon = guarded.setup.start();
    guarded.produce("0", "t");
    daemon.wait_for_messages(1);
    let (topic, group) = (guarded.setup.topic(), guarded.setup.name.clone());
    for (resource, name, stored) in [("topic", topic, 1), ("group", group, 2)] {
        guarded.acls.revoke("Read", resource, &name);
        // The next fetch or commit is refused. The daemon may still read this record, but cannot commit it.
        guarded.produce("1", "t");
        wait_for_missing_permission(&daemon, "Read", resource, &name);
        guarded.acls.allow("Read", resource, &name);
        daemon.wait_for_messages(stored + 1);
        daemon.wait_until_ready();
    }
}
