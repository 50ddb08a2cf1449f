//! The end of what a group committed and nobody asks for any more, as KIP-211 has it: some time after the group's last
//! member went and after the commit itself.

use std::time::Duration;

use super::entry::Entry;
use super::{CommittedOffsets, Group};
use crate::Error;

/// How long offsets outlive their group: Kafka's default of `offsets.retention.minutes`, seven days.
pub const RETENTION: Duration = Duration::from_secs(7 * 24 * 3600);

impl CommittedOffsets {
    /// Notes which groups have members at `now` (ms), and forgets what was committed by those without for too long.
    /// To be called now and then; how many offsets it forgot.
    ///
    /// Who has members is journaled too, so that neither a restart makes a group look abandoned nor many of them make
    /// it look used.
    pub fn expire(&self, now: i64, has_members: impl Fn(&str) -> bool) -> Result<usize, Error> {
        let mut state = self.lock();
        let mut entries = Vec::new();
        let mut gone = 0;
        for (name, group) in &state.groups {
            match (has_members(name), group.empty_since) {
                (true, None) => {}
                (true, Some(_)) => entries.push(Entry::Members(name.clone(), None)),
                (false, None) => entries.push(Entry::Members(name.clone(), Some(now))),
                (false, Some(since)) => {
                    let before = entries.len();
                    entries.extend(group.expired(name, since, now));
                    gone += entries.len() - before;
                }
            }
        }
        self.write(&mut state, entries)?;
        Ok(gone)
    }
}

impl Group {
    fn expired(&self, name: &str, since: i64, now: i64) -> impl Iterator<Item = Entry> {
        let deadline = now.saturating_sub(RETENTION.as_millis() as i64);
        let old = move |time: i64| since.max(time) <= deadline;
        self.commits
            .iter()
            .filter(move |(_, committed)| old(committed.time))
            .map(|(partition, _)| Entry::CommitGone(name.to_owned(), partition.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, key};
    use super::*;

    const DAY: i64 = 24 * 3_600_000;

    #[test]
    fn offsets_outlive_their_group_by_seven_days_over_restarts() {
        let dir = tempfile::tempdir().unwrap();
        let open = || CommittedOffsets::open(dir.path()).unwrap();
        open().commit("g", vec![(key("t", 0), at(1))]).unwrap();
        let expire = |day, members| open().expire(day * DAY, |_| members).unwrap();
        // While it has members nothing expires, however old the commit.
        assert_eq!([expire(1, true), expire(30, true)], [0, 0]);
        assert_eq!([expire(31, false), expire(37, false)], [0, 0]);
        // Coming back for a moment begins the seven days anew.
        assert_eq!([expire(37, true), expire(38, false)], [0, 0]);
        assert_eq!([expire(44, false), expire(45, false)], [0, 1]);
        assert!(!open().has_group("g"));
    }

    #[test]
    fn a_fresh_commit_of_an_old_group_stays() {
        let dir = tempfile::tempdir().unwrap();
        let offsets = CommittedOffsets::open(dir.path()).unwrap();
        let fresh = super::super::Committed {
            time: 8 * DAY,
            ..at(2)
        };
        let commits = vec![(key("t", 0), at(1)), (key("t", 1), fresh)];
        offsets.commit("g", commits).unwrap();
        assert_eq!(offsets.expire(0, |_| false).unwrap(), 0);
        assert_eq!(offsets.expire(8 * DAY, |_| false).unwrap(), 1);
        assert_eq!(offsets.get("g", &key("t", 0)), None);
        assert!(offsets.get("g", &key("t", 1)).is_some());
    }
}
