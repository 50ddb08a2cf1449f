//! Assigns producer ids, none of them twice, even across kills.

use std::path::{Path, PathBuf};

use parking_lot::Mutex;

use crate::{
    Error,
    ids::ProducerId,
    storage::{read_if_exists, write_atomically},
};

/// The number of ids that one write of the file reserves. A restart skips the unused ids of the block.
const BLOCK: i64 = 1000;

/// Assigns producer ids. The file `producer-ids` has the first id that is not reserved, as a decimal number.
#[derive(Debug)]
pub(crate) struct ProducerIdManager {
    path: PathBuf,
    next: Mutex<Next>,
}

#[derive(Debug)]
struct Next {
    id: i64,
    reserved_to: i64,
}

impl ProducerIdManager {
    /// Opens the file; the next id follows the last reserved block.
    pub(crate) fn open(folder: &Path) -> Result<ProducerIdManager, Error> {
        let path = folder.join("producer-ids");
        let id = match read_if_exists(&path)? {
            None => 0,
            Some(bytes) => parse(&bytes).ok_or_else(|| Error::Damaged {
                path: path.clone(),
                position: 0,
                reason: "expected a number".to_owned(),
            })?,
        };
        let next = Mutex::new(Next {
            id,
            reserved_to: id,
        });
        Ok(ProducerIdManager { path, next })
    }

    /// Returns an id that was never assigned before.
    ///
    /// # Errors
    ///
    /// Returns an error if the file cannot be written; this uses up no id.
    pub(crate) fn assign(&self) -> Result<ProducerId, Error> {
        let mut next = self.next.lock();
        if next.id == next.reserved_to {
            let reserved_to = next.id + BLOCK;
            write_atomically(&self.path, format!("{reserved_to}\n").as_bytes())?;
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
            let ids = ProducerIdManager::open(dir.path()).unwrap();
            for _ in 0..BLOCK + 1 {
                assert!(seen.insert(ids.assign().unwrap()));
            }
        }
    }
}
