//! Hands out producer ids, none twice: not after a kill either.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use crate::Error;
use crate::ids::ProducerId;
use crate::storage::{read_if_exists, write_whole};

/// Ids reserved with one write of the file; what is left of a block is skipped at a restart.
const BLOCK: i64 = 1000;

/// The counter, in the file `producer-ids` as a decimal: the first id that no block covers.
#[derive(Debug)]
pub struct ProducerIds {
    path: PathBuf,
    next: Mutex<Next>,
}

#[derive(Debug)]
struct Next {
    id: i64,
    reserved_to: i64,
}

impl ProducerIds {
    /// Goes on after the last reserved block.
    pub fn open(folder: &Path) -> Result<ProducerIds, Error> {
        let path = folder.join("producer-ids");
        let id = match read_if_exists(&path)? {
            None => 0,
            Some(bytes) => parse(&bytes).ok_or_else(|| Error::Damaged {
                path: path.clone(),
                position: 0,
                reason: "no number".to_owned(),
            })?,
        };
        let next = Mutex::new(Next {
            id,
            reserved_to: id,
        });
        Ok(ProducerIds { path, next })
    }

    /// An id that was never handed out before.
    ///
    /// # Errors
    ///
    /// The file cannot be written; no id is lost by that.
    pub fn take(&self) -> Result<ProducerId, Error> {
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        if next.id == next.reserved_to {
            let reserved_to = next.id + BLOCK;
            write_whole(&self.path, format!("{reserved_to}\n").as_bytes())?;
            next.reserved_to = reserved_to;
        }
        next.id += 1;
        Ok(ProducerId(next.id - 1))
    }
}

fn parse(bytes: &[u8]) -> Option<i64> {
    let number: i64 = std::str::from_utf8(bytes).ok()?.trim().parse().ok()?;
    (number >= 0).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_comes_twice() {
        let dir = tempfile::tempdir().unwrap();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 {
            let ids = ProducerIds::open(dir.path()).unwrap();
            for _ in 0..BLOCK + 1 {
                assert!(seen.insert(ids.take().unwrap()));
            }
        }
    }
}
