//! Permissions that the broker currently denies. They are logged, and shown by `/readyz` and the metrics.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use parking_lot::Mutex;

/// Time for which a denial is current. A request that is repeated is denied more often than that. One that is not
/// repeated, such as sending over HTTP, would never be seen to be permitted again.
const CURRENT_FOR: Duration = Duration::from_secs(30);

/// Interval at which a continuing denial is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A permission that an administrator of the broker can grant to the user of this daemon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Describe this topic.
    Describe(String),
    /// Create this topic.
    Create(String),
    /// Consume this topic, and commit offsets of it.
    Read(String),
    /// Produce to this topic.
    Write(String),
    /// Produce to several topics in one transaction. Names of the topics, separated by commas. The broker does not say
    /// which of them it denies.
    WriteAny(String),
    /// Produce to any topic at all.
    Produce,
    /// Join this group, and commit its offsets.
    Join(String),
    /// Produce in transactions with this transactional id.
    Transact(String),
}

/// The permissions that the broker denies. Cheap to clone; all clones share one set.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// Whether `refused` has an entry.
    any: Arc<AtomicBool>,
    /// Never held across an await.
    refused: Arc<Mutex<BTreeMap<Permission, Times>>>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    refused: Instant,
    logged: Instant,
}

impl Permission {
    /// Returns the operation, the resource type and the resource name of the ACL that grants this permission.
    #[must_use]
    pub fn as_acl(&self) -> (&'static str, &'static str, &str) {
        match self {
            Self::Describe(topic) => ("Describe", "topic", topic),
            Self::Create(topic) => ("Create", "topic", topic),
            Self::Read(topic) => ("Read", "topic", topic),
            Self::Write(topic) | Self::WriteAny(topic) => ("Write", "topic", topic),
            Self::Produce => ("IdempotentWrite", "cluster", "kafka-cluster"),
            Self::Join(group) => ("Read", "group", group),
            Self::Transact(id) => ("Write", "transactional-id", id),
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Produce => write!(f, "Write on the topics that it produces to"),
            Self::WriteAny(topics) => write!(f, "Write on each of the topics {topics}"),
            Self::Transact(id) => write!(f, "Write and Describe on the transactional id {id}"),
            named => {
                let (operation, resource, name) = named.as_acl();
                write!(f, "{operation} on the {resource} {name}")
            }
        }
    }
}

impl Refusals {
    /// Records that the broker has just denied this permission. The log says what to grant, and the consequence until
    /// then.
    pub fn refused(&self, permission: Permission, consequence: &str) {
        let now = Instant::now();
        let must_log = {
            let mut refused = self.refused.lock();
            self.any.store(true, Relaxed);
            match refused
                .get_mut(&permission)
                .filter(|times| times.is_current(now))
            {
                Some(times) => {
                    times.refused = now;
                    let is_due = now.duration_since(times.logged) >= LOG_INTERVAL;
                    if is_due {
                        times.logged = now;
                    }
                    is_due
                }
                None => {
                    let times = Times {
                        refused: now,
                        logged: now,
                    };
                    refused.insert(permission.clone(), times);
                    true
                }
            }
        };
        if must_log {
            tracing::error!(
                "the broker denies a permission to the user of this daemon; grant it {permission}; {consequence}"
            );
        }
    }

    /// Records that the broker has just permitted this.
    pub fn granted(&self, permission: &Permission) {
        let mut refused = self.refused.lock();
        if refused.remove(permission).is_some() {
            self.any.store(!refused.is_empty(), Relaxed);
            drop(refused);
            tracing::info!(%permission, "the broker grants a permission that it denied before");
        }
    }

    /// Returns whether any permission was denied and not granted since. It takes no lock, so that callers can cheaply
    /// skip [`Refusals::granted`].
    #[must_use]
    pub fn are_there_any(&self) -> bool {
        self.any.load(Relaxed)
    }

    /// Returns the permissions that are currently denied.
    #[must_use]
    pub fn now(&self) -> Vec<Permission> {
        let now = Instant::now();
        let refused = self.refused.lock();
        let current = refused.iter().filter(|(_, times)| times.is_current(now));
        current.map(|(permission, _)| permission.clone()).collect()
    }
}

impl Times {
    fn is_current(self, now: Instant) -> bool {
        now.duration_since(self.refused) < CURRENT_FOR
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_refused_counts_until_it_is_granted() {
        let refusals = Refusals::default();
        let write = Permission::Write("t".to_owned());
        refusals.granted(&write);
        assert!(!refusals.are_there_any());
        refusals.clone().refused(write.clone(), "it waits");
        refusals.refused(write.clone(), "it waits");
        refusals.granted(&Permission::Read("t".to_owned()));
        assert_eq!(refusals.now(), std::slice::from_ref(&write));
        assert!(refusals.are_there_any());
        refusals.granted(&write);
        assert_eq!(refusals.now(), []);
        assert!(!refusals.are_there_any());
    }

    #[test]
    fn what_nobody_asks_for_any_more_does_not_count_for_long() {
        let now = Instant::now();
        let times = Times {
            refused: now,
            logged: now,
        };
        assert!(times.is_current(now + CURRENT_FOR / 2));
        assert!(!times.is_current(now + CURRENT_FOR));
    }

    #[test]
    fn a_permission_is_named_as_it_is_granted() {
        let read = Permission::Join("g".to_owned());
        assert_eq!(read.to_string(), "Read on the group g");
        assert_eq!(read.as_acl(), ("Read", "group", "g"));
    }
}
