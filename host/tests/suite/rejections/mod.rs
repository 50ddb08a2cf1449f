//! What the topics that a daemon produces to reject: only the record that is to blame is affected, no other one, and nothing
//! overtakes it. The settings of the topics differ from those that the daemon would create them with.

mod batches;
mod sizes;
mod timestamps;
mod waiting;

use eventos_testkit::{
    Broker, Daemon, ReceivedRecord, Setup, create_topic_with, produce, read_topic,
    wait_until_settled,
};
use rdkafka::producer::BaseRecord;

use crate::EVENTOS;

const GUARANTEES: [&str; 2] = ["at_least_once", "exactly_once"];

/// Partitions of the topic of Eventos.
const PARTITIONS: i32 = 4;

/// The settings of a topic that keeps the last record of each key, and rejects records without one.
const COMPACTED: [(&str, &str); 1] = [("cleanup.policy", "compact")];

/// Settings of the topics that a daemon uses.
#[derive(Default)]
struct Topics<'s> {
    eventos: &'s [(&'s str, &'s str)],
    output: &'s [(&'s str, &'s str)],
    emitted: &'s [(&'s str, &'s str)],
    dead_letters: &'s [(&'s str, &'s str)],
}

/// The setup of a daemon with the handler `probe` and an output topic of one partition, whose topics exist.
struct Fixture {
    setup: Setup,
    servers: String,
    /// Daemon with the built-in broker, if that is used.
    _host: Option<(Setup, Daemon)>,
}

impl Fixture {
    fn new(broker: Broker, guarantee: &str, topics: &Topics<'_>) -> Self {
        let host = (broker == Broker::Embedded).then(|| {
            let setup = Setup::new(EVENTOS, broker, &["store"], "");
            let daemon = setup.start();
            (setup, daemon)
        });
        let servers = match &host {
            Some((_, daemon)) => daemon.broker().to_owned(),
            None => broker.servers(),
        };
        let mut setup = Setup::new(EVENTOS, broker, &["probe", "store"], "");
        setup.servers.clone_from(&servers);
        setup.set_env("EVENTOS__DELIVERY__GUARANTEE", guarantee);
        let fixture = Self {
            setup,
            servers,
            _host: host,
        };
        for (topic, partitions, settings) in [
            (fixture.setup.topic(), PARTITIONS, topics.eventos),
            (fixture.output(), 1, topics.output),
            (fixture.emitted(), 1, topics.emitted),
            (fixture.setup.dead_letter_topic(), 1, topics.dead_letters),
        ] {
            create_topic_with(&fixture.servers, &topic, partitions, settings);
        }
        fixture
    }

    /// Starts the daemon, with more configuration.
    fn start(&mut self, config: &str) -> Daemon {
        let (output, emitted) = (self.output(), self.emitted());
        self.setup.add_config(&format!(
            "[output]\ntopic = {output:?}\n\
             [handler.probe]\nproduce = [{emitted:?}]\nconfig = {{ emit_to = {emitted:?} }}\n{config}\n"
        ));
        self.setup.start()
    }

    fn output(&self) -> String {
        format!("{}-output", self.setup.name)
    }

    fn emitted(&self) -> String {
        format!("{}-emitted", self.setup.name)
    }

    /// Produces Eventos to a partition. The tipo of each says what the handler does with it.
    fn produce(&self, partition: i32, eventos: &[Sample]) {
        let topic = self.setup.topic();
        let values: Vec<_> = eventos.iter().map(Sample::value).collect();
        let records = eventos.iter().zip(&values).map(|(evento, value)| {
            let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(partition);
            let record = record.payload(value.as_bytes());
            let record = match evento.timestamp {
                None => record,
                Some(timestamp) => record.timestamp(timestamp),
            };
            if evento.is_keyed {
                record.key(b"k")
            } else {
                record
            }
        });
        produce(&self.servers, records);
    }

    /// Waits until everything is handled, and returns the ids in a topic, in their order.
    fn ids(&self, daemon: &Daemon, topic: &str) -> Vec<usize> {
        self.setup.wait_until_committed(daemon);
        wait_until_settled(&self.servers, topic);
        let records = read_topic(&self.servers, topic).into_iter();
        records.map(|record| id(&record.into())).collect()
    }

    /// Reads the dead letters in the order of their topic.
    fn letters(&self, daemon: &Daemon) -> Vec<ReceivedRecord> {
        self.setup.wait_until_committed(daemon);
        let topic = self.setup.dead_letter_topic();
        wait_until_settled(&self.servers, &topic);
        let letters = read_topic(&self.servers, &topic).into_iter();
        letters.map(ReceivedRecord::from).collect()
    }
}

/// An Evento to produce.
#[derive(Clone, Debug)]
struct Sample {
    id: usize,
    tipo: &'static str,
    is_keyed: bool,
    /// The present if there is none.
    timestamp: Option<i64>,
    /// About how many bytes it has.
    size: usize,
}

impl Sample {
    fn new(id: usize, tipo: &'static str) -> Self {
        Self {
            id,
            tipo,
            is_keyed: true,
            timestamp: None,
            size: 0,
        }
    }

    fn without_key(self) -> Self {
        let is_keyed = false;
        Self { is_keyed, ..self }
    }

    fn at(self, timestamp: i64) -> Self {
        let timestamp = Some(timestamp);
        Self { timestamp, ..self }
    }

    fn of_size(self, size: usize) -> Self {
        Self { size, ..self }
    }

    fn value(&self) -> String {
        let Self { id, tipo, size, .. } = self;
        let pad = "x".repeat(*size);
        format!(r#"{{"id":{id},"tipo":"{tipo}","pad":"{pad}"}}"#)
    }
}

/// Returns the id of an Evento, or of that in a dead letter.
fn id(record: &ReceivedRecord) -> usize {
    let value: serde_json::Value = serde_json::from_str(record.text()).expect("JSON");
    value["id"].as_u64().expect("a number") as usize
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("a timestamp")
}
