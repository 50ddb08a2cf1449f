//! The registry of topics: which there are, with how many partitions, and the open log of each partition.
//!
//! On disk it is the file `topics`, replaced as a whole at every change. A topic exists once its line there does:
//! folders are made before it is written, and removed after it is gone; a folder without a line is what a kill in
//! between left, and is removed at start.

mod registry;
mod rules;

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::Error;
use super::ids::{PartitionId, TopicId};
use super::log::{Partition, Settings};
use super::storage::{Trust, read_if_exists, write_whole};
use registry::{Line, decode, encode};
use rules::{check_name, check_partitions};

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

/// A topic as it is at one moment; growing it makes a new value that shares the partitions.
#[derive(Clone, Debug)]
pub struct Topic {
    /// Unique among topics.
    pub name: String,
    /// Unique among all topics that ever were.
    pub id: TopicId,
    /// By their ids, which are 0, 1, 2, …
    pub partitions: Vec<Arc<Partition>>,
}

/// Why a topic cannot be made, grown or deleted.
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
            let partitions = topics.open_partitions(&line.name, 0..line.partitions)?;
            let topic = Topic {
                name: line.name.clone(),
                id: line.id,
                partitions,
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

    /// Whether [`create`](Topics::create) would refuse. `partitions` as there.
    pub fn check(&self, name: &str, partitions: Option<i32>) -> Result<u32, TopicError> {
        check_name(name)?;
        let partitions = match partitions {
            None => self.default_partitions,
            Some(asked) => check_partitions(name, asked, 1)?,
        };
        match self.get(name) {
            Some(_) => Err(TopicError::Exists(name.to_owned())),
            None => Ok(partitions),
        }
    }

    /// Makes a topic; `None` partitions means the default number.
    pub fn create(&self, name: &str, partitions: Option<i32>) -> Result<Arc<Topic>, TopicError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let partitions = self.check(name, partitions)?;
        let topic = Arc::new(Topic {
            name: name.to_owned(),
            id: TopicId::random(),
            partitions: self.open_partitions(name, 0..partitions)?,
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
        match self.create(name, None) {
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
        let more = self.open_partitions(name, topic.partitions.len() as u32..total)?;
        topic.partitions.extend(more);
        self.commit(|map| {
            map.insert(name.to_owned(), Arc::new(topic));
        })?;
        tracing::info!(topic = name, partitions = total, "topic grown");
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
    ) -> Result<Vec<Arc<Partition>>, Error> {
        ids.map(|id| {
            let folder = self.logs.join(format!("{name}-{id}"));
            Partition::open(&folder, Settings::default(), self.trust).map(Arc::new)
        })
        .collect()
    }

    fn read_registry(&self) -> Result<Vec<Line>, Error> {
        let damaged = |reason: &str| Error::Damaged {
            path: self.registry.clone(),
            position: 0,
            reason: reason.to_owned(),
        };
        let Some(bytes) = read_if_exists(&self.registry)? else {
            let mut logs = fs::read_dir(&self.logs).map_err(Error::io("list", &self.logs))?;
            if logs.next().is_some() {
                return Err(damaged("it is missing, but there are logs"));
            }
            write_whole(&self.registry, &encode([].into_iter()))?;
            return Ok(Vec::new());
        };
        decode(&bytes).ok_or_else(|| damaged("its checksum or its form is wrong"))
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
mod tests {
    use super::*;

    #[test]
    fn topics_survive_a_reopening_and_deleted_ones_do_not() {
        let dir = tempfile::tempdir().unwrap();
        let topics = Topics::open(dir.path(), 4, Trust::All).unwrap();
        let kept = topics.create("kept.one", Some(2)).unwrap();
        topics.create("gone", None).unwrap();
        topics.grow("kept.one", 3).unwrap();
        topics.delete("gone").unwrap();
        drop(topics);
        fs::create_dir(dir.path().join("logs/left-0")).unwrap();

        let topics = Topics::open(dir.path(), 4, Trust::All).unwrap();
        assert_eq!(topics.len(), 1);
        let again = topics.get("kept.one").unwrap();
        assert_eq!((again.id, again.partitions.len()), (kept.id, 3));
        assert_eq!(fs::read_dir(dir.path().join("logs")).unwrap().count(), 3);
    }

    #[test]
    fn names_and_numbers_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        let topics = Topics::open(dir.path(), 4, Trust::All).unwrap();
        for name in ["", ".", "..", "a b", "../x", "é", &"x".repeat(250)] {
            let refused = topics.create(name, None).unwrap_err();
            assert!(matches!(refused, TopicError::Name { .. }), "{name}");
        }
        topics.create(&"x".repeat(249), Some(1)).unwrap();
        for asked in [0, -2, 1_001] {
            assert!(topics.create("t", Some(asked)).is_err());
        }
        topics.create("t", Some(2)).unwrap();
        assert!(matches!(
            topics.create("t", None),
            Err(TopicError::Exists(_))
        ));
        assert!(topics.grow("t", 2).is_err());
    }

    #[test]
    fn logs_without_a_registry_are_not_thrown_away() {
        let dir = tempfile::tempdir().unwrap();
        let topics = Topics::open(dir.path(), 1, Trust::All).unwrap();
        topics.create("t", None).unwrap();
        drop(topics);
        fs::remove_file(dir.path().join("topics")).unwrap();
        assert!(matches!(
            Topics::open(dir.path(), 1, Trust::All),
            Err(Error::Damaged { .. })
        ));
        assert!(dir.path().join("logs/t-0").exists());
    }

    #[test]
    fn a_flipped_bit_in_the_registry_is_found() {
        let dir = tempfile::tempdir().unwrap();
        Topics::open(dir.path(), 1, Trust::All)
            .unwrap()
            .create("t", None)
            .unwrap();
        let path = dir.path().join("topics");
        let mut bytes = fs::read(&path).unwrap();
        bytes[3] ^= 1;
        fs::write(&path, bytes).unwrap();
        assert!(matches!(
            Topics::open(dir.path(), 1, Trust::All),
            Err(Error::Damaged { .. })
        ));
    }
}
