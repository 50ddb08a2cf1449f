//! A steady load of Eventos. The handler `probe` emits, rejects or panics at each one, as its `tipo` says. The Eventos of each partition
//! are numbered.

use std::time::Duration;

use eventos_testkit::{
    Background, DEADLINE, StopFlag, create_topic, create_topic_with, wait::pause,
};
use rdkafka::{
    ClientConfig,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use crate::PARTITIONS;

/// Time between two Eventos, for about 500 per second.
const PACE: Duration = Duration::from_millis(2);

/// Names of the group and the topics of a run.
pub(crate) struct Names {
    /// Value of [`eventos_testkit::Setup::name`]; the names of the topics begin with it.
    pub group: String,
    /// Topic that the daemons consume.
    pub eventos: String,
    pub dead_letters: String,
    /// Topic that the handler emits to.
    pub emitted: String,
    /// Topic of the records that leave the handler chain. It accepts only small batches, and no record without a key.
    pub output: String,
}

/// The topics in which an Evento leaves a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A record in the topic that the handler emits to, and one in the output topic.
    Emitted,
    /// A dead letter. What the handler emitted before it failed does not count.
    DeadLettered,
    /// A record in the output topic.
    Passed,
    /// A dead letter, because the Evento has no key, and the output topic rejects it.
    Rejected,
}

/// Every fate.
pub(crate) const ALL_FATES: [Fate; 4] = [
    Fate::Emitted,
    Fate::DeadLettered,
    Fate::Passed,
    Fate::Rejected,
];

/// An acknowledged Evento.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    pub partition: i32,
    /// Number of the Evento within its partition, in the order of sending.
    pub number: u32,
    pub fate: Fate,
}

impl Names {
    /// Chooses unique names and creates the topics.
    pub(crate) fn create(servers: &str) -> Self {
        let group = format!("chaos-{:08x}", fastrand::u32(..));
        let names = Self {
            eventos: format!("{group}-eventos"),
            dead_letters: format!("{group}-dead"),
            emitted: format!("{group}-out"),
            output: format!("{group}-passed"),
            group,
        };
        create_topic(servers, &names.eventos, PARTITIONS);
        create_topic(servers, &names.dead_letters, 3);
        create_topic(servers, &names.emitted, 3);
        let settings = [
            ("max.message.bytes", "2000"),
            ("cleanup.policy", "compact"),
            // Every record is read afterwards.
            ("min.compaction.lag.ms", "86400000"),
        ];
        create_topic_with(servers, &names.output, 3, &settings);
        names
    }
}

/// Starts a thread that sends Eventos, after the `before` Eventos that were sent already, until it is stopped. Then it waits until all are
/// acknowledged, and returns them.
pub(crate) fn start(servers: &str, names: &Names, before: usize) -> Background<Vec<Sent>> {
    let topic = names.eventos.clone();
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", servers)
        // However long the broker is down, each Evento is in the topic once, and in order.
        .set("enable.idempotence", "true")
        .set("message.timeout.ms", "0")
        .set("reconnect.backoff.max.ms", "500")
        .create()
        .expect("a client");
    let before = u32::try_from(before).expect("fewer than 4 billion");
    Background::start(move |stop| send(&producer, &topic, before, stop))
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    before: u32,
    stop: &StopFlag,
) -> Vec<Sent> {
    let mut sent = Vec::new();
    for i in before.. {
        if stop.is_set() {
            break;
        }
        let partition = (i % PARTITIONS.unsigned_abs()).cast_signed();
        let number = i / PARTITIONS.unsigned_abs();
        let (tipo, fate) = match i % 100 {
            13 => ("emit-reject", Fate::DeadLettered),
            57 => ("emit-panic", Fate::DeadLettered),
            20..25 => ("good", Fate::Passed),
            77 => ("good", Fate::Rejected),
            _ => ("emit", Fate::Emitted),
        };
        let evento = format!(r#"{{"id":"{partition}-{number}","tipo":"{tipo}"}}"#);
        // The key makes all dead letters of a partition go to one partition, so that their order can be checked.
        let key = partition.to_be_bytes();
        let mut record = BaseRecord::to(topic).partition(partition).key(&key[..]);
        if fate == Fate::Rejected {
            record.key = None;
        }
        let queued = producer.send(record.payload(evento.as_bytes()));
        queued
            .map_err(|(error, _)| error)
            .expect("the record is queued");
        sent.push(Sent {
            partition,
            number,
            fate,
        });
        pause(PACE);
    }
    producer.flush(DEADLINE).expect("all are acknowledged");
    sent
}
