//! Where the newest record of each key is.

use std::collections::HashMap;
use std::fs::File;
use std::io;

use sha2::{Digest, Sha256};

use super::Plan;
use super::rewrite::is_aborted;
use crate::ids::Offset;
use crate::log::batch_reader::{Check, Next, Reader};
use crate::record::records;

/// Keys of one pass, 40 bytes of memory each. What lies behind is left for the next pass.
const MAX_KEYS: usize = 2_000_000;

/// Half of a SHA-256: enough that no two keys of anybody's are ever taken for one.
type Digested = [u8; 16];

/// The newest offset of each key among the records that were not compacted yet.
#[derive(Debug)]
pub struct Newest {
    offsets: HashMap<Digested, Offset>,
    end: Offset,
}

impl Newest {
    /// Reads the part of the log that no pass has seen.
    pub fn read(plan: &Plan) -> io::Result<Newest> {
        let mut newest = Newest {
            offsets: HashMap::new(),
            end: plan.dirty_from,
        };
        for source in &plan.sources {
            if source.next <= plan.dirty_from {
                continue;
            }
            let file = File::open(source.segment.path())?;
            let mut reader = Reader::new(&file, 0, source.segment.size());
            while let Next::Batch(header, bytes) = reader.next(Offset(0), Check::Form)? {
                if newest.offsets.len() >= MAX_KEYS {
                    newest.end = header.base_offset;
                    return Ok(newest);
                }
                if header.is_control() || is_aborted(&header, &plan.aborted) {
                    continue;
                }
                // What cannot be opened is kept, and outdates nothing.
                let Ok(records) = records::unfold(&header, bytes) else {
                    continue;
                };
                for record in records::iterate(&records) {
                    if let Some(key) = record.key {
                        let offset = Offset(header.base_offset.0 + record.offset_delta);
                        newest.offsets.insert(digest(key), offset);
                    }
                }
            }
            newest.end = source.next;
        }
        Ok(newest)
    }

    /// Up to where it knows: records at or behind it are all to be kept.
    pub fn end(&self) -> Offset {
        self.end
    }

    /// Whether there is a later record of that key.
    pub fn outdates(&self, key: &[u8], offset: Offset) -> bool {
        let newest = self.offsets.get(&digest(key));
        newest.is_some_and(|newest| *newest > offset)
    }
}

fn digest(key: &[u8]) -> Digested {
    let whole = Sha256::digest(key);
    let mut half = Digested::default();
    half.copy_from_slice(&whole[..16]);
    half
}
