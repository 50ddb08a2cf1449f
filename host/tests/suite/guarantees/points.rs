//! At every point between one effect and the next the daemon is killed, and the broker is: the named points of
//! `pipeline/failure_point.rs`.

use eventos_testkit::Broker;

use super::{AT_LEAST_ONCE, EXACTLY_ONCE, Group};

/// Where a batch can be struck, in this order.
const POINTS: [(&str, &[&str]); 2] = [
    (
        AT_LEAST_ONCE,
        &[
            "handled",
            "produced",
            "acknowledged",
            "shown",
            "offset-stored",
        ],
    ),
    (
        EXACTLY_ONCE,
        &[
            "handled",
            "shown",
            "begun",
            "produced",
            "acknowledged",
            "offset-sent",
            "committed",
            "offset-stored",
        ],
    ),
];

/// Eventos between one blow and the next.
const A_BLOW: usize = 400;

#[test]
fn killed_at_any_point_it_loses_nothing_with_the_broker_inside() {
    killed_at_any_point_it_loses_nothing(Broker::Embedded);
}

#[test]
fn killed_at_any_point_it_loses_nothing_with_kafka() {
    killed_at_any_point_it_loses_nothing(Broker::Kafka);
}

fn killed_at_any_point_it_loses_nothing(broker: Broker) {
    for (guarantee, points) in POINTS {
        let group = Group::new(broker, guarantee, &[]);
        let mut sent = 0;
        for point in points {
            // The first batch passes, the second does not.
            let mut setup = group.member("one", "");
            setup.set("FAILPOINTS", &format!("{point}=1*off->return"));
            let daemon = setup.start();
            group.send(sent..sent + A_BLOW / 2);
            group.send(sent + A_BLOW / 2..sent + A_BLOW);
            sent += A_BLOW;
            let (status, _) = daemon.wait();
            assert!(!status.success() && status.code().is_none(), "{status}");
            let again = group.member("one", "").start();
            group.wait_until_done();
            group.judge(sent);
            assert!(again.stop().success());
        }
    }
}

/// Kafka is killed at random in the chaos.
#[test]
fn with_its_broker_killed_at_any_point_it_loses_nothing() {
    for (guarantee, points) in POINTS {
        let mut group = Group::new(Broker::Embedded, guarantee, &[]);
        let mut sent = 0;
        for point in points {
            let mut setup = group.member("one", "");
            // It says so the first time, and the next is held up until the broker is gone.
            setup.set(
                "FAILPOINTS",
                &format!("{point}=1*print(struck)->1*sleep(1500)->off"),
            );
            let daemon = setup.start();
            group.send(sent..sent + A_BLOW / 2);
            daemon.wait_for_log("struck", "");
            group.send(sent + A_BLOW / 2..sent + A_BLOW);
            sent += A_BLOW;
            let (host, broker) = group.host.take().expect("the broker inside");
            broker.kill();
            let broker = host.start();
            group.host = Some((host, broker));
            group.wait_until_done();
            group.judge(sent);
            assert!(daemon.stop().success());
        }
    }
}
