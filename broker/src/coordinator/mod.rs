//! The coordinators of consumer groups and of transactions, and the committed offsets.

pub(crate) mod group;
pub(crate) mod offsets;
pub(crate) mod transaction;
