//! The built-in broker through librdkafka, and byte by byte for what no client library would send.
#![allow(clippy::unwrap_used, reason = "in a test it is the message")]

mod administration;
mod bombs;
mod child;
mod copying;
mod durability;
mod groups;
mod kills;
mod messages;
mod protocol;
mod restarts;
mod robust;
mod storage;
mod support;
mod transactions;
mod wire;
