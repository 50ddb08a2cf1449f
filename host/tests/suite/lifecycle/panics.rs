//! A worker that panics because of a bug in the daemon: the daemon exits at once with an error, and no record is lost.

use std::time::{Duration, Instant};

use eventos_testkit::{Broker, Setup, produce};
use rdkafka::producer::BaseRecord;

use super::setup;
use crate::EVENTOS;

/// Time within which the daemon must exit: less than a shutdown waits for batches in flight (25 s), and enough for the other parts
/// to stop (5 s each).
const AT_ONCE: Duration = Duration::from_secs(20);

#[test]
fn a_worker_that_panics_ends_the_daemon_and_its_batch_is_handled_after_a_restart() {
    for guarantee in ["at_least_once", "exactly_once"] {
        let mut setup = setup(Broker::Embedded);
        setup.set_env("EVENTOS__DELIVERY__GUARANTEE", guarantee);
        setup.set_env("FAILPOINTS", "handled=1*off->1*panic(struck)->off");
        let daemon = setup.start();
        daemon.send(r#"{"id":"before","tipo":"t"}"#);
        daemon.wait_for_messages(1);
        let began = Instant::now();
        daemon.send(r#"{"id":"struck","tipo":"t"}"#);
        let (status, log) = daemon.wait_for_exit();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());
        let error = "panicked while it handled a batch: struck;";
        assert!(log.contains(error), "{log}");

        setup.set_env("FAILPOINTS", "");
        let daemon = setup.start();
        let ids = daemon.wait_for_messages(2);
        let ids: Vec<_> = ids.iter().map(|evento| evento["id"].as_str()).collect();
        assert_eq!(ids, [Some("before"), Some("struck")]);
        assert!(daemon.stop().success());
    }
}

/// The intake sends no batches of a paused partition, so it cannot notice the panic by a failed send.
#[test]
fn a_worker_that_panics_is_noticed_while_its_partition_is_paused() {
    const COUNT: u32 = 60_000;
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    // The second batch waits until the partition is paused.
    let points = "handled=1*off->1*sleep(3000)->1*print(next)->1*panic(struck)->off";
    setup.set_env("FAILPOINTS", points);
    let daemon = setup.start();
    let topic = setup.topic();
    let eventos: Vec<_> = (0..COUNT)
        .map(|id| format!(r#"{{"id":{id},"tipo":"t"}}"#))
        .collect();
    let record = |evento| {
        let to = BaseRecord::<[u8], [u8]>::to(&topic);
        to.partition(0).payload(evento)
    };
    produce(
        daemon.broker(),
        eventos.iter().map(|evento| record(evento.as_bytes())),
    );
    daemon.wait_for_log("struck");
    let began = Instant::now();
    let (status, log) = daemon.wait_for_exit();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(began.elapsed() < AT_ONCE, "{:?}", began.elapsed());

    setup.set_env("FAILPOINTS", "");
    let daemon = setup.start();
    assert_eq!(
        daemon.wait_for_messages(COUNT as usize).len(),
        COUNT as usize
    );
    assert!(daemon.stop().success());
}
