//! Through the front door: a real socket, a real `.wasm`, a real broker. One binary, so that it
//! links once; each module is a suite that can be run alone: `cargo xtask test SUITE::`.
//!
//! Run by `cargo xtask test`, which starts an Apache Kafka, installs the clients and builds the
//! handlers that these tests need. What is missing is a failure that says so, never a skip.

mod attack;
mod authorization;
mod clients;
mod command_line;
mod consuming;
mod dead_letters;
mod guarantees;
mod handlers;
mod http;
mod lifecycle;
mod main_job;
mod output;
mod peers;
mod rebalances;
mod redriving;
mod rejections;
mod replaying;
mod restoring;
mod sending;

/// The daemon.
const EVENTOS: &str = env!("CARGO_BIN_EXE_eventos");
