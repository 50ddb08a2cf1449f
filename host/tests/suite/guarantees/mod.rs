//! `delivery.guarantee`: no Evento is lost, whatever happens. With exactly once, a consumer that reads only committed records sees
//! each effect once.

mod effects;
mod fencing;
mod points;
mod truncated;

use std::collections::{BTreeMap, BTreeSet};

use eventos_testkit::{
    Broker, Daemon, Setup, create_topic, create_topic_with, free_port, produce, read_topic,
    wait_until_committed, wait_until_settled,
};
use rdkafka::{Message, producer::BaseRecord};
use serde_json::Value;

use crate::EVENTOS;

/// Partitions of each topic.
const PARTITIONS: i32 = 4;

const AT_LEAST_ONCE: &str = "at_least_once";
const EXACTLY_ONCE: &str = "exactly_once";

/// A group whose handler emits, rejects or passes each Evento, on a broker that outlives its members.
struct Group {
    /// Daemon with the built-in broker, if the group uses that.
    host: Option<(Setup, Daemon)>,
    guarantee: &'static str,
    servers: String,
    name: String,
    topic: String,
    dead_letters: String,
}

impl Group {
    /// Creates the topics of a group. The topic that the handler emits to has these settings.
    fn new(broker: Broker, guarantee: &'static str, settings: &[(&str, &str)]) -> Self {
        let host = (broker == Broker::Embedded).then(|| {
            let mut setup = Setup::new(EVENTOS, broker, &["store"], "");
            // A test may start it again at the same address.
            setup.broker_listen = format!("127.0.0.1:{}", free_port());
            let daemon = setup.start();
            (setup, daemon)
        });
        let servers = match &host {
            Some((_, daemon)) => daemon.broker().to_owned(),
            None => broker.servers(),
        };
        let names = Setup::new(EVENTOS, broker, &[], "");
        let group = Self {
            host,
            guarantee,
            servers,
            topic: names.topic(),
            dead_letters: names.dead_letter_topic(),
            name: names.name,
        };
        for topic in [&group.topic, &group.output(), &group.dead_letters] {
            create_topic(&group.servers, topic, PARTITIONS);
        }
        create_topic_with(&group.servers, &group.emitted(), PARTITIONS, settings);
        group
    }

    fn output(&self) -> String {
        format!("{}-output", self.name)
    }

    fn emitted(&self) -> String {
        format!("{}-emitted", self.name)
    }

    /// Prepares a member with this static id and these librdkafka properties.
    fn member(&self, name: &str, properties: &str) -> Setup {
        let (output, emitted) = (self.output(), self.emitted());
        let more = format!(
            "[output]\ntopic = {output:?}\n\
             [handler.probe]\nproduce = [{emitted:?}]\nconfig = {{ emit_to = {emitted:?} }}\n\
             [kafka.properties]\n\"group.instance.id\" = {name:?}\n{properties}\n"
        );
        let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], &more);
        setup.servers.clone_from(&self.servers);
        setup.name.clone_from(&self.name);
        setup.set_env("EVENTOS__DELIVERY__GUARANTEE", self.guarantee);
        setup
    }

    /// Produces the Eventos with these numbers to all partitions in turn. The number determines the [`Fate`].
    fn send(&self, numbers: std::ops::Range<usize>) {
        let values: Vec<_> = numbers.clone().map(evento).collect();
        let records = values.iter().zip(numbers).map(|(value, number)| {
            let partition = i32::try_from(number).expect("small") % PARTITIONS;
            let record = BaseRecord::<[u8], [u8]>::to(&self.topic);
            record.partition(partition).payload(value.as_bytes())
        });
        produce(&self.servers, records);
    }

    /// Waits until all records are handled and committed, and no transaction is open.
    fn wait_until_done(&self) {
        wait_until_committed(&self.servers, &self.name, &self.topic);
        for topic in [self.output(), self.emitted(), self.dead_letters.clone()] {
            wait_until_settled(&self.servers, &topic);
        }
    }

    /// Checks that each of the first `sent` Eventos has had its effects, in the order of its partition. With exactly once, no effect may
    /// be there twice.
    fn check(&self, sent: usize) {
        let of = |fates: &[Fate]| -> Vec<usize> {
            (0..sent).filter(|n| fates.contains(&fate(*n))).collect()
        };
        let passed = [Fate::Passes, Fate::Emits];
        assert_eq!(self.ordered(&self.output()), by_partition(of(&passed)));
        // The key of an emitted record chooses its partition, so the order is not checked.
        assert_eq!(self.all(&self.emitted()), of(&[Fate::Emits]));
        assert_eq!(self.all(&self.dead_letters), of(&[Fate::Dies]));
    }

    /// Returns the sorted numbers of the Eventos in a topic, without repetitions if the guarantee allows them.
    fn all(&self, topic: &str) -> Vec<usize> {
        let mut all = sorted(self.numbers(topic));
        if self.guarantee == AT_LEAST_ONCE {
            all.dedup();
        }
        all
    }

    /// Returns the numbers of the Eventos in each partition of a topic, in order, without repetitions if the guarantee allows them.
    fn ordered(&self, topic: &str) -> Vec<Vec<usize>> {
        let mut all = self.numbers(topic);
        if self.guarantee == AT_LEAST_ONCE {
            for partition in &mut all {
                let mut seen = BTreeSet::new();
                partition.retain(|number| seen.insert(*number));
            }
        }
        all
    }

    /// Returns the numbers of the Eventos in each partition of a topic, in order.
    fn numbers(&self, topic: &str) -> Vec<Vec<usize>> {
        let mut numbers = BTreeMap::<i32, Vec<usize>>::new();
        for record in read_topic(&self.servers, topic) {
            let value = record.payload().expect("a value");
            let value: Value = serde_json::from_slice(value).expect("JSON");
            let number = value["id"].as_u64().expect("a number") as usize;
            numbers.entry(record.partition()).or_default().push(number);
        }
        numbers.into_values().collect()
    }
}

/// What the handler does with an Evento.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Passes,
    /// It emits a copy, and passes the Evento.
    Emits,
    /// It rejects the Evento, which becomes a dead letter.
    Dies,
}

fn fate(number: usize) -> Fate {
    match number % 7 {
        3 => Fate::Dies,
        1 | 5 => Fate::Emits,
        _ => Fate::Passes,
    }
}

fn evento(number: usize) -> String {
    let tipo = match fate(number) {
        Fate::Passes => "good",
        Fate::Emits => "emit",
        Fate::Dies => "reject",
    };
    format!(r#"{{"id":{number},"tipo":"{tipo}"}}"#)
}

fn by_partition(numbers: Vec<usize>) -> Vec<Vec<usize>> {
    let of = |partition| {
        let all = numbers.iter().copied();
        all.filter(|n| n % PARTITIONS as usize == partition)
            .collect()
    };
    (0..PARTITIONS as usize).map(of).collect()
}

fn sorted(numbers: Vec<Vec<usize>>) -> Vec<usize> {
    let mut all = numbers.concat();
    all.sort_unstable();
    all
}
