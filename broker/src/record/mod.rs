//! The record batch format: headers, control batches, the records in a batch, and compression.
//!
//! It knows neither files nor connections, and of the crate only [`ids`](crate::ids).

pub(crate) mod batch;
pub(crate) mod compression;
pub(crate) mod control_batch;
pub(crate) mod record_reader;
pub(crate) mod records;
