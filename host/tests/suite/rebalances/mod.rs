//! Instances that come, go and are killed under load: nothing is lost, and each partition keeps its order.

mod load;
mod protocols;

use std::time::{Duration, Instant};

use eventos_testkit::{
    Broker, Daemon, Setup, committed, create_topic, ends, eventually, wait_until_settled,
};
use load::Load;

use crate::EVENTOS;

/// The partitions of the topic, and of the one that everything is sent on to.
const PARTITIONS: i32 = 12;

/// A group on a broker that outlives all of its members.
struct Group {
    /// Has the broker inside, if it is that one.
    _host: Option<Daemon>,
    servers: String,
    setup: Setup,
    guarantee: &'static str,
    properties: String,
}

impl Group {
    /// With these librdkafka properties, a line each.
    fn new(broker: Broker, properties: &str) -> Self {
        Self::with(broker, "at_least_once", properties)
    }

    fn with(broker: Broker, guarantee: &'static str, properties: &str) -> Self {
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
            _host: host,
            servers,
            setup,
            guarantee,
            properties: properties.to_owned(),
        }
    }

    /// Starts a member, with more properties of its own, and waits until it is ready.
    fn join(&self, own: &str) -> (Setup, Daemon) {
        let output = output(&self.setup);
        let more = format!(
            "[output]\ntopic = {output:?}\n[kafka.properties]\n{}\n{own}\n",
            self.properties
        );
        let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], &more);
        setup.servers.clone_from(&self.servers);
        setup.name.clone_from(&self.setup.name);
        setup.set("EVENTOS__DELIVERY__GUARANTEE", self.guarantee);
        let daemon = setup.start();
        (setup, daemon)
    }

    fn load(&self) -> Load {
        Load::start(&self.servers, &self.setup.topic())
    }

    /// Waits until all that was produced is handled and committed.
    fn wait_until_done(&self) {
        let topic = self.setup.topic();
        eventually("all of it to be committed", || {
            let ends = ends(&self.servers, &topic);
            (committed(&self.servers, &self.setup.name, &topic) == ends).then_some(())
        });
    }

    /// How many records came through more than once so far; fails if any came out of order.
    fn came_again(&self) -> usize {
        load::came_again(&self.servers, &output(&self.setup))
    }

    /// How many records came through more than once; fails if any did not, or came out of order.
    fn judge(&self, sent: &[i64]) -> usize {
        wait_until_settled(&self.servers, &output(&self.setup));
        load::judge(&self.servers, &output(&self.setup), sent)
    }
}

fn output(setup: &Setup) -> String {
    format!("{}-output", setup.name)
}

/// How many partitions it has.
fn held(daemon: &Daemon) -> usize {
    let answer = daemon.client().get(daemon.url("/metrics")).send();
    let text = answer.expect("answered").text().expect("a body");
    let of = |line: &&str| line.starts_with("eventos_restore_records{");
    text.lines().filter(of).count()
}

/// Waits until the members have all partitions between them, and each at least `least`; answers how long that took.
fn wait_until_shared(daemons: &[&Daemon], least: usize) -> Duration {
    let began = Instant::now();
    eventually("the partitions to be shared out", || {
        let held: Vec<_> = daemons.iter().map(|daemon| held(daemon)).collect();
        let all = held.iter().sum::<usize>() == PARTITIONS as usize;
        (all && held.iter().all(|&held| held >= least)).then_some(())
    });
    daemons.iter().for_each(|daemon| daemon.wait_until_ready());
    began.elapsed()
}
