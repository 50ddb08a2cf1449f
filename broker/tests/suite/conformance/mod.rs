//! One suite for two brokers: each check runs on the real Apache Kafka and on the built-in broker in the same run, and
//! returns what it observed. Both brokers must show the same, and what the check expects. Where Kafka shows something
//! else than the check expects, Kafka is right.
//!
//! Checks use librdkafka where they can, and [`raw`](eventos_testkit::raw) for other requests. Intended differences are
//! in [`differences`], with both results; the README of the crate lists them.

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
pub(crate) mod records;
mod settings;
mod subject;
mod time;
mod tools;
mod transaction_calls;
mod transactions;
mod transactor;
mod validating;

use std::{fmt::Debug, thread};

use subject::Subject;

/// What a check observed on either broker.
struct Observed<T> {
    kafka: T,
    built_in: T,
}

/// Runs a check on both brokers at the same time.
fn on_both<T: Send>(check: impl Fn(&Subject) -> T + Sync) -> Observed<T> {
    // Messages of panics have these names.
    let named = |name: &str| thread::Builder::new().name(name.to_owned());
    thread::scope(|scope| {
        let kafka = named("Apache Kafka").spawn_scoped(scope, || check(&Subject::kafka()));
        let built_in =
            named("the built-in broker").spawn_scoped(scope, || check(&Subject::built_in()));
        let [kafka, built_in] = [kafka, built_in].map(|run| run.expect("a thread").join());
        match (kafka, built_in) {
            (Ok(kafka), Ok(built_in)) => Observed { kafka, built_in },
            (kafka, built_in) => panic!(
                "the check came to no end on {}",
                match (kafka.is_ok(), built_in.is_ok()) {
                    (true, _) => "the built-in broker",
                    (_, true) => "Apache Kafka",
                    _ => "either broker",
                }
            ),
        }
    })
}

impl<T: PartialEq + Debug> Observed<T> {
    /// Asserts that both brokers showed this.
    #[track_caller]
    fn agree_on(self, expected: T) {
        let Self { kafka, built_in } = self;
        assert!(
            kafka == expected && built_in == expected,
            "\n     expected: {expected:?}\n Apache Kafka: {kafka:?}\nbuilt-in broker: {built_in:?}"
        );
    }

    /// Asserts what the one and the other broker showed.
    #[track_caller]
    fn differ(self, kafka: T, built_in: T) {
        let expected = (kafka, built_in);
        assert_ne!(expected.0, expected.1, "that is no difference");
        let seen = (self.kafka, self.built_in);
        assert!(
            seen == expected,
            "\n Apache Kafka: {:?}\n     expected: {:?}\nbuilt-in broker: {:?}\n      expected: {:?}",
            seen.0,
            expected.0,
            seen.1,
            expected.1
        );
    }
}
