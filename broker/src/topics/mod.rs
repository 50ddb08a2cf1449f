//! The registry of topics: which there are, with how many partitions and which settings, and the open log of each
//! partition.
//!
//! On disk it is the file `topics`, replaced as a whole at every change. A topic exists once its line there does:
//! folders are made before it is written, and removed after it is gone; a folder without a line is what a kill in
//! between left, and is removed at start.

mod registry_file;
mod settings;
mod validation;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use crate::Error;
use crate::ids::{PartitionId, TopicId};
use crate::log::Partition;
use crate::storage::{Trust, read_if_exists, write_whole};
use registry_file::{Line, decode, encode};
use validation::check_partitions;

pub use validation::check_name;
pub use settings::{
    Change, ChangeError, Kind, Operation, Setting, SettingError, TopicSettings, all as all_settings,
};

/// The most partitions a topic may have; each is an open file.
pub const MAX_PARTITIONS: u32 = 1_000;

/// All topics, by name.
#[derive(Debug)]
pub struct Topics {
    registry: PathBuf,
    logs: PathBuf,
    default_partitions: u32,
    trust: Trust,
    /// Held for a whole change, disk included; readers only ever wait for `map`.
    changing: Mutex<()>,
    map: RwLock<BTreeMap<String, Arc<Topic>>>,
}

/// A topic as it is at one moment; growing or altering it makes a new value that shares the partitions.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Unique among topics.
    pub name: String,
    /// Unique among all topics that ever were.
    pub id: TopicId,
    /// By their ids, which are 0, 1, 2, …
    pub partitions: Vec<Arc<Partition>>,
    /// Those of all its partitions.
    pub settings: TopicSettings,
}

/// Why a topic cannot be made, grown, altered or deleted.
#[derive(Debug, thiserror::Error)]
pub enum TopicError {
    /// The name breaks Kafka's rules.
    #[error("topic name {name:?} {rule}")]
    Name {
        /// The name asked for.
        name: String,
        /// What is wrong with it.
        rule: &'static str,
    },
    /// There is one already.
    #[error("topic {0:?} exists already")]
    Exists(String),
    /// There is none.
    #[error("there is no topic {0:?}")]
    Unknown(String),
    /// A number of partitions that cannot be.
    #[error("{asked} partitions for topic {name:?}: choose from {min} to {MAX_PARTITIONS}")]
    Partitions {
        /// The topic.
        name: String,
        /// The number asked for.
        asked: i32,
        /// The smallest possible.
        min: u32,
    },
    /// Settings that cannot be altered so.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The disk refused; nothing is changed.
    #[error(transparent)]
    Storage(#[from] Error),
}

impl Topic {
    /// The log of a partition, if the topic has it.
    pub fn partition(&self, id: PartitionId) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(id.0).ok()?)
    }
}

impl Topics {
    /// Opens the registry and every log that it names.
    pub fn open(folder: &Path, default_partitions: u32, trust: Trust) -> Result<Topics, Error> {
        let topics = Topics {
            registry: folder.join("topics"),
            logs: folder.join("logs"),
            default_partitions,
            trust,
            changing: Mutex::default(),
            map: RwLock::default(),
        };
        fs::create_dir_all(&topics.logs).map_err(Error::io("create", &topics.logs))?;
        let lines = topics.read_registry()?;
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

    /// How many topics there are.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// The topic of that name.
    pub fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.read().get(name).cloned()
    }

    /// The topic of that identity.
    pub fn by_id(&self, id: TopicId) -> Option<Arc<Topic>> {
        self.read().values().find(|topic| topic.id == id).cloned()
    }

    /// Every topic, by name.
    pub fn all(&self) -> Vec<Arc<Topic>> {
        self.read().values().cloned().collect()
    }

    /// The log of one partition.
    pub fn partition(&self, name: &str, id: PartitionId) -> Option<Arc<Partition>> {
        self.read().get(name)?.partition(id).cloned()
    }

    /// The number of partitions of a topic whose creator names none.
    pub fn default_partitions(&self) -> u32 {
        self.default_partitions
    }

    /// Whether a new topic may have the name.
    pub fn check_new(&self, name: &str) -> Result<(), TopicError> {
        check_name(name)?;
        if self.get(name).is_some() {
            return Err(TopicError::Exists(name.to_owned()));
        }
        let alike = |other: &String| validation::collides(name, other);
        match self.read().keys().any(alike) {
            true => Err(TopicError::Name {
                name: name.to_owned(),
                rule: "differs from another topic's only in '.' and '_', which metrics take for one",
            }),
            false => Ok(()),
        }
    }

    /// Whether [`create`](Topics::create) would refuse. `partitions` as there.
    pub fn check(&self, name: &str, partitions: Option<i32>) -> Result<u32, TopicError> {
        self.check_new(name)?;
        match partitions {
            None => Ok(self.default_partitions),
            Some(asked) => check_partitions(name, asked, 1),
        }
    }

    /// Makes a topic; `None` partitions means the default number.
    pub fn create(
        &self,
        name: &str,
        partitions: Option<i32>,
        settings: TopicSettings,
    ) -> Result<Arc<Topic>, TopicError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let partitions = self.check(name, partitions)?;
        let topic = Arc::new(Topic {
            name: name.to_owned(),
            id: TopicId::random(),
            partitions: self.open_partitions(name, 0..partitions, &settings)?,
            settings,
        });
        self.commit(|map| {
            map.insert(name.to_owned(), Arc::clone(&topic));
        })?;
        tracing::info!(topic = name, partitions, "topic created");
        Ok(topic)
    }

    /// The topic of that name, made with the default number of partitions when missing.
    pub fn get_or_create(&self, name: &str) -> Result<Arc<Topic>, TopicError> {
        if let Some(topic) = self.get(name) {
            return Ok(topic);
        }
        match self.create(name, None, TopicSettings::default()) {
            // Another connection was faster.
            Err(TopicError::Exists(_)) => {
                let unknown = || TopicError::Unknown(name.to_owned());
                self.get(name).ok_or_else(unknown)
            }
            result => result,
        }
    }

    /// Whether [`grow`](Topics::grow) would refuse.
    pub fn check_grow(&self, name: &str, total: i32) -> Result<(Arc<Topic>, u32), TopicError> {
        let topic = self
            .get(name)
            .ok_or_else(|| TopicError::Unknown(name.to_owned()))?;
        let total = check_partitions(name, total, topic.partitions.len() as u32 + 1)?;
        Ok((topic, total))
    }

    /// Adds partitions so that there are `total`.
    pub fn grow(&self, name: &str, total: i32) -> Result<(), TopicError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let (topic, total) = self.check_grow(name, total)?;
        let mut topic = Topic::clone(&topic);
        let added = topic.partitions.len() as u32..total;
        let more = self.open_partitions(name, added, &topic.settings)?;
        topic.partitions.extend(more);
        self.commit(|map| {
            map.insert(name.to_owned(), Arc::new(topic));
        })?;
        tracing::info!(topic = name, partitions = total, "topic grown");
        Ok(())
    }

    /// Whether [`alter`](Topics::alter) would refuse; the settings as they would be.
    pub fn check_alter(
        &self,
        name: &str,
        change: &Change,
    ) -> Result<(Arc<Topic>, TopicSettings), TopicError> {
        check_name(name)?;
        let topic = self
            .get(name)
            .ok_or_else(|| TopicError::Unknown(name.to_owned()))?;
        let settings = topic.settings.changed(change)?;
        Ok((topic, settings))
    }

    /// Changes the settings of a topic, which hold for all its partitions at once.
    pub fn alter(&self, name: &str, change: &Change) -> Result<(), TopicError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
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
        tracing::info!(topic = name, settings = ?set, "topic altered");
        self.commit(|map| {
            map.insert(name.to_owned(), Arc::new(topic));
        })?;
        for partition in partitions {
            partition.configure(log.clone());
        }
        Ok(())
    }

    /// Removes a topic and its logs.
    pub fn delete(&self, name: &str) -> Result<(), TopicError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self
            .get(name)
            .ok_or_else(|| TopicError::Unknown(name.to_owned()))?;
        self.commit(|map| {
            map.remove(name);
        })?;
        for partition in &topic.partitions {
            // The topic is gone already; what is left of its files is removed at the next start.
            if let Err(error) = partition.delete() {
                tracing::warn!(topic = name, %error, "files of a deleted topic stay until the next start");
            }
        }
        tracing::info!(topic = name, "topic deleted");
        Ok(())
    }

    /// Every log there is.
    pub fn logs(&self) -> Vec<Arc<Partition>> {
        let topics = self.read();
        let logs = topics.values().flat_map(|topic| &topic.partitions);
        logs.cloned().collect()
    }

    /// Writes the registry as `change` makes it, then shows it to the readers.
    fn commit(
        &self,
        change: impl FnOnce(&mut BTreeMap<String, Arc<Topic>>),
    ) -> Result<(), TopicError> {
        let mut map = self.read().clone();
        change(&mut map);
        write_whole(&self.registry, &encode(map.values().map(Arc::as_ref)))?;
        *self.map.write().unwrap_or_else(PoisonError::into_inner) = map;
        Ok(())
    }

    fn open_partitions(
        &self,
        name: &str,
        ids: std::ops::Range<u32>,
        settings: &TopicSettings,
    ) -> Result<Vec<Arc<Partition>>, Error> {
        ids.map(|id| {
            let folder = self.logs.join(format!("{name}-{id}"));
            Partition::open(&folder, settings.log().clone(), self.trust).map(Arc::new)
        })
        .collect()
    }

    fn damaged(&self, reason: &str) -> Error {
        Error::Damaged {
            path: self.registry.clone(),
            position: 0,
            reason: reason.to_owned(),
        }
    }

    /// The checksum was right, so what is wrong here was written by a version that takes more.
    fn parse_settings(&self, line: &Line) -> Result<TopicSettings, Error> {
        TopicSettings::parse(line.settings.iter().map(|(name, value)| (name, value)))
            .map_err(|error| self.damaged(&format!("topic {:?}: {error}", line.name)))
    }

    fn read_registry(&self) -> Result<Vec<Line>, Error> {
        let Some(bytes) = read_if_exists(&self.registry)? else {
            let mut logs = fs::read_dir(&self.logs).map_err(Error::io("list", &self.logs))?;
            if logs.next().is_some() {
                return Err(self.damaged("it is missing, but there are logs"));
            }
            write_whole(&self.registry, &encode([].into_iter()))?;
            return Ok(Vec::new());
        };
        decode(&bytes).ok_or_else(|| self.damaged("its checksum or its form is wrong"))
    }

    fn remove_orphans(&self, lines: &[Line]) -> Result<(), Error> {
        let folders = |line: &Line| {
            let name = line.name.clone();
            (0..line.partitions).map(move |id| format!("{name}-{id}"))
        };
        let known: HashSet<String> = lines.iter().flat_map(folders).collect();
        for entry in fs::read_dir(&self.logs).map_err(Error::io("list", &self.logs))? {
            let entry = entry.map_err(Error::io("list", &self.logs))?;
            if !known.contains(&*entry.file_name().to_string_lossy()) {
                let path = entry.path();
                tracing::info!(path = %path.display(), "removing what a deleted topic left");
                fs::remove_dir_all(&path).map_err(Error::io("remove", &path))?;
            }
        }
        Ok(())
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Topic>>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
