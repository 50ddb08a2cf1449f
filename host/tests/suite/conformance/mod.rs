//! One suite for two brokers: each check runs on the real Apache Kafka and on the broker inside, in the same run, and
//! answers what it observed. Both have to have shown the same, and what the check expects. Where Kafka shows something
//! else than we expected, Kafka is right.
//!
//! What a client of librdkafka can do is done through it; the rest goes through [`raw`]. Where the two brokers differ
//! and are meant to, the check is in [`differences`], with both answers; the README has the same list for readers.

mod administration;
mod batch;
mod compression;
mod describing;
mod differences;
mod fetching;
mod groups;
mod idempotence;
mod member;
mod offsets;
mod producing;
pub mod records;
mod settings;
mod subject;
mod time;
mod transaction_calls;
mod transactions;
mod transactor;

use std::{fmt::Debug, thread};

use subject::Subject;

/// What one check showed on either broker.
struct Observed<T> {
    kafka: T,
    inside: T,
}

/// Runs a check on both brokers at the same time.
fn on_both<T: Send>(check: impl Fn(&Subject) -> T + Sync) -> Observed<T> {
    // The names are those in the message of a panic.
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    thread::scope(|scope| {
        let kafka = named("Apache Kafka").spawn_scoped(scope, || check(&Subject::kafka()));
        let inside = named("the broker inside").spawn_scoped(scope, || check(&Subject::inside()));
        let [kafka, inside] = [kafka, inside].map(|run| run.expect("a thread").join());
        match (kafka, inside) {
            (Ok(kafka), Ok(inside)) => Observed { kafka, inside },
            (kafka, inside) => panic!(
                "the check came to no end on {}",
                match (kafka.is_ok(), inside.is_ok()) {
                    (true, _) => "the broker inside",
                    (_, true) => "Apache Kafka",
                    _ => "either broker",
                }
            ),
        }
    })
}

impl<T: PartialEq + Debug> Observed<T> {
    /// Both showed this.
    #[track_caller]
    fn agree_on(self, expected: T) {
        let Self { kafka, inside } = self;
        assert!(
            kafka == expected && inside == expected,
            "\n     expected: {expected:?}\n Apache Kafka: {kafka:?}\n broker inside: {inside:?}"
        );
    }

    /// They showed this, one the one and one the other.
    #[track_caller]
    fn differ(self, kafka: T, inside: T) {
        let expected = (kafka, inside);
        assert_ne!(expected.0, expected.1, "that is no difference");
        let seen = (self.kafka, self.inside);
        assert!(
            seen == expected,
            "\n Apache Kafka: {:?}\n     expected: {:?}\n broker inside: {:?}\n      expected: {:?}",
            seen.0,
            expected.0,
            seen.1,
            expected.1
        );
    }
}
