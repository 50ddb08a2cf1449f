//! A broker that refuses: what lacks a permission is told, nothing is lost, and it goes on once that is granted.

mod acls;
mod consuming;
mod producing;
mod starting;
mod transactions;

use eventos_testkit::{
    Broker, Daemon, Received, Setup, create_topic, eventually, produce, provided, read_topic,
};
use rdkafka::producer::BaseRecord;
use serde_json::{Value, json};

use self::acls::Acls;
use crate::EVENTOS;

/// A daemon that logs in as a user to whom nothing is permitted yet.
struct Guarded {
    setup: Setup,
    acls: Acls,
}

impl Guarded {
    /// With these handlers. Its topics are there, of one partition each.
    fn new(handlers: &[&str]) -> Self {
        Self::of("eventos", "secret", handlers)
    }

    /// A test whose user may do nothing of what others are permitted has one of its own.
    fn of(user: &str, password: &str, handlers: &[&str]) -> Self {
        let mut setup = Setup::new(EVENTOS, Broker::Kafka, handlers, "");
        setup.servers = provided("EVENTOS_TEST_KAFKA_GUARDED");
        let (output, emitted) = (topic(&setup, "output"), topic(&setup, "emitted"));
        setup.configure(&format!(
            "[output]\ntopic = {output:?}\n\
             [handler.probe]\nproduce = [{emitted:?}]\nconfig = {{ emit_to = {emitted:?} }}\n\
             [kafka.properties]\n\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = \"PLAIN\"\n\
             \"sasl.username\" = {user:?}\n\"sasl.password\" = {password:?}\n\
             \"session.timeout.ms\" = \"6000\"\n"
        ));
        setup.set("EVENTOS__KAFKA__CONNECT_RETRY_DELAY", "100ms");
        setup.set("EVENTOS__KAFKA__CONNECT_RETRIES", "1000");
        Self {
            setup,
            acls: Acls::new(&Broker::Kafka.servers(), user),
        }
    }

    fn create_topics(&self) {
        let Self { setup, .. } = self;
        for name in [
            setup.topic(),
            setup.dead_letters(),
            self.output(),
            self.emitted(),
        ] {
            create_topic(&Broker::Kafka.servers(), &name, 1);
        }
    }

    /// All that a daemon needs.
    fn permit_all(&mut self) {
        for topic in [self.setup.dead_letters(), self.output(), self.emitted()] {
            self.acls.allow("Write", "topic", &topic);
        }
        let (topic, group) = (self.setup.topic(), self.setup.name.clone());
        self.acls.allow("Write", "topic", &topic);
        self.acls.allow("Read", "topic", &topic);
        self.acls.allow("Read", "group", &group);
    }

    fn output(&self) -> String {
        topic(&self.setup, "output")
    }

    fn emitted(&self) -> String {
        topic(&self.setup, "emitted")
    }

    /// Puts an Evento into the topic, past the daemon.
    fn put(&self, id: &str, tipo: &str) {
        let (topic, value) = (self.setup.topic(), evento(id, tipo).to_string());
        let record = BaseRecord::<[u8], [u8]>::to(&topic).payload(value.as_bytes());
        produce(&Broker::Kafka.servers(), [record]);
    }

    /// The ids of what is in a topic.
    fn ids(&self, topic: &str) -> Vec<String> {
        let records = read_topic(&Broker::Kafka.servers(), topic).into_iter();
        let ids = records.map(|record| {
            let value: Value = serde_json::from_str(Received::from(record).text()).expect("JSON");
            value["id"].as_str().expect("a text").to_owned()
        });
        ids.collect()
    }

    /// Waits until these ids, and no others, are in a topic.
    fn wait_for_ids(&self, topic: &str, ids: &[&str]) {
        eventually(&format!("{ids:?} in {topic}"), || {
            let there = self.ids(topic);
            assert!(there.len() <= ids.len(), "{there:?}");
            (there == ids).then_some(())
        });
    }
}

fn topic(setup: &Setup, name: &str) -> String {
    format!("{}-{name}", setup.name)
}

fn evento(id: &str, tipo: &str) -> Value {
    json!({"id": id, "tipo": tipo})
}

/// Waits until it is told everywhere that this permission is lacking: operation, kind and name of the resource.
fn wait_until_lacking(daemon: &Daemon, operation: &str, resource: &str, name: &str) {
    let permission = format!("{operation} on the {resource} {name}");
    eventually(&permission, || {
        let ready = daemon.client().get(daemon.url("/readyz")).send();
        let ready: Value = ready.expect("answered").json().expect("JSON");
        let pending = ready["pending"].as_array()?.contains(&"permission".into());
        let shown = pending && ready["detail"].as_str()?.contains(&permission);
        let logged = daemon.log().contains(&format!("grant it {permission};"));
        (shown && logged && daemon.sum("eventos_refused") >= 1.0).then_some(())
    });
}

/// How often the log told that something is to be granted.
fn times_told(daemon: &Daemon) -> usize {
    daemon.log().matches("; grant it ").count()
}
