//! A log that loses its records while a transaction with their offset is still to be committed.

use std::{fs, thread};

use eventos_testkit::eventually;

use super::*;
use crate::EVENTOS;

/// Time for which the worker holds its transaction: longer than the broker takes to restart, and the daemon to notice it.
const HELD: &str = "offset-sent=1*sleep(6000)->off";

#[test]
fn a_transaction_from_before_the_loss_does_not_commit_the_last_word() {
    let mut host = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    host.broker_listen = format!("127.0.0.1:{}", free_port());
    let broker = host.start();
    let servers = broker.broker().to_owned();
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    setup.servers.clone_from(&servers);
    setup.set_env("EVENTOS__DELIVERY__GUARANTEE", EXACTLY_ONCE);
    setup.set_env("FAILPOINTS", HELD);
    let topic = setup.topic();
    // The last partition has the same worker as the first one.
    let last = i32::try_from(thread::available_parallelism().expect("known").get()).expect("few");
    create_topic(&servers, &topic, last + 1);
    let daemon = setup.start();
    let send = |partition, count| {
        let record = |_| {
            let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(partition);
            record.payload(br#"{"id":1,"tipo":"t"}"#)
        };
        produce(&servers, (0..count).map(record));
    };
    send(0, 10);
    // With exactly once they are stored before the transaction.
    daemon.wait_for_messages(10);
    broker.kill();
    let log = host.path(&format!("broker/logs/{topic}-0"));
    fs::remove_dir_all(log).expect("the log is removed");
    let broker = host.start();
    daemon.wait_for_log("the partition ends before the offset that was reached");
    send(last, 1);
    eventually("the worker to go on", || {
        let consumed = format!("eventos_consumed_total{{partition=\"{last}\"}}");
        (daemon.metric(&consumed) == Some(1.0)).then_some(())
    });
    let committed = eventos_testkit::committed_offsets(broker.broker(), &setup.name, &topic);
    assert_eq!(committed[0], 0);
}
