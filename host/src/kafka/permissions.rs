//! What the broker refuses for lack of a permission, as long as it does: the log is told once, and `/readyz` and the
//! metrics show it.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

/// For so long after the last refusal it counts: who goes on asking, asks more often; who has ceased to, as a client that
/// was told not to send, would never hear that it is permitted now.
const COUNTS_FOR: Duration = Duration::from_secs(30);

/// How often the log is told of what goes on being refused.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// What an administrator of the broker can grant to the user that the daemon logs in as.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// To describe this topic.
    Describe(String),
    /// To create this topic.
    Create(String),
    /// To consume this topic, and to commit where the group stands in it.
    Read(String),
    /// To produce to this topic.
    Write(String),
    /// To produce to several topics in one transaction, of which one or more is refused. Their names, with commas between.
    WriteAny(String),
    /// To produce, to whichever topic.
    Produce,
    /// To be a member of this group, and to commit its offsets.
    Join(String),
    /// To produce in transactions under this transactional id.
    Transact(String),
}

/// What is refused now. Cheap to clone; all clones are one.
#[derive(Clone, Debug, Default)]
pub struct Refusals {
    /// Whether there is anything in `refused`.
    any: Arc<AtomicBool>,
    // A std mutex: held for a look or a change, never across an await.
    refused: Arc<Mutex<BTreeMap<Permission, Times>>>,
}

#[derive(Clone, Copy, Debug)]
struct Times {
    last: Instant,
    told: Instant,
}

impl Permission {
    /// Operation, kind of resource and its name, as Kafka's ACLs have them.
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
    /// The broker has refused this just now; `and_so` says what becomes of it.
    pub fn refused(&self, permission: Permission, and_so: &str) {
        let now = Instant::now();
        let is_to_be_told = {
            let mut refused = self.lock();
            self.any.store(true, Relaxed);
            match refused
                .get_mut(&permission)
                .filter(|times| times.count(now))
            {
                Some(times) => {
                    times.last = now;
                    let again = now.duration_since(times.told) >= TOLD_EVERY;
                    if again {
                        times.told = now;
                    }
                    again
                }
                None => {
                    let (last, told) = (now, now);
                    refused.insert(permission.clone(), Times { last, told });
                    true
                }
            }
        };
        if is_to_be_told {
            tracing::error!(
                "the broker refuses this daemon's user a permission; grant it {permission}; {and_so}"
            );
        }
    }

    /// The broker has just done what takes this permission.
    pub fn granted(&self, permission: &Permission) {
        let mut refused = self.lock();
        if refused.remove(permission).is_some() {
            self.any.store(!refused.is_empty(), Relaxed);
            drop(refused);
            tracing::info!("the broker permits it now: {permission}");
        }
    }

    /// Whether anything was refused that has not been granted since; at no cost, for those who may have something to
    /// tell [`Refusals::granted`].
    #[must_use]
    pub fn are_there_any(&self) -> bool {
        self.any.load(Relaxed)
    }

    /// All that is refused now.
    #[must_use]
    pub fn now(&self) -> Vec<Permission> {
        let now = Instant::now();
        let refused = self.lock();
        let counting = refused.iter().filter(|(_, times)| times.count(now));
        counting.map(|(permission, _)| permission.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Permission, Times>> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Times {
    fn count(self, now: Instant) -> bool {
        now.duration_since(self.last) < COUNTS_FOR
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
        let (last, told) = (now, now);
        let times = Times { last, told };
        assert!(times.count(now + COUNTS_FOR / 2));
        assert!(!times.count(now + COUNTS_FOR));
    }

    #[test]
    fn a_permission_is_named_as_it_is_granted() {
        let read = Permission::Join("g".to_owned());
        assert_eq!(read.to_string(), "Read on the group g");
        assert_eq!(read.as_acl(), ("Read", "group", "g"));
    }
}
