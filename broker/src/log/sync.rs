//! Making a log durable: syncing, and sealing closed segments, whose bytes are then known to be on disk.

use std::{fs::File, io, sync::Arc};

use super::{checkpoint::SyncMode, partition_log::PartitionLog, segment::LogSegment};
use crate::{Error, storage::failed_disk};

impl PartitionLog {
    /// Returns whether there are records that the last [`sync`](PartitionLog::sync) did not cover, or that can no longer be
    /// synced.
    pub(crate) fn is_dirty(&self) -> bool {
        let state = self.state.lock();
        !state.deleted && state.synced_to < state.bounds().end
    }

    /// Syncs everything that was appended before the call. A call that waits for another one finds the work done.
    ///
    /// # Errors
    ///
    /// Returns an error if this or an earlier sync failed. Which records the disk lost is unknown then, so the log accepts
    /// no more records until it is opened again, and what was not synced never counts as synced.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        let _syncing = self.syncing.lock();
        let (files, end, folder_too) = {
            let state = self.state.lock();
            if state.deleted || state.synced_to >= state.bounds().end {
                return Ok(());
            }
            if state.failed {
                return Err(Error::io("sync", &self.folder)(failed_disk()));
            }
            let open = state.segments.iter().filter_map(LogSegment::opened);
            let files: Vec<_> = open.map(|open| Arc::clone(&open.file)).collect();
            let folder_too = state.synced_to <= state.active().base();
            (files, state.bounds().end, folder_too)
        };
        let sync = || {
            files.iter().try_for_each(|file| file.sync_data())?;
            // New files are only durable once their folder is synced.
            if folder_too {
                File::open(&self.folder)?.sync_all()?;
            }
            io::Result::Ok(())
        };
        let synced = sync();
        let mut state = self.state.lock();
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

    /// Syncs the closed segments, and writes their index files.
    pub(crate) fn seal(&self) -> io::Result<()> {
        let _maintenance = self.maintenance.lock();
        self.seal_closed()
    }

    /// Seals like [`seal`](PartitionLog::seal); the caller holds the maintenance lock.
    pub(super) fn seal_closed(&self) -> io::Result<()> {
        let closed: Vec<_> = {
            let state = self.state.lock();
            if state.failed {
                return Err(failed_disk());
            }
            let closed = state.segments.iter().rev().skip(1);
            let open = closed.filter_map(|segment| Some((segment, segment.opened()?)));
            let needed = open.map(|(segment, open)| {
                let path = segment.path().to_owned();
                (segment.base(), path, *segment.summary(), open.clone())
            });
            needed.collect()
        };
        for (base, path, summary, open) in closed {
            let synced = open.file.sync_data();
            if synced.is_err() {
                let mut state = self.state.lock();
                state.failed = !state.deleted;
            }
            synced?;
            open.index.write(&path, &summary)?;
            let mut state = self.state.lock();
            if let Some(segment) = state.segments.iter_mut().find(|s| s.base() == base) {
                segment.seal();
            }
        }
        Ok(())
    }

    /// Syncs everything and writes a checkpoint, so that the next start does not have to read the log.
    pub(crate) fn close(&self) -> Result<(), Error> {
        self.sync()?;
        self.seal().map_err(Error::io("sync", &self.folder))?;
        let mut state = self.state.lock();
        if state.deleted || state.failed {
            return Ok(());
        }
        state
            .checkpoint(&self.folder, SyncMode::Now)
            .map_err(Error::io("write", &self.folder))
    }
}
