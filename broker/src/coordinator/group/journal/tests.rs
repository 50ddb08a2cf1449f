//! Tests of what a restart keeps of groups.

use std::{fs, time::Duration};

use super::{
    super::{
        GroupCoordinator, GroupError,
        member::{JoinReply, JoinRequest, SyncRequest},
    },
    *,
};
use crate::storage::tests::copy;

fn open(folder: &Path) -> GroupCoordinator {
    GroupCoordinator::open(folder).unwrap()
}

fn join_as(member_id: &str, instance: Option<&str>) -> JoinRequest {
    JoinRequest {
        member_id: member_id.to_owned(),
        instance_id: instance.map(str::to_owned),
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout: Duration::from_secs(45),
        rebalance_timeout: Duration::from_secs(300),
        protocol_type: "connect".to_owned(),
        protocols: vec![("default".to_owned(), Bytes::from_static(b"topics"))],
        id_required: false,
    }
}

/// Joins the first member of a group.
fn join(groups: &GroupCoordinator, member_id: &str, instance: Option<&str>) -> JoinReply {
    let mut reply = groups.join("g", join_as(member_id, instance));
    reply.try_recv().unwrap().unwrap()
}

/// Returns the assignment of a member; the leader assigns "all" to itself.
fn sync(groups: &GroupCoordinator, joined: &JoinReply) -> Result<Bytes, GroupError> {
    let mut reply = groups.sync(
        "g",
        SyncRequest {
            member_id: joined.member_id.clone(),
            instance_id: None,
            generation: joined.generation,
            protocol_type: None,
            protocol: None,
            assignments: vec![(joined.member_id.clone(), Bytes::from_static(b"all"))],
        },
    );
    reply.try_recv().unwrap().map(|synced| synced.assignment)
}

fn heartbeat(groups: &GroupCoordinator, joined: &JoinReply) -> Result<(), GroupError> {
    groups.heartbeat("g", &joined.member_id, None, joined.generation)
}

#[test]
fn a_member_stays_one_with_all_that_is_known_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let groups = open(dir.path());
    let joined = join(&groups, "", Some("one"));
    assert_eq!(sync(&groups, &joined).unwrap(), "all");
    let before = format!("{:?}", groups.describe("g").unwrap());
    // A kill leaves the files as they are.
    for _ in 0..2 {
        let copied = copy(dir.path());
        let groups = open(copied.path());
        assert_eq!(format!("{:?}", groups.describe("g").unwrap()), before);
        assert_eq!(heartbeat(&groups, &joined), Ok(()));
        assert_eq!(sync(&groups, &joined).unwrap(), "all");
        // A static member that has restarted meanwhile gets its assignment without a rebalance.
        let again = join(&groups, "", Some("one"));
        assert_eq!(again.generation, joined.generation);
        assert_eq!(sync(&groups, &again).unwrap(), "all");
        let other = open(copied.path());
        assert_eq!(heartbeat(&other, &again), Ok(()));
        assert_eq!(heartbeat(&other, &joined), Err(GroupError::UnknownMember));
    }
}

#[test]
fn an_unfinished_rebalance_leaves_the_generation_before() {
    let dir = tempfile::tempdir().unwrap();
    let groups = open(dir.path());
    let first = join(&groups, "", None);
    sync(&groups, &first).unwrap();
    let waiting = groups.join("g", join_as("", None));
    assert_eq!(
        heartbeat(&groups, &first),
        Err(GroupError::RebalanceInProgress)
    );
    let groups = open(copy(dir.path()).path());
    assert_eq!(heartbeat(&groups, &first), Ok(()));
    drop(waiting);
}

#[test]
fn a_group_whose_members_left_keeps_its_type_and_generation_until_it_is_removed() {
    let dir = tempfile::tempdir().unwrap();
    let groups = open(dir.path());
    let first = join(&groups, "", None);
    sync(&groups, &first).unwrap();
    groups.leave("g", &first.member_id, None).unwrap();
    groups.tick();
    for groups in [&groups, &open(copy(dir.path()).path())] {
        groups.tick();
        let group = groups.describe("g").unwrap();
        assert_eq!(group.state, GroupState::Empty);
        assert_eq!((&*group.protocol_type, group.members.len()), ("connect", 0));
        groups.remove_abandoned(|_| true);
        assert!(groups.describe("g").is_some());
    }
    let again = join(&groups, "", None);
    assert!(again.generation > first.generation);
    groups.leave("g", &again.member_id, None).unwrap();
    groups.remove_abandoned(|_| false);
    assert!(groups.describe("g").is_none());
    assert!(open(copy(dir.path()).path()).describe("g").is_none());
}

#[test]
fn members_that_are_removed_are_gone_after_a_restart_too() {
    let dir = tempfile::tempdir().unwrap();
    let groups = open(dir.path());
    let first = join(&groups, "", None);
    sync(&groups, &first).unwrap();
    let groups = open(dir.path());
    groups.remove_members("none");
    groups.remove_members("g");
    for groups in [&groups, &open(copy(dir.path()).path())] {
        assert_eq!(heartbeat(groups, &first), Err(GroupError::UnknownMember));
        assert!(!groups.has_members("g"));
        // The next member does not have to wait.
        join(groups, "", None);
    }
}

#[test]
fn a_group_that_nobody_ever_joined_is_forgotten_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let groups = open(dir.path());
    let mut refused = groups.join(
        "g",
        JoinRequest {
            session_timeout: Duration::ZERO,
            ..join_as("", None)
        },
    );
    let refused = refused.try_recv().unwrap();
    assert_eq!(refused.unwrap_err(), GroupError::InvalidSessionTimeout);
    groups.tick();
    assert!(groups.describe("g").is_none());
}

#[test]
fn a_session_begins_again_with_the_broker() {
    let dir = tempfile::tempdir().unwrap();
    let groups = open(dir.path());
    let joined = join(&groups, "", None);
    sync(&groups, &joined).unwrap();
    let now = Instant::now() + Duration::from_secs(3600);
    let (_, mut restored) = GroupJournal::open(copy(dir.path()).path(), now).unwrap();
    let group = restored.get_mut("g").unwrap();
    assert!(group.expire(now + Duration::from_secs(44)).is_empty());
    let lost = group.expire(now + Duration::from_secs(45));
    assert_eq!(lost, [joined.member_id]);
}

#[test]
fn a_torn_or_damaged_end_costs_only_what_it_holds() {
    let dir = tempfile::tempdir().unwrap();
    let groups = open(dir.path());
    let first = join(&groups, "", None);
    sync(&groups, &first).unwrap();
    let path = dir.path().join("groups");
    let whole = fs::read(&path).unwrap();
    groups.leave("g", &first.member_id, None).unwrap();
    let longer = fs::read(&path).unwrap();
    drop(groups);
    for cut in whole.len()..longer.len() {
        fs::write(&path, &longer[..cut]).unwrap();
        assert_eq!(heartbeat(&open(dir.path()), &first), Ok(()), "{cut}");
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        fs::write(&path, damaged).unwrap();
        assert!(open(dir.path()).describe("g").is_none(), "{at}");
    }
}

#[test]
fn a_journal_of_many_rebalances_is_rewritten() {
    let dir = tempfile::tempdir().unwrap();
    let groups = open(dir.path());
    let first = join(&groups, "", None);
    sync(&groups, &first).unwrap();
    let group = groups.groups.lock().remove("g").unwrap();
    let group = Group {
        protocol: "x".repeat(1 << 20),
        ..group
    };
    for _ in 0..20 {
        groups.journal.save("large", &group);
    }
    let size = fs::metadata(dir.path().join("groups")).unwrap().len();
    assert!(size < 8 << 20, "{size}");
    let groups = open(dir.path());
    assert!(groups.has_members("large") && groups.has_members("g"));
}
