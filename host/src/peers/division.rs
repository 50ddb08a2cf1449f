//! Who has which partitions, and which of them nobody can be asked for.

use super::PeerUrl;
use crate::{
    event::Partitions,
    kafka::{Member, Roll},
};

/// How the partitions of the topic are divided among the instances.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Division {
    /// All of them; None as long as the broker has not told.
    pub all: Option<Partitions>,
    /// Those of this instance.
    pub ours: Partitions,
    /// Those of them whose view is not whole yet.
    pub restoring: Partitions,
    /// Those of others that can be asked.
    pub peers: Vec<Peer>,
    /// Those of which another has the newest state: peers, or members that cannot be asked.
    pub elsewhere: Partitions,
    /// Those that nobody can be asked for, and why.
    pub missing: Vec<Missing>,
}

/// Another instance in the group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Where it is asked.
    pub url: PeerUrl,
    /// What it has, as the group's coordinator says.
    pub partitions: Partitions,
}

/// Partitions that an answer does not cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// Which; empty if that is not known.
    pub partitions: Partitions,
    /// Why not.
    pub reason: String,
}

impl Division {
    /// What is known before the broker has answered for the first time.
    pub(super) fn unknown(ours: Partitions, reason: &str) -> Self {
        let partitions = Partitions::default();
        let reason = reason.to_owned();
        let missing = vec![Missing { partitions, reason }];
        Self {
            ours,
            missing,
            ..Self::default()
        }
    }

    /// From the group as it is known, while these partitions are `ours`, whatever the group says of them. If it could
    /// not be asked again, `stale` says why: who could not be asked for a partition then need not have it now.
    pub(super) fn new(
        ours: Partitions,
        own_url: Option<&PeerUrl>,
        roll: &Roll,
        stale: Option<&str>,
    ) -> Self {
        let mut all = roll.partitions.clone();
        all.add(ours.iter());
        let mut left = all.without(&ours);
        let mut division = Self {
            ours,
            ..Self::default()
        };
        for Member {
            client_id,
            partitions,
        } in &roll.members
        {
            let partitions = partitions.common(&left);
            if partitions.is_empty() {
                continue;
            }
            left = left.without(&partitions);
            match client_id.parse::<PeerUrl>() {
                Ok(url) if Some(&url) != own_url => {
                    division.elsewhere.add(partitions.iter());
                    division.peers.push(Peer { url, partitions });
                }
                Ok(url) => division.miss(
                    partitions,
                    format!("{url} is this instance, which does not have them now"),
                ),
                Err(_) => {
                    if stale.is_none() {
                        division.elsewhere.add(partitions.iter());
                    }
                    division.miss(
                        partitions,
                        format!("{client_id:?} is in the group and gives no URL to be asked at"),
                    );
                }
            }
        }
        if !left.is_empty() {
            let nobody = "nobody that the group tells of has them now";
            division.miss(left, stale.unwrap_or(nobody).to_owned());
        }
        division.all = Some(all);
        division
    }

    /// Whether this instance has all there is.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let all = self.all.as_ref();
        all.is_some_and(|all| !all.is_empty() && self.ours.contains_all(all))
    }

    fn miss(&mut self, partitions: Partitions, reason: String) {
        self.missing.push(Missing { partitions, reason });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(text: &str) -> Partitions {
        text.parse().expect(text)
    }

    fn roll(members: &[(&str, &str)]) -> Roll {
        let member = |&(client_id, has): &(&str, &str)| Member {
            client_id: client_id.to_owned(),
            partitions: partitions(has),
        };
        Roll {
            partitions: Partitions::below(6),
            members: members.iter().map(member).collect(),
        }
    }

    fn divide(ours: &str, members: &[(&str, &str)], stale: Option<&str>) -> Division {
        let own = "http://a:1".parse().expect("a URL");
        Division::new(partitions(ours), Some(&own), &roll(members), stale)
    }

    fn shown(missing: &[Missing]) -> Vec<(String, &str)> {
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
        let division = divide("0-1", &members, None);
        let asked: Vec<_> = division
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
        assert_eq!(division.missing, []);
        assert_eq!(division.elsewhere, partitions("2-5"));
        assert!(!division.is_whole());
    }

    #[test]
    fn who_cannot_be_asked_is_named() {
        let members = [
            ("aiokafka-0.12.0", "0-1"),
            ("http://b:1", "2"),
            ("http://a:1", "5"),
        ];
        let division = divide("-", &members, None);
        assert_eq!(division.peers.len(), 1);
        assert_eq!(
            shown(&division.missing),
            [
                (
                    "0-1".to_owned(),
                    "\"aiokafka-0.12.0\" is in the group and gives no URL to be asked at"
                ),
                (
                    "5".to_owned(),
                    "http://a:1 is this instance, which does not have them now"
                ),
                (
                    "3-4".to_owned(),
                    "nobody that the group tells of has them now"
                ),
            ]
        );
        // Its state of what is another's is old; what nobody has, only it may have.
        assert_eq!(division.elsewhere, partitions("0-2"));
        let division = divide("-", &members, Some("the broker is gone"));
        assert_eq!(division.elsewhere, partitions("2"));
        assert_eq!(
            shown(&division.missing)[2],
            ("3-4".to_owned(), "the broker is gone")
        );
    }

    #[test]
    fn alone_it_has_everything_also_what_was_added_since() {
        assert!(divide("0-5", &[("http://a:1", "0-5")], None).is_whole());
        let division = divide("0-7", &[], None);
        assert!(division.is_whole());
        assert_eq!(division.all, Some(Partitions::below(8)));
        assert!(!Division::unknown(partitions("0-3"), "no broker").is_whole());
    }
}
