//! What a topic may be called, and how many partitions it may have.

use super::{MAX_PARTITIONS, TopicError};

/// Kafka's limit of a topic's name.
const MAX_NAME: usize = 249;

/// Kafka's rules for names (`Topic.validate`). They also make every name a safe file name.
pub fn check_name(name: &str) -> Result<(), TopicError> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let rule = if name.is_empty() {
        "is empty"
    } else if name == "." || name == ".." {
        "is no name"
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

/// Whether Kafka takes two names for one in its metrics (`Topic.hasCollision`).
pub fn collides(one: &str, other: &str) -> bool {
    one.replace('.', "_") == other.replace('.', "_")
}

/// Whether a topic may have that many, `min` at least.
pub fn check_partitions(name: &str, asked: i32, min: u32) -> Result<u32, TopicError> {
    let possible = u32::try_from(asked).ok();
    possible
        .filter(|asked| (min..=MAX_PARTITIONS).contains(asked))
        .ok_or_else(|| TopicError::Partitions {
            name: name.to_owned(),
            asked,
            min,
        })
}
