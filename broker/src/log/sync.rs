//! How a partition is made to last: syncing, and sealing closed segments, whose bytes are then known to be on the disk.

use std::fs::File;
use std::io;
use std::sync::{Arc, PoisonError};

use super::checkpoint::Sync;
use super::offset_index;
use super::partition_log::Partition;
use super::segment::Segment;
use super::state::lost;
use crate::Error;

impl Partition {
    /// Whether anything was appended since the last [`sync`](Partition::sync), or can never be synced any more.
    pub fn is_dirty(&self) -> bool {
        let state = self.lock();
        !state.deleted && state.synced_to < state.bounds().end
    }

    /// Waits until the disk has everything that was appended before. Who comes while another waits finds it done.
    ///
    /// # Errors
    ///
    /// The disk failed, now or before. What it lost nobody knows, so the partition takes nothing more until it is opened
    /// again, and nothing that was not synced counts as synced.
    pub fn sync(&self) -> Result<(), Error> {
        let _syncing = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let (files, end, folder_too) = {
            let state = self.lock();
            if state.deleted || state.synced_to >= state.bounds().end {
                return Ok(());
            }
            if state.failed {
                return Err(Error::io("sync", &self.folder)(lost()));
            }
            let open = state.segments.iter().filter_map(Segment::opened);
            let files: Vec<_> = open.map(|open| Arc::clone(&open.file)).collect();
            let folder_too = state.synced_to <= state.active().base();
            (files, state.bounds().end, folder_too)
        };
        let sync = || {
            files.iter().try_for_each(|file| file.sync_data())?;
            // The names of the files are the folder's.
            if folder_too {
                File::open(&self.folder)?.sync_all()?;
            }
            io::Result::Ok(())
        };
        let synced = sync();
        let mut state = self.lock();
        match synced {
            Ok(()) => state.synced_to = end,
            Err(_) if state.deleted => {}
            Err(error) => {
                state.failed = true;
                return Err(Error::io("sync", &self.folder)(error));
            }
        }
        Ok(())
    }

    /// Syncs the segments that are appended to no more, and writes their indexes beside them.
    pub fn seal(&self) -> io::Result<()> {
        let _maintenance = self.lock_maintenance();
        self.seal_closed()
    }

    /// As [`seal`](Partition::seal), with the maintenance lock held.
    pub(super) fn seal_closed(&self) -> io::Result<()> {
        let closed: Vec<_> = {
            let state = self.lock();
            let closed = state.segments.iter().rev().skip(1);
            let open = closed.filter_map(|segment| Some((segment, segment.opened()?)));
            let needed = open.map(|(segment, open)| {
                let path = segment.path().to_owned();
                (segment.base(), path, *segment.summary(), open.clone())
            });
            needed.collect()
        };
        for (base, path, summary, open) in closed {
            open.file.sync_data()?;
            offset_index::write(&path, &summary, &open.index)?;
            let mut state = self.lock();
            if let Some(segment) = state.segments.iter_mut().find(|s| s.base() == base) {
                segment.seal();
            }
        }
        Ok(())
    }

    /// Syncs everything and writes a last checkpoint, so that the next start reads nothing of the log.
    pub fn close(&self) -> Result<(), Error> {
        self.sync()?;
        self.seal().map_err(Error::io("sync", &self.folder))?;
        let mut state = self.lock();
        if state.deleted || state.failed {
            return Ok(());
        }
        state
            .checkpoint(&self.folder, Sync::Now)
            .map_err(Error::io("write", &self.folder))
    }
}
