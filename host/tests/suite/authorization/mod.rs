//! Missing permissions: the daemon names each one, loses no record, and goes on once the permission is granted.

mod acls;
mod consuming;
mod encrypted;
mod producing;
mod starting;
mod transactions;

use eventos_testkit::{
    Broker, Daemon, ReceivedRecord, Setup, create_topic, eventually, produce, provided, read_topic,
};
use rdkafka::producer::BaseRecord;
use serde_json::{Value, json};

use self::acls::Acls;
use crate::EVENTOS;

/// The setup of a daemon that logs in as a user without permissions, and the ACLs of that user.
struct Guarded {
    setup: Setup,
    acls: Acls,
}

impl Guarded {
    /// Prepares a daemon with these handlers and the usual user.
    fn new(handlers: &[&str]) -> Self {
        Self::with_user("eventos", "secret", handlers)
    }

    /// Prepares a daemon with these handlers and this user. A test that checks every single permission has a user of its own.
    fn with_user(user: &str, password: &str, handlers: &[&str]) -> Self {
        Self::with_login("PLAIN", user, password, handlers)
    }

    /// Prepares a daemon that logs in with this SASL mechanism.
    fn with_login(mechanism: &str, user: &str, password: &str, handlers: &[&str]) -> Self {
        let mut setup = Setup::new(EVENTOS, Broker::Kafka, handlers, "");
        setup.servers = provided("EVENTOS_TEST_KAFKA_GUARDED");
        let (output, emitted) = (topic(&setup, "output"), topic(&setup, "emitted"));
        setup.add_config(&format!(
            "[output]\ntopic = {output:?}\n\
             [handler.probe]\nproduce = [{emitted:?}]\nconfig = {{ emit_to = {emitted:?} }}\n\
             [kafka.properties]\n\"security.protocol\" = \"SASL_PLAINTEXT\"\n\"sasl.mechanism\" = {mechanism:?}\n\
             \"sasl.username\" = {user:?}\n\"sasl.password\" = {password:?}\n\
             \"session.timeout.ms\" = \"6000\"\n"
        ));
        setup.set_env("EVENTOS__KAFKA__CONNECT_RETRY_DELAY", "100ms");
        setup.set_env("EVENTOS__KAFKA__CONNECT_RETRIES", "1000");
        Self {
            setup,
            acls: Acls::new(&Broker::Kafka.servers(), user),
        }
    }

    /// Creates all topics of the daemon, with one partition each.
    fn create_topics(&self) {
        for name in [
            self.setup.topic(),
            self.setup.dead_letter_topic(),
            self.output(),
            self.emitted(),
        ] {
            create_topic(&Broker::Kafka.servers(), &name, 1);
        }
    }

    /// Permits everything that a daemon needs.
    fn permit_all(&mut self) {
        for topic in [
            self.setup.dead_letter_topic(),
            self.output(),
            self.emitted(),
        ] {
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

    /// Produces an Evento to the topic without the daemon.
    fn produce(&self, id: &str, tipo: &str) {
        let (topic, value) = (self.setup.topic(), evento(id, tipo).to_string());
        let record = BaseRecord::<[u8], [u8]>::to(&topic).payload(value.as_bytes());
        produce(&Broker::Kafka.servers(), [record]);
    }

    /// Returns the ids of the Eventos in a topic.
    fn ids(&self, topic: &str) -> Vec<String> {
        let records = read_topic(&Broker::Kafka.servers(), topic).into_iter();
        let ids = records.map(|record| {
            let value: Value =
                serde_json::from_str(ReceivedRecord::from(record).text()).expect("JSON");
            value["id"].as_str().expect("a text").to_owned()
        });
        ids.collect()
    }

    /// Waits until a topic has exactly these ids.
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

/// Waits until `/readyz`, the log and the metrics report that a permission is missing: an operation on a resource of this kind and
/// name.
fn wait_for_missing_permission(daemon: &Daemon, operation: &str, resource: &str, name: &str) {
    let permission = format!("{operation} on the {resource} {name}");
    eventually(&permission, || {
        let ready = daemon.get("/readyz").json();
        let pending = ready["pending"].as_array()?.contains(&"permission".into());
        let is_shown = pending && ready["detail"].as_str()?.contains(&permission);
        let is_logged = daemon.log().contains(&format!("grant it {permission};"));
        (is_shown && is_logged && daemon.metric_sum("eventos_refused") >= 1.0).then_some(())
    });
}

/// Returns how many log lines ask for a permission.
fn count_reports(daemon: &Daemon) -> usize {
    daemon.log().matches("; grant it ").count()
}
