//! The offset of the newest record of each key.

use std::{collections::HashMap, fs::File, io};

use sha2::{Digest, Sha256};

use super::{CleanPlan, rewrite::is_aborted};
use crate::{
    ids::Offset,
    log::batch_reader::{BatchCheck, BatchReader, NextBatch},
    record::records,
};

/// The number of keys of one cleaning, which take 40 bytes of memory each. The next cleaning continues after them.
const MAX_KEYS: usize = 2_000_000;

/// The first half of a SHA-256 digest: enough that no two keys ever collide.
type KeyDigest = [u8; 16];

/// The newest offset of each key among the records that were not cleaned yet.
#[derive(Debug)]
pub(crate) struct OffsetMap {
    offsets: HashMap<KeyDigest, Offset>,
    end: Offset,
}

impl OffsetMap {
    /// Reads the part of the log that is not cleaned yet.
    pub(crate) fn build(plan: &CleanPlan) -> io::Result<OffsetMap> {
        let mut newest = OffsetMap {
            offsets: HashMap::new(),
            end: plan.dirty_from,
        };
        for source in &plan.sources {
            if source.next <= plan.dirty_from {
                continue;
            }
            let file = File::open(source.segment.path())?;
            let mut reader = BatchReader::new(&file, 0, source.segment.size());
            while let NextBatch::Batch(header, bytes) = reader.next(Offset(0), BatchCheck::Form)? {
                if newest.offsets.len() >= MAX_KEYS {
                    newest.end = header.base_offset;
                    return Ok(newest);
                }
                if header.is_control() || is_aborted(&header, &plan.aborted) {
                    continue;
                }
                // Records that cannot be read are kept and outdate nothing.
                let Some(records) = records::decompress(&header, bytes) else {
                    continue;
                };
                for record in records::iter(&records) {
                    if let Some(key) = record.key {
                        let offset =
                            Offset(header.base_offset.0.saturating_add(record.offset_delta));
                        newest.offsets.insert(digest(key), offset);
                    }
                }
            }
            newest.end = source.next;
        }
        Ok(newest)
    }

    /// Returns the offset up to which the map covers the log. All records after it are kept.
    pub(crate) fn end(&self) -> Offset {
        self.end
    }

    /// Returns whether there is a newer record of the key.
    pub(crate) fn outdates(&self, key: &[u8], offset: Offset) -> bool {
        let newest = self.offsets.get(&digest(key));
        newest.is_some_and(|newest| *newest > offset)
    }
}

fn digest(key: &[u8]) -> KeyDigest {
    let whole = Sha256::digest(key);
    let mut half = KeyDigest::default();
    half.copy_from_slice(&whole[..16]);
    half
}
