//! What is sent: Eventos that the handler `probe` emits, rejects or panics at, as their `tipo` says. Each is numbered
//! within its partition.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use eventos_testkit::{DEADLINE, create_topic};
use rdkafka::{
    ClientConfig,
    producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer},
};

use crate::PARTITIONS;

/// Between two Eventos: some 500 a second.
const PACE: Duration = Duration::from_millis(2);

/// The names of a run.
pub struct Topics {
    /// As [`eventos_testkit::Setup`] has it: the others begin with it.
    pub name: String,
    pub group: String,
    pub eventos: String,
    pub dead_letters: String,
    /// What the handler emits to.
    pub out: String,
}

/// What becomes of an Evento.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Emitted,
    /// It is dead-lettered, and what it emitted before that does not count.
    Dead,
    /// It leaves no trace in a topic.
    Passed,
}

/// An Evento that was acknowledged, in the order of sending within its partition.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub partition: i32,
    pub number: u32,
    pub fate: Fate,
}

pub struct Load {
    stop: Arc<AtomicBool>,
    sender: JoinHandle<Vec<Sent>>,
}

impl Topics {
    pub fn create(servers: &str) -> Self {
        let name = format!("chaos-{:08x}", fastrand::u32(..));
        let topics = Self {
            group: name.clone(),
            eventos: format!("{name}-eventos"),
            dead_letters: format!("{name}-dead"),
            out: format!("{name}-out"),
            name,
        };
        create_topic(servers, &topics.eventos, PARTITIONS);
        create_topic(servers, &topics.dead_letters, 3);
        create_topic(servers, &topics.out, 3);
        topics
    }
}

impl Load {
    pub fn start(servers: &str, topics: &Topics) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, topic) = (Arc::clone(&stop), topics.eventos.clone());
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", servers)
            // However long the broker is gone, each is there once and in order.
            .set("enable.idempotence", "true")
            .set("message.timeout.ms", "0")
            .set("reconnect.backoff.max.ms", "500")
            .create()
            .expect("a client");
        let sender = thread::spawn(move || send(&producer, &topic, &stopped));
        Self { stop, sender }
    }

    /// Stops, and waits until all of it is acknowledged.
    pub fn finish(self) -> Vec<Sent> {
        self.stop.store(true, Ordering::Relaxed);
        self.sender.join().expect("no panic")
    }
}

fn send(
    producer: &ThreadedProducer<DefaultProducerContext>,
    topic: &str,
    stop: &AtomicBool,
) -> Vec<Sent> {
    let mut sent = Vec::new();
    for i in 0_u32.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let partition = (i % PARTITIONS.unsigned_abs()).cast_signed();
        let number = i / PARTITIONS.unsigned_abs();
        let (tipo, fate) = match i % 100 {
            13 => ("emit-reject", Fate::Dead),
            57 => ("emit-panic", Fate::Dead),
            20..25 => ("good", Fate::Passed),
            _ => ("emit", Fate::Emitted),
        };
        let evento = format!(r#"{{"id":"{partition}-{number}","tipo":"{tipo}"}}"#);
        // With a key a dead letter always goes to the same partition, so that there is an order to keep.
        let key = partition.to_be_bytes();
        let record = BaseRecord::to(topic).partition(partition).key(&key[..]);
        let queued = producer.send(record.payload(evento.as_bytes()));
        queued.map_err(|(error, _)| error).expect("queued");
        sent.push(Sent {
            partition,
            number,
            fate,
        });
        thread::sleep(PACE);
    }
    producer.flush(DEADLINE).expect("acknowledged");
    sent
}
