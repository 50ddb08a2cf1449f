//! The settings of topics, which can be described and altered, and of the broker, which can only be described.

pub mod alter;
mod broker;
pub mod describe;

use kafka_protocol::error::ResponseError;

use super::{NODE, Refused};

/// Kinds of resources (`ConfigResource.Type`).
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// Where a value comes from (`ConfigEntry.ConfigSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// It was set for this topic.
    Topic = 1,
    /// The broker was started with it.
    Static = 4,
    /// Nobody set it.
    Default = 5,
}

/// Whether a broker's resource is this node or, by an empty name, all nodes.
fn check_node(name: &str) -> Result<(), Refused> {
    let reason = match name.parse::<i32>() {
        _ if name.is_empty() => return Ok(()),
        Ok(id) if id == NODE.0 => return Ok(()),
        Ok(id) => format!("there is no node {id}, only {}", NODE.0),
        Err(_) => format!("{name:?} is no node: a node's name is its number"),
    };
    Err((ResponseError::InvalidRequest, reason))
}

/// For a kind of resource that Kafka may have and this broker has not.
fn unknown_kind(kind: i8) -> Refused {
    let reason = format!("resources of type {kind} have no settings here, only topics and brokers");
    (ResponseError::InvalidRequest, reason)
}

#[cfg(test)]
mod tests;
