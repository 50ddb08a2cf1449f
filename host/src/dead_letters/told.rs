//! What became of letters, as the daemon writes it and the command reads it.

use serde::{Deserialize, Serialize};

use super::Position;
use crate::event::Partition;

/// What a redrive came to; `L` is what stands for a letter.
#[derive(Debug, Serialize, Deserialize)]
pub struct Answer<L> {
    /// Nothing was sent.
    pub dry_run: bool,
    /// How many were sent; in a dry run those that would be.
    pub redriven: u64,
    /// How many were left out.
    pub skipped: u64,
    /// How many the broker did not take.
    pub failed: u64,
    /// One each.
    pub letters: Vec<L>,
    /// There are more.
    pub more: bool,
    /// What to give under the same names to go on.
    pub after: String,
    /// See `after`.
    pub before: String,
}

/// What became of one letter; `P` is how a problem is told.
#[derive(Debug, Serialize, Deserialize)]
pub struct Told<P> {
    /// Where it is.
    #[serde(flatten)]
    pub letter: Position,
    /// What became of it.
    #[serde(flatten)]
    pub status: Status<P>,
}

/// What became of a letter.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum Status<P> {
    /// Its record was sent.
    Redriven {
        /// Where it is now.
        to: Position,
    },
    /// It would be.
    WouldBeRedriven {
        /// Where to.
        to_partition: Partition,
    },
    /// It was left out.
    Skipped {
        /// Why.
        why: String,
    },
    /// The broker did not take it.
    Failed {
        /// Why not.
        problem: P,
    },
}
