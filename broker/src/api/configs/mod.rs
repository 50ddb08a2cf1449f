//! The settings of topics, which clients can describe and alter, and those of the broker, which they can only describe.

pub(crate) mod alter;
mod broker;
pub(crate) mod describe;
pub(crate) mod list;

use kafka_protocol::error::ResponseError;

use super::{NODE, Refusal};

/// Types of resources (`ConfigResource.Type`).
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

/// The origin of a value (`ConfigEntry.ConfigSource`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConfigSource {
    /// The setting of the topic.
    Topic = 1,
    /// The configuration that the broker was started with.
    Static = 4,
    /// The default.
    Default = 5,
}

/// Checks that the name of a broker resource is this node or, if it is empty, all nodes.
fn check_node(name: &str) -> Result<(), Refusal> {
    let reason = match name.parse::<i32>() {
        _ if name.is_empty() => return Ok(()),
        Ok(id) if id == NODE.0 => return Ok(()),
        Ok(id) => format!("unknown node {id}; the only node is {}", NODE.0),
        Err(_) => format!("invalid node {name:?}: use the number of the node"),
    };
    Err((ResponseError::InvalidRequest, reason))
}

/// Returns the refusal of a type of resource that this broker does not have.
fn unknown_kind(kind: i8) -> Refusal {
    let reason =
        format!("unsupported resource type {kind}: only topics (2) and brokers (4) have settings");
    (ResponseError::InvalidRequest, reason)
}

#[cfg(test)]
mod tests;
