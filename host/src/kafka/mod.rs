//! Kafka: the only module that names rdkafka.

mod config;
mod producer;

pub use config::{AutoOffsetReset, Config};
pub use producer::{Delivered, ProduceError, Producer};
