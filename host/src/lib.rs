//! A stream processor: Kafka in, WebAssembly handlers, HTTP out.
//!
//! The program `eventos` is a short `main` around this library, so that tests and benchmarks use the same entry points.
//! `ARCHITECTURE.md` draws which module may use which, and describes the way of an Evento.
//!
//! # Where to begin
//!
//! | to learn about | read |
//! |---|---|
//! | the contract with handlers | the WIT package in `wit/`; [`plugin`], which implements it; [`event::Batch`] and [`event::HandlerOutput`], its data |
//! | writing a handler | the SDK, [`eventos_sdk`](../eventos_sdk/index.html), and `docs/handlers.md` |
//! | a record's way from Kafka to its committed offset | [`pipeline`] |
//! | HTTP endpoints | [`http`] |
//! | queries over stored Eventos | [`store`], [`peers`] |
//! | the command line and the configuration | [`cli`], [`config`] |
//! | starting and stopping a daemon | [`app`] |
//!
//! `cargo doc --workspace --no-deps --open` builds these pages together with those of the SDK and the built-in broker.

pub mod app;
pub mod audit;
pub mod cli;
pub mod config;
pub mod dead_letters;
pub mod event;
pub mod http;
mod http_client;
pub mod kafka;
pub mod peers;
pub mod pipeline;
pub mod plugin;
pub mod replay;
pub mod store;
pub mod telemetry;
pub mod tls;
