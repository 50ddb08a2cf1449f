//! Instances that join, leave and are killed under load: no record is lost, and the order within each partition is kept.

mod load;
mod protocols;

use eventos_testkit::{
    Background, Broker, Daemon, Setup, create_topic, eventually, wait_until_committed,
    wait_until_settled,
};

use crate::EVENTOS;

/// Partitions of the topic that is consumed, and of the output topic.
const PARTITIONS: i32 = 12;

/// A group on a broker that outlives all of its members.
struct Group {
    /// Daemon with the built-in broker, if the group uses that.
    _broker: Option<Daemon>,
    servers: String,
    /// Names of the topics and of the group. It is not started.
    setup: Setup,
    guarantee: &'static str,
    /// librdkafka properties of every member, a line each.
    properties: String,
}

impl Group {
    /// Creates the topics of a group with at least once.
    fn new(broker: Broker, properties: &str) -> Self {
        Self::with_guarantee(broker, "at_least_once", properties)
    }

    fn with_guarantee(broker: Broker, guarantee: &'static str, properties: &str) -> Self {
        let host = (broker == Broker::Embedded)
            .then(|| Setup::new(EVENTOS, broker, &["store"], "").start());
        let servers = match &host {
            Some(host) => host.broker().to_owned(),
            None => broker.servers(),
        };
        let setup = Setup::new(EVENTOS, broker, &["store"], "");
        for topic in [setup.topic(), output(&setup)] {
            create_topic(&servers, &topic, PARTITIONS);
        }
        Self {
            _broker: host,
            servers,
            setup,
            guarantee,
            properties: properties.to_owned(),
        }
    }

    /// Starts a member and waits until it is ready. It has these properties in addition to those of the group.
    fn join(&self, properties: &str) -> (Setup, Daemon) {
        let output = output(&self.setup);
        let more = format!(
            "[output]\ntopic = {output:?}\n[kafka.properties]\n{}\n{properties}\n",
            self.properties
        );
        let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], &more);
        setup.servers.clone_from(&self.servers);
        setup.name.clone_from(&self.setup.name);
        setup.set_env("EVENTOS__DELIVERY__GUARANTEE", self.guarantee);
        let daemon = setup.start();
        (setup, daemon)
    }

    fn start_load(&self) -> Background<Vec<i64>> {
        load::start(&self.servers, &self.setup.topic())
    }

    /// Waits until all records that were produced are handled and committed.
    fn wait_until_done(&self) {
        wait_until_committed(&self.servers, &self.setup.name, &self.setup.topic());
    }

    /// Checks the order of the output so far. Returns the number of records that are there again.
    fn count_repeated(&self) -> usize {
        load::count_repeated(&self.servers, &output(&self.setup))
    }

    /// Checks that the output is complete and in order. Returns the number of records that are there again.
    fn check_complete(&self, sent: &[i64]) -> usize {
        wait_until_settled(&self.servers, &output(&self.setup));
        load::check_complete(&self.servers, &output(&self.setup), sent)
    }
}

fn output(setup: &Setup) -> String {
    format!("{}-output", setup.name)
}

/// Returns the number of partitions that are assigned to a daemon.
fn assigned_partitions(daemon: &Daemon) -> usize {
    let metrics = daemon.metrics();
    let one_per_partition = |line: &&str| line.starts_with("eventos_restore_records{");
    metrics.lines().filter(one_per_partition).count()
}

/// Waits until every partition is assigned to one of the daemons, each daemon has at least one, and all are ready.
fn wait_until_shared(daemons: &[&Daemon]) {
    eventually("the partitions to be shared out", || {
        let counts: Vec<_> = daemons.iter().map(|one| assigned_partitions(one)).collect();
        let all = counts.iter().sum::<usize>() == PARTITIONS as usize;
        (all && counts.iter().all(|&count| count > 0)).then_some(())
    });
    daemons.iter().for_each(|daemon| daemon.wait_until_ready());
}
