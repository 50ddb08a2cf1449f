//! Record batches.

pub mod batch;
pub mod compression;
pub mod control_batch;
pub mod records;
