//! The daemon or its broker is killed at every point between two effects of a batch: the failpoints of the pipeline.

use eventos_testkit::Broker;

use super::{AT_LEAST_ONCE, EXACTLY_ONCE, Group};

/// The failpoints of each guarantee, in the order in which a batch reaches them.
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

/// Eventos that are sent for each kill.
const PER_KILL: usize = 400;

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
            // The second batch that reaches the point kills the daemon.
            let mut setup = group.member("one", "");
            setup.set_env("FAILPOINTS", &format!("{point}=1*off->return"));
            let daemon = setup.start();
            group.send(sent..sent + PER_KILL / 2);
            group.send(sent + PER_KILL / 2..sent + PER_KILL);
            sent += PER_KILL;
            let (status, _) = daemon.wait_for_exit();
            assert!(!status.success() && status.code().is_none(), "{status}");
            let again = group.member("one", "").start();
            group.wait_until_done();
            group.check(sent);
            assert!(again.stop().success());
        }
    }
}

/// Only the built-in broker is killed here. The chaos test kills Kafka at random.
#[test]
fn with_its_broker_killed_at_any_point_it_loses_nothing() {
    for (guarantee, points) in POINTS {
        let mut group = Group::new(Broker::Embedded, guarantee, &[]);
        let mut sent = 0;
        for point in points {
            let mut setup = group.member("one", "");
            // The first batch that reaches the point prints "struck", and the second waits there until the broker is killed.
            setup.set_env(
                "FAILPOINTS",
                &format!("{point}=1*print(struck)->1*sleep(1500)->off"),
            );
            let daemon = setup.start();
            group.send(sent..sent + PER_KILL / 2);
            daemon.wait_for_log("struck");
            group.send(sent + PER_KILL / 2..sent + PER_KILL);
            sent += PER_KILL;
            let (host, broker) = group.host.take().expect("the built-in broker");
            broker.kill();
            let broker = host.start();
            group.host = Some((host, broker));
            group.wait_until_done();
            group.check(sent);
            assert!(daemon.stop().success());
        }
    }
}
