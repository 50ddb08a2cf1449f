//! The entry points of the fuzz targets in `broker/fuzz`: any bytes as a request, as a produced batch, and as the files of a
//! partition or of the coordinators. The unit tests run each of them for a moment, too.

mod journals;
mod records;
mod recovery;
mod request;
#[cfg(test)]
mod tests;

pub use self::{
    journals::journals,
    records::{batch, decompress},
    recovery::recovery,
    request::request,
};

use crate::record::batch::{HEADER_LEN, LENGTH_PREFIX, MAGIC, write_crc};

/// Turns bytes into a batch with a valid length, format and CRC.
fn valid_batch(bytes: &[u8]) -> Vec<u8> {
    let mut batch = bytes.to_vec();
    batch.resize(batch.len().max(HEADER_LEN), 0);
    let length = (batch.len() - LENGTH_PREFIX) as i32;
    batch[8..12].copy_from_slice(&length.to_be_bytes());
    batch[16] = MAGIC as u8;
    write_crc(&mut batch);
    batch
}
