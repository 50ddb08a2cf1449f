//! The owners of the partitions: this instance, its peers, and members of the group that are neither.

use super::PeerUrl;
use crate::{
    event::Partitions,
    kafka::{GroupDescription, GroupMember},
};

/// Which instance owns which partitions of the topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ownership {
    /// All partitions of the topic, or `None` until the broker has been asked.
    pub all: Option<Partitions>,
    /// Partitions of this instance.
    pub ours: Partitions,
    /// Partitions of this instance whose view is still being restored.
    pub restoring: Partitions,
    /// Other instances, with the partitions that they own.
    pub peers: Vec<Peer>,
    /// Partitions of which another member has the newest state. Includes members that are not instances.
    pub elsewhere: Partitions,
    /// Partitions without an owner that can be asked for them.
    pub missing: Vec<MissingPartitions>,
}

/// Another instance of the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Base URL of the instance.
    pub url: PeerUrl,
    /// Partitions that the instance owns, according to the group's coordinator.
    pub partitions: Partitions,
}

/// Partitions that a response does not cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MissingPartitions {
    /// The partitions. Empty if it is not known which ones are missing.
    pub partitions: Partitions,
    /// The reason.
    pub reason: String,
}

impl Ownership {
    /// Returns the ownership before the broker has described the group for the first time.
    pub(super) fn unknown(ours: Partitions, reason: &str) -> Self {
        let partitions = Partitions::default();
        let reason = reason.to_owned();
        let missing = vec![MissingPartitions { partitions, reason }];
        Self {
            ours,
            missing,
            ..Self::default()
        }
    }

    /// Derives the ownership from a description of the group. `ours` has precedence over the description, which may be
    /// older.
    ///
    /// If the group could not be described again since, `stale` is the reason. A member that is not an instance may
    /// then have lost its partitions since, so they do not count as `elsewhere`.
    pub(super) fn new(
        ours: Partitions,
        own_url: Option<&PeerUrl>,
        group: &GroupDescription,
        stale: Option<&str>,
    ) -> Self {
        let mut all = group.partitions.clone();
        all.add(ours.iter());
        let mut left = all.without(&ours);
        let mut ownership = Self {
            ours,
            ..Self::default()
        };
        for GroupMember {
            client_id,
            partitions,
        } in &group.members
        {
            let partitions = partitions.common(&left);
            if partitions.is_empty() {
                continue;
            }
            left = left.without(&partitions);
            match client_id.parse::<PeerUrl>() {
                Ok(url) if Some(&url) != own_url => {
                    ownership.elsewhere.add(partitions.iter());
                    ownership.peers.push(Peer { url, partitions });
                }
                Ok(url) => ownership.add_missing(
                    partitions,
                    format!("this instance ({url}) does not own them at the moment"),
                ),
                Err(_) => {
                    if stale.is_none() {
                        ownership.elsewhere.add(partitions.iter());
                    }
                    ownership.add_missing(
                        partitions,
                        format!("the group member {client_id:?} does not advertise a URL"),
                    );
                }
            }
        }
        if !left.is_empty() {
            let unowned = "no member of the group currently owns these partitions";
            ownership.add_missing(left, stale.unwrap_or(unowned).to_owned());
        }
        ownership.all = Some(all);
        ownership
    }

    /// Returns whether this instance owns all partitions.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let all = self.all.as_ref();
        all.is_some_and(|all| !all.is_empty() && self.ours.contains_all(all))
    }

    fn add_missing(&mut self, partitions: Partitions, reason: String) {
        self.missing.push(MissingPartitions { partitions, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(text: &str) -> Partitions {
        text.parse().expect(text)
    }

    fn group(members: &[(&str, &str)]) -> GroupDescription {
        let member = |&(client_id, has): &(&str, &str)| GroupMember {
            client_id: client_id.to_owned(),
            partitions: partitions(has),
        };
        GroupDescription {
            partitions: Partitions::below(6),
            members: members.iter().map(member).collect(),
        }
    }

    fn divide(ours: &str, members: &[(&str, &str)], stale: Option<&str>) -> Ownership {
        let own = "http://a:1".parse().expect("a URL");
        Ownership::new(partitions(ours), Some(&own), &group(members), stale)
    }

    fn shown(missing: &[MissingPartitions]) -> Vec<(String, &str)> {
        let each = missing.iter();
        each.map(|one| (one.partitions.to_string(), one.reason.as_str()))
            .collect()
    }

    #[test]
    fn each_partition_is_asked_of_one_and_ours_of_nobody() {
        let members = [
            ("http://a:1", "0-1"),
            ("http://b:1", "1-3"),
            ("http://c:1", "3-5"),
        ];
        let ownership = divide("0-1", &members, None);
        let asked: Vec<_> = ownership
            .peers
            .iter()
            .map(|peer| (peer.url.to_string(), peer.partitions.to_string()))
            .collect();
        assert_eq!(
            asked,
            [
                ("http://b:1".to_owned(), "2-3".to_owned()),
                ("http://c:1".to_owned(), "4-5".to_owned())
            ]
        );
        assert_eq!(ownership.missing, []);
        assert_eq!(ownership.elsewhere, partitions("2-5"));
        assert!(!ownership.is_whole());
    }

    #[test]
    fn who_cannot_be_asked_is_named() {
        let members = [
            ("aiokafka-0.12.0", "0-1"),
            ("http://b:1", "2"),
            ("http://a:1", "5"),
        ];
        let ownership = divide("-", &members, None);
        assert_eq!(ownership.peers.len(), 1);
        assert_eq!(
            shown(&ownership.missing),
            [
                (
                    "0-1".to_owned(),
                    "the group member \"aiokafka-0.12.0\" does not advertise a URL"
                ),
                (
                    "5".to_owned(),
                    "this instance (http://a:1) does not own them at the moment"
                ),
                (
                    "3-4".to_owned(),
                    "no member of the group currently owns these partitions"
                ),
            ]
        );
        // This instance has the newest state of partitions without an owner, but not of those of another member.
        assert_eq!(ownership.elsewhere, partitions("0-2"));
        let ownership = divide("-", &members, Some("the broker is gone"));
        assert_eq!(ownership.elsewhere, partitions("2"));
        assert_eq!(
            shown(&ownership.missing)[2],
            ("3-4".to_owned(), "the broker is gone")
        );
    }

    #[test]
    fn alone_it_has_everything_also_what_was_added_since() {
        assert!(divide("0-5", &[("http://a:1", "0-5")], None).is_whole());
        let ownership = divide("0-7", &[], None);
        assert!(ownership.is_whole());
        assert_eq!(ownership.all, Some(Partitions::below(8)));
        assert!(!Ownership::unknown(partitions("0-3"), "no broker").is_whole());
    }
}
