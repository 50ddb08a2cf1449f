//! Tests of the transaction coordinator.

mod kills;
mod metadata;
