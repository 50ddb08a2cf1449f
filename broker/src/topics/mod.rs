//! The topics: their partitions with their logs, and their settings.
//!
//! On disk, the registry of topics is the file `topics`, which every change replaces as a whole. A topic exists if the file
//! has a line for it: its folders are created before the line and removed after it. A kill in between leaves folders
//! without a line, which the next start removes.

mod partition_folders;
mod registry_file;
mod settings;
mod validation;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::{Mutex, RwLock};

use crate::{
    Error,
    config::MAX_PARTITIONS,
    descriptors,
    ids::{PartitionId, TopicId},
    log::PartitionLog,
    storage::{Trust, read_if_exists, write_atomically},
};

use registry_file::{RegistryLine, decode, encode};
use validation::check_partitions;

pub(crate) use settings::{
    ChangeError, Setting, SettingError, SettingKind, SettingOperation, SettingsChange,
    TopicSettings, all as all_settings,
};
pub(crate) use validation::check_name;

/// All topics, by name.
#[derive(Debug)]
pub(crate) struct Topics {
    registry: PathBuf,
    logs: PathBuf,
    default_partitions: u32,
    /// The largest number of partitions of all topics together.
    max_total: usize,
    trust: Trust,
    /// Held for the whole of a change, including the writes to disk; readers only wait for `map`.
    changing: Mutex<()>,
    map: RwLock<BTreeMap<String, Arc<Topic>>>,
}

/// A topic at one moment. Adding partitions or altering settings creates a new value, which shares the partitions.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    /// The name, which is unique.
    pub(crate) name: String,
    /// The id, which no topic that ever existed shares.
    pub(crate) id: TopicId,
    /// The logs of the partitions 0, 1, 2, …
    pub(crate) partitions: Vec<Arc<PartitionLog>>,
    /// The settings, which apply to all partitions.
    pub(crate) settings: TopicSettings,
}

/// The reason why a topic cannot be created, extended, altered or deleted.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopicError {
    /// The name breaks Kafka's rules.
    #[error("invalid topic name {name:?}: it {rule}")]
    Name {
        /// The requested name.
        name: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// The topic exists.
    #[error("topic {0:?} already exists")]
    Exists(String),
    /// The topic does not exist.
    #[error("topic {0:?} does not exist")]
    Unknown(String),
    /// The number of partitions is too small or too large.
    #[error(
        "invalid number of partitions {requested} for topic {name:?}: choose from {min} to {MAX_PARTITIONS}"
    )]
    Partitions {
        /// The topic.
        name: String,
        /// The requested number.
        requested: i32,
        /// The smallest number possible.
        min: u32,
    },
    /// The process cannot keep the files of this many partitions open.
    #[error(
        "topic {name:?} would bring the number of partitions to {total}, but this broker can keep the files of only {max} open: choose fewer partitions, or raise the limit of open files (ulimit -n)"
    )]
    Descriptors {
        /// The topic.
        name: String,
        /// The number of partitions of all topics that there would be.
        total: usize,
        /// The largest number possible.
        max: usize,
    },
    /// The settings cannot be altered like this.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// Writing failed; nothing has changed.
    #[error(transparent)]
    Storage(#[from] Error),
}

impl Topic {
    /// Returns the log of a partition, if the topic has it.
    pub(crate) fn partition(&self, id: PartitionId) -> Option<&Arc<PartitionLog>> {
        self.partitions.get(usize::try_from(id.0).ok()?)
    }
}

impl Topics {
    /// Opens the registry and the logs of all topics.
    pub(crate) fn open(
        folder: &Path,
        default_partitions: u32,
        trust: Trust,
    ) -> Result<Topics, Error> {
        let topics = Topics {
            registry: folder.join("topics"),
            logs: folder.join("logs"),
            default_partitions,
            max_total: descriptors::budget().partitions,
            trust,
            changing: Mutex::default(),
            map: RwLock::default(),
        };
        fs::create_dir_all(&topics.logs).map_err(Error::io("create", &topics.logs))?;
        let lines = topics.read_registry()?;
        topics.check_total(&lines)?;
        topics.remove_orphans(&lines)?;
        let mut map = BTreeMap::new();
        for line in lines {
            let settings = topics.parse_settings(&line)?;
            let topic = Topic {
                name: line.name.clone(),
                id: line.id,
                partitions: topics.open_partitions(&line.name, 0..line.partitions, &settings)?,
                settings,
            };
            map.insert(line.name, Arc::new(topic));
        }
        Ok(Topics {
            map: RwLock::new(map),
            ..topics
        })
    }

    /// Returns the number of topics.
    pub(crate) fn len(&self) -> usize {
        self.map.read().len()
    }

    /// Returns the topic with a name.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.map.read().get(name).cloned()
    }

    /// Returns the topic with an id.
    pub(crate) fn by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.map
            .read()
            .values()
            .find(|topic| topic.id == id)
            .cloned()
    }

    /// Returns all topics, ordered by name.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.map.read().values().cloned().collect()
    }

    /// Returns the log of a partition.
    pub(crate) fn partition(&self, name: &str, id: PartitionId) -> Option<Arc<PartitionLog>> {
        self.map.read().get(name)?.partition(id).cloned()
    }

    /// Returns the number of partitions of a topic that is created without one.
    pub(crate) fn default_partitions(&self) -> u32 {
        self.default_partitions
    }

    /// Checks whether a new topic may have a name.
    pub(crate) fn check_new(&self, name: &str) -> Result<(), TopicError> {
        check_name(name)?;
        if self.get(name).is_some() {
            return Err(TopicError::Exists(name.to_owned()));
        }
        let alike = |other: &String| validation::collides(name, other);
        match self.map.read().keys().any(alike) {
            true => Err(TopicError::Name {
                name: name.to_owned(),
                rule: "differs from the name of another topic only in '.' and '_', so their metrics would collide",
            }),
            false => Ok(()),
        }
    }

    /// Checks whether [`create`](Topics::create) would succeed; returns the number of partitions.
    pub(crate) fn check(&self, name: &str, partitions: Option<i32>) -> Result<u32, TopicError> {
        self.check_new(name)?;
        let partitions = match partitions {
            None => self.default_partitions,
            Some(requested) => check_partitions(name, requested, 1)?,
        };
        self.check_room(name, partitions)?;
        Ok(partitions)
    }

    /// Creates a topic; without a number of `partitions` it gets the default.
    pub(crate) fn create(
        &self,
        name: &str,
        partitions: Option<i32>,
        settings: TopicSettings,
    ) -> Result<Arc<Topic>, TopicError> {
        let _changing = self.changing.lock();
        let partitions = self.check(name, partitions)?;
        let topic = Arc::new(Topic {
            name: name.to_owned(),
            id: TopicId::random(),
            partitions: self.create_partitions(name, 0..partitions, &settings)?,
            settings,
        });
        self.commit(|map| {
            map.insert(name.to_owned(), Arc::clone(&topic));
        })?;
        tracing::info!(topic = name, partitions, "topic created");
        Ok(topic)
    }

    /// Returns the topic with a name; creates it with the default number of partitions if it does not exist.
    pub(crate) fn get_or_create(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        if let Some(topic) = self.get(name) {
            return Ok(topic);
        }
        match self.create(name, None, TopicSettings::default()) {
            // Another connection has created it meanwhile.
            Err(TopicError::Exists(_)) => {
                let unknown = || TopicError::Unknown(name.to_owned());
                self.get(name).ok_or_else(unknown)
            }
            result => result,
        }
    }

    /// Checks whether [`add_partitions`](Topics::add_partitions) would succeed.
    pub(crate) fn check_add_partitions(
        &self,
        name: &str,
        total: i32,
    ) -> Result<(Arc<Topic>, u32), TopicError> {
        let topic = self
            .get(name)
            .ok_or_else(|| TopicError::Unknown(name.to_owned()))?;
        let present = topic.partitions.len() as u32;
        let total = check_partitions(name, total, present + 1)?;
        self.check_room(name, total - present)?;
        Ok((topic, total))
    }

    /// Adds partitions, so that the topic has `total`.
    pub(crate) fn add_partitions(&self, name: &str, total: i32) -> Result<(), TopicError> {
        let _changing = self.changing.lock();
        let (topic, total) = self.check_add_partitions(name, total)?;
        let mut topic = Topic::clone(&topic);
        let added = topic.partitions.len() as u32..total;
        let more = self.create_partitions(name, added, &topic.settings)?;
        topic.partitions.extend(more);
        self.commit(|map| {
            map.insert(name.to_owned(), Arc::new(topic));
        })?;
        tracing::info!(topic = name, partitions = total, "partitions added");
        Ok(())
    }

    /// Checks whether [`alter`](Topics::alter) would succeed; returns the topic and its new settings.
    pub(crate) fn check_alter(
        &self,
        name: &str,
        change: &SettingsChange,
    ) -> Result<(Arc<Topic>, TopicSettings), TopicError> {
        check_name(name)?;
        let topic = self
            .get(name)
            .ok_or_else(|| TopicError::Unknown(name.to_owned()))?;
        let settings = topic.settings.changed(change)?;
        Ok((topic, settings))
    }

    /// Changes the settings of a topic for all of its partitions.
    pub(crate) fn alter(&self, name: &str, change: &SettingsChange) -> Result<(), TopicError> {
        let _changing = self.changing.lock();
        let (topic, settings) = self.check_alter(name, change)?;
        if settings == topic.settings {
            return Ok(());
        }
        let topic = Topic {
            settings,
            ..Topic::clone(&topic)
        };
        let log = topic.settings.log().clone();
        let partitions = topic.partitions.clone();
        let set: Vec<_> = topic.settings.overrides().collect();
        tracing::info!(topic = name, settings = ?set, "settings of a topic altered");
        self.commit(|map| {
            map.insert(name.to_owned(), Arc::new(topic));
        })?;
        for partition in partitions {
            partition.configure(log.clone());
        }
        Ok(())
    }

    /// Deletes a topic and its logs.
    pub(crate) fn delete(&self, name: &str) -> Result<(), TopicError> {
        let _changing = self.changing.lock();
        let topic = self
            .get(name)
            .ok_or_else(|| TopicError::Unknown(name.to_owned()))?;
        self.commit(|map| {
            map.remove(name);
        })?;
        for partition in &topic.partitions {
            // The topic no longer exists. The next start removes the files that are left.
            if let Err(error) = partition.delete() {
                tracing::warn!(topic = name, %error, "cannot remove the files of a deleted topic before the next start");
            }
        }
        tracing::info!(topic = name, "topic deleted");
        Ok(())
    }

    /// Returns the logs of all partitions.
    pub(crate) fn logs(&self) -> Vec<Arc<PartitionLog>> {
        let topics = self.map.read();
        let logs = topics.values().flat_map(|topic| &topic.partitions);
        logs.cloned().collect()
    }

    /// Applies `change` to the registry: on disk first, then for readers.
    fn commit(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Arc<Topic>>),
    ) -> Result<(), TopicError> {
        let mut map = self.map.read().clone();
        change(&mut map);
        write_atomically(&self.registry, &encode(map.values().map(Arc::as_ref)))?;
        *self.map.write() = map;
        Ok(())
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::Damaged {
            path: self.registry.clone(),
            position: 0,
            reason: reason.to_owned(),
        }
    }

    /// Parses the settings of a line. Its checksum was right, so an error means that a newer version wrote it.
    fn parse_settings(&self, line: &RegistryLine) -> Result<TopicSettings, Error> {
        TopicSettings::parse(line.settings.iter().map(|(name, value)| (name, value)))
            .map_err(|error| self.damaged(&format!("topic {:?}: {error}", line.name)))
    }

    fn read_registry(&self) -> Result<Vec<RegistryLine>, Error> {
        let Some(bytes) = read_if_exists(&self.registry)? else {
            let mut logs = fs::read_dir(&self.logs).map_err(Error::io("list", &self.logs))?;
            if logs.next().is_some() {
                return Err(self.damaged("the file is missing, but there are logs"));
            }
            write_atomically(&self.registry, &encode([].into_iter()))?;
            return Ok(Vec::new());
        };
        decode(&bytes).ok_or_else(|| self.damaged("its checksum or its format is wrong"))
    }
}

#[cfg(test)]
mod tests;
