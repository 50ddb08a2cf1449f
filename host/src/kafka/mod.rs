//! Kafka: the only module that names rdkafka. It consumes, reads, produces and creates topics, and knows
//! nothing of handlers, the store or HTTP.

mod admin;
mod client;
mod config;
mod consumer;
mod producer;
mod reader;

pub use admin::{ensure_topics, wait_for_broker};
pub use client::Error;
pub use config::{AutoOffsetReset, Config};
pub use consumer::{Consumed, Consumer, Notice};
pub use producer::{Delivered, Delivery, ProduceError, Producer};
pub use reader::Reader;
