//! The dead-letter topic over HTTP and from the command line: looked into, and sent through again.

mod again;
mod commands;
mod looking;

use eventos_testkit::{
    Broker, Daemon, Received, Setup, create_topic, eventually, headers, produce, read_topic,
};
use rdkafka::producer::BaseRecord;
use reqwest::{Method, StatusCode};
use serde_json::Value;

use crate::EVENTOS;

/// When every record of these tests was made.
const TIMESTAMP: i64 = 1_700_000_000_000;

/// A daemon whose handler `probe` rejects what is to be rejected, and whose `store` stores the rest.
struct Ran {
    setup: Setup,
    daemon: Daemon,
}

impl Ran {
    fn new(broker: Broker) -> Self {
        let setup = Setup::new(EVENTOS, broker, &["probe", "store"], "");
        if broker == Broker::Kafka {
            for topic in [setup.topic(), setup.dead_letters()] {
                create_topic(&broker.servers(), &topic, 4);
            }
        }
        let daemon = setup.start();
        Self { setup, daemon }
    }

    /// Produces values to partition 0, each a millisecond younger than the one before, and waits for the letters.
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
            assert!(there <= count, "{there} letters");
            (there == count).then_some(())
        });
    }

    fn ask(&self, method: Method, path: &str) -> (StatusCode, Value) {
        let request = self.daemon.client().request(method, self.daemon.url(path));
        let answer = request.send().expect("answered");
        let status = answer.status();
        (status, answer.json().expect("JSON"))
    }

    fn letters(&self, query: &str) -> Vec<Value> {
        let (status, letters) = self.ask(Method::GET, &format!("/dead-letters{query}"));
        assert_eq!(status, 200, "{letters}");
        letters.as_array().expect("an array").clone()
    }

    /// Sends through again, which has to be taken.
    fn redrive(&self, query: &str) -> Value {
        let path = format!("/dead-letters/redrive{query}");
        let (status, answer) = self.ask(Method::POST, &path);
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The topic of Eventos now.
    fn records(&self) -> Vec<Received> {
        let records = read_topic(self.daemon.broker(), &self.setup.topic());
        records.into_iter().map(Received::from).collect()
    }

    /// Takes the handler away that rejects.
    fn mend(&self) {
        let path = self.daemon.url("/handlers/probe");
        let answer = self.daemon.client().delete(path).send();
        assert_eq!(answer.expect("answered").status(), 204);
    }
}

fn rejected(id: &str) -> String {
    format!(r#"{{"id":"{id}","tipo":"reject"}}"#)
}

/// The three counts of an answer.
fn counts(answer: &Value) -> [u64; 3] {
    ["redriven", "skipped", "failed"].map(|name| answer[name].as_u64().expect("a count"))
}

/// The place of a letter, as the parameter `positions` has it.
fn place(letter: &Value) -> String {
    format!("{}:{}", letter["partition"], letter["offset"])
}
