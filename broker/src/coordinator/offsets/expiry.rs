//! Expiry of the committed offsets of abandoned groups (KIP-211): some time after the last member of the group has left,
//! and after the commit itself.

use std::time::Duration;

use super::{CommittedOffsets, Group, entry::OffsetsEntry};
use crate::Error;

/// How long offsets are kept without members in the group: Kafka's default of `offsets.retention.minutes`, seven days.
pub(crate) const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

impl CommittedOffsets {
    /// Notes which groups have members at `now` (ms), and deletes the offsets of those that have had none for too long.
    /// Returns the number of deleted offsets. The caller has to call this regularly.
    ///
    /// The journal has the time of the last member, too. So a restart makes a group look neither abandoned nor used.
    pub(crate) fn expire(
        &self,
        now: i64,
        has_members: impl Fn(&str) -> bool,
    ) -> Result<usize, Error> {
        let mut state = self.state.lock();
        let mut entries = Vec::new();
        let mut deleted = 0;
        for (name, group) in &state.groups {
            match (has_members(name), group.empty_since) {
                (true, None) => {}
                (true, Some(_)) => entries.push(OffsetsEntry::Members(name.clone(), None)),
                (false, None) => entries.push(OffsetsEntry::Members(name.clone(), Some(now))),
                (false, Some(since)) => {
                    let before = entries.len();
                    entries.extend(group.expired(name, since, now));
                    deleted += entries.len() - before;
                }
            }
        }
        self.write(&mut state, entries)?;
        Ok(deleted)
    }
}

impl Group {
    fn expired(&self, name: &str, since: i64, now: i64) -> impl Iterator<Item = OffsetsEntry> {
        let deadline = now.saturating_sub(RETENTION.as_millis() as i64);
        let old = move |time: i64| since.max(time) <= deadline;
        self.commits
            .iter()
            .filter(move |(_, committed)| old(committed.time))
            .map(|(partition, _)| OffsetsEntry::OffsetDeleted(name.to_owned(), partition.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::tests::{at, key},
        *,
    };

    const DAY: i64 = 24 * 3_600_000;

    #[test]
    fn offsets_outlive_their_group_by_seven_days_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let open = || CommittedOffsets::open(dir.path()).unwrap();
        open()
            .commit("g", vec![(key("t", 0), at(1))], |_| true)
            .unwrap();
        let expire = |day, members| open().expire(day * DAY, |_| members).unwrap();
        // Nothing expires while the group has members, however old the commit is.
        assert_eq!([expire(1, true), expire(30, true)], [0, 0]);
        assert_eq!([expire(31, false), expire(37, false)], [0, 0]);
        // After a member was back for a moment, the seven days begin again.
        assert_eq!([expire(37, true), expire(38, false)], [0, 0]);
        assert_eq!([expire(44, false), expire(45, false)], [0, 1]);
        assert!(!open().has_group("g"));
    }

    #[test]
    fn a_fresh_commit_of_an_old_group_stays() {
        let dir = tempfile::tempdir().unwrap();
        let offsets = CommittedOffsets::open(dir.path()).unwrap();
        let fresh = super::super::CommittedOffset {
            time: 8 * DAY,
            ..at(2)
        };
        let commits = vec![(key("t", 0), at(1)), (key("t", 1), fresh)];
        offsets.commit("g", commits, |_| true).unwrap();
        assert_eq!(offsets.expire(0, |_| false).unwrap(), 0);
        assert_eq!(offsets.expire(8 * DAY, |_| false).unwrap(), 1);
        assert_eq!(offsets.get("g", &key("t", 0)), None);
        assert!(offsets.get("g", &key("t", 1)).is_some());
    }
}
