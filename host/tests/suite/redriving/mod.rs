//! The dead-letter topic over HTTP and on the command line: listing dead letters, and redriving them.

mod again;
mod commands;
mod looking;

use eventos_testkit::{
    Broker, Daemon, ReceivedRecord, Setup, create_topic, eventually, headers, produce, read_topic,
};
use rdkafka::producer::BaseRecord;
use serde_json::Value;

use crate::EVENTOS;

/// Timestamp of the first record of each test.
const TIMESTAMP: i64 = 1_700_000_000_000;

/// A daemon whose handler `probe` rejects each Evento with the tipo `reject`, and whose handler `store` stores the rest.
struct Fixture {
    setup: Setup,
    daemon: Daemon,
}

impl Fixture {
    fn new(broker: Broker) -> Self {
        let setup = Setup::new(EVENTOS, broker, &["probe", "store"], "");
        if broker == Broker::Kafka {
            for topic in [setup.topic(), setup.dead_letter_topic()] {
                create_topic(&broker.servers(), &topic, 4);
            }
        }
        let daemon = setup.start();
        Self { setup, daemon }
    }

    /// Produces values to partition 0, each with a timestamp one millisecond after the one before, and waits for this number of
    /// dead letters.
    fn produce(&self, values: &[&[u8]], letters: usize) {
        let topic = self.setup.topic();
        let records = values.iter().zip(TIMESTAMP..).map(|(value, at)| {
            let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
            record.timestamp(at).payload(*value)
        });
        produce(self.daemon.broker(), records);
        self.wait_for_letters(letters);
    }

    fn wait_for_letters(&self, count: usize) {
        eventually(&format!("{count} dead letters"), || {
            let there = self.letters("?limit=1000").len();
            assert!(there <= count, "{there} dead letters");
            (there == count).then_some(())
        });
    }

    /// Lists dead letters.
    fn letters(&self, query: &str) -> Vec<Value> {
        let answer = self.daemon.get(&format!("/dead-letters{query}"));
        let letters = answer.assert_status(200).json();
        letters.as_array().expect("an array").clone()
    }

    /// Redrives dead letters. Returns the report.
    fn redrive(&self, query: &str) -> Value {
        let answer = self.daemon.post(&format!("/dead-letters/redrive{query}"));
        answer.assert_status(200).json()
    }

    /// Reads the topic of Eventos.
    fn records(&self) -> Vec<ReceivedRecord> {
        let records = read_topic(self.daemon.broker(), &self.setup.topic());
        records.into_iter().map(ReceivedRecord::from).collect()
    }

    /// Removes the handler that rejects.
    fn remove_probe(&self) {
        self.daemon.delete("/handlers/probe").assert_status(204);
    }
}

fn rejected(id: &str) -> String {
    format!(r#"{{"id":"{id}","tipo":"reject"}}"#)
}

/// Returns the three counts of a report.
fn counts(answer: &Value) -> [u64; 3] {
    ["redriven", "skipped", "failed"].map(|name| answer[name].as_u64().expect("a count"))
}

/// Returns the position of a dead letter, as the parameter `positions` takes it.
fn position(letter: &Value) -> String {
    format!("{}:{}", letter["partition"], letter["offset"])
}
