//! Tests of the broker through sockets, in one binary so that they link once. Each module is a suite that can be run by
//! itself: `cargo xtask test SUITE::`.
//!
//! `embedded` runs against this broker, through librdkafka and byte by byte; `conformance` runs the same checks against
//! this broker and against the Apache Kafka that `cargo xtask test` starts.

mod conformance;
mod crafted;
mod embedded;

/// The program of the broker.
const BROKER: &str = env!("CARGO_BIN_EXE_eventos-broker");
