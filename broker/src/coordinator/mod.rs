//! The coordinators.

pub mod group;
pub mod offsets;
pub mod transaction;
