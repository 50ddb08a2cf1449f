//! The folders of partitions: opening and creating them, how many there may be, and removing what a deleted topic left.

use std::{collections::HashSet, fs, io, ops::Range, path::Path, sync::Arc};

use super::{TopicError, TopicSettings, Topics, registry_file::RegistryLine};
use crate::{Error, log::PartitionLog};

impl Topics {
    /// Opens the logs of existing partitions.
    pub(super) fn open_partitions(
        &self,
        name: &str,
        ids: Range<u32>,
        settings: &TopicSettings,
    ) -> Result<Vec<Arc<PartitionLog>>, Error> {
        ids.map(|id| self.open_partition(name, id, settings))
            .collect()
    }

    /// Creates the logs of new partitions. What an earlier topic of this name left in their folders is removed first.
    pub(super) fn create_partitions(
        &self,
        name: &str,
        ids: Range<u32>,
        settings: &TopicSettings,
    ) -> Result<Vec<Arc<PartitionLog>>, Error> {
        let mut created: Vec<Arc<PartitionLog>> = Vec::new();
        for id in ids {
            let folder = self.logs.join(folder_name(name, id));
            let log = remove(&folder).and_then(|()| self.open_partition(name, id, settings));
            match log {
                Ok(log) => created.push(log),
                Err(error) => {
                    // What cannot be removed now is removed before the next attempt.
                    let _ = remove(&folder);
                    created.iter().for_each(|log| drop(log.delete()));
                    return Err(error);
                }
            }
        }
        Ok(created)
    }

    fn open_partition(
        &self,
        name: &str,
        id: u32,
        settings: &TopicSettings,
    ) -> Result<Arc<PartitionLog>, Error> {
        let folder = self.logs.join(folder_name(name, id));
        PartitionLog::open(&folder, settings.log().clone(), self.trust).map(Arc::new)
    }

    /// Checks that a topic may get this many more partitions.
    pub(super) fn check_room(&self, name: &str, more: u32) -> Result<(), TopicError> {
        let present: usize = self.all().iter().map(|topic| topic.partitions.len()).sum();
        let total = present + more as usize;
        if total > self.max_total {
            return Err(TopicError::Descriptors {
                name: name.to_owned(),
                total,
                max: self.max_total,
            });
        }
        Ok(())
    }

    /// Checks that the files of all partitions in the registry can be opened.
    pub(super) fn check_total(&self, lines: &[RegistryLine]) -> Result<(), Error> {
        let partitions: usize = lines.iter().map(|line| line.partitions as usize).sum();
        if partitions > self.max_total {
            return Err(Error::Descriptors {
                partitions,
                max: self.max_total,
            });
        }
        Ok(())
    }

    /// Removes the folders of topics that are not in the registry. One that cannot be removed is in no one's way: no topic
    /// uses it before it is removed.
    pub(super) fn remove_orphans(&self, lines: &[RegistryLine]) -> Result<(), Error> {
        let folders = |line: &RegistryLine| {
            let name = line.name.clone();
            (0..line.partitions).map(move |id| folder_name(&name, id))
        };
        let known: HashSet<String> = lines.iter().flat_map(folders).collect();
        for entry in fs::read_dir(&self.logs).map_err(Error::io("list", &self.logs))? {
            let entry = entry.map_err(Error::io("list", &self.logs))?;
            if !known.contains(&*entry.file_name().to_string_lossy()) {
                let path = entry.path();
                tracing::info!(path = %path.display(), "removing the files of a deleted topic");
                if let Err(error) = fs::remove_dir_all(&path) {
                    tracing::warn!(path = %path.display(), %error, "cannot remove the files of a deleted topic");
                }
            }
        }
        Ok(())
    }
}

fn folder_name(topic: &str, partition: u32) -> String {
    format!("{topic}-{partition}")
}

fn remove(folder: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io("remove", folder)(error))
        }
        _ => Ok(()),
    }
}
