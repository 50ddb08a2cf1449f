//! A topic that may not be read any more, and a group that may not be joined.

use super::{Guarded, wait_until_lacking};

#[test]
fn what_may_not_be_read_any_more_is_read_once_it_may() {
    let mut guarded = Guarded::new(&["store"]);
    guarded.create_topics();
    guarded.permit_all();
    let daemon = guarded.setup.start();
    guarded.put("0", "t");
    daemon.wait_for_messages(1);
    let (topic, group) = (guarded.setup.topic(), guarded.setup.name.clone());
    for (resource, name, stored) in [("topic", topic, 1), ("group", group, 2)] {
        guarded.acls.revoke("Read", resource, &name);
        // A commit or the next fetch is refused: what is sent now may still be read, and is not committed.
        guarded.put("1", "t");
        wait_until_lacking(&daemon, "Read", resource, &name);
        guarded.acls.allow("Read", resource, &name);
        daemon.wait_for_messages(stored + 1);
        daemon.wait_until_ready();
    }
}
