//! The rules for names of topics and numbers of partitions.

use super::TopicError;
use crate::config::MAX_PARTITIONS;

/// Kafka's limit for the length of a name.
const MAX_NAME: usize = 249;

/// Checks Kafka's rules for names (`Topic.validate`), which also make every name a safe file name.
pub(crate) fn check_name(name: &str) -> Result<(), TopicError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let rule = if name.is_empty() {
        "is empty"
    } else if name == "." || name == ".." {
        "must not be \".\" or \"..\""
    } else if name.len() > MAX_NAME {
        "is longer than 249 characters"
    } else if !name.chars().all(legal) {
        "has characters other than ASCII letters, digits, '.', '_' and '-'"
    } else {
        return Ok(());
    };
    Err(TopicError::Name {
        name: name.to_owned(),
        rule,
    })
}

/// Returns whether two names collide in the metrics of Kafka (`Topic.hasCollision`).
pub(crate) fn collides(one: &str, other: &str) -> bool {
    one.replace('.', "_") == other.replace('.', "_")
}

/// Checks whether a topic may have the requested number of partitions, which must be at least `min`.
pub(crate) fn check_partitions(name: &str, requested: i32, min: u32) -> Result<u32, TopicError> {
    let possible = u32::try_from(requested).ok();
    possible
        .filter(|requested| (min..=MAX_PARTITIONS).contains(requested))
        .ok_or_else(|| TopicError::Partitions {
            name: name.to_owned(),
            requested,
            min,
        })
}
