//! Tests of the transitions of the group protocol, with a clock that the tests control.

use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    GroupError, ReplyReceiver,
    member::{JoinReply, JoinRequest, SyncRequest},
    state_machine::{Group, GroupState},
};

const SESSION: Duration = Duration::from_secs(10);
const REBALANCE: Duration = Duration::from_secs(60);

fn join_as(member_id: &str) -> JoinRequest {
    JoinRequest {
        member_id: member_id.to_owned(),
        instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        session_timeout: SESSION,
        rebalance_timeout: REBALANCE,
        protocol_type: "consumer".to_owned(),
        protocols: vec![("range".to_owned(), Bytes::from_static(b"topics"))],
        id_required: false,
    }
}

fn static_join(member_id: &str, instance: &str) -> JoinRequest {
    JoinRequest {
        instance_id: Some(instance.to_owned()),
        ..join_as(member_id)
    }
}

fn sync_as(joined: &JoinReply, assignments: &[(&str, &'static str)]) -> SyncRequest {
    let assignments = assignments.iter();
    SyncRequest {
        member_id: joined.member_id.clone(),
        instance_id: None,
        generation: joined.generation,
        protocol_type: None,
        protocol: None,
        assignments: assignments
            .map(|(id, text)| ((*id).to_owned(), Bytes::from_static(text.as_bytes())))
            .collect(),
    }
}

/// Returns a result that must be there already.
fn result_of<T>(mut reply: ReplyReceiver<T>) -> Result<T, GroupError> {
    reply.try_recv().expect("a result")
}

fn is_waiting<T: std::fmt::Debug>(reply: &mut ReplyReceiver<T>) -> bool {
    matches!(reply.try_recv(), Err(oneshot::error::TryRecvError::Empty))
}

/// Returns a stable group with one member, whose assignment is "all".
fn group_of_one(now: Instant) -> (Group, JoinReply) {
    let mut group = Group::default();
    let joined = result_of(group.join(join_as(""), now)).unwrap();
    let synced = group.sync(sync_as(&joined, &[(&joined.member_id, "all")]), now);
    assert_eq!(result_of(synced).unwrap().assignment, "all");
    (group, joined)
}

/// Returns a stable group with two members, of which the first is the leader.
fn group_of_two(now: Instant) -> (Group, JoinReply, JoinReply) {
    let (mut group, first) = group_of_one(now);
    let second = group.join(join_as(""), now);
    let first = result_of(group.join(join_as(&first.member_id), now)).unwrap();
    let second = result_of(second).unwrap();
    let (a, b) = (first.member_id.clone(), second.member_id.clone());
    let waiting = group.sync(sync_as(&second, &[]), now);
    result_of(group.sync(sync_as(&first, &[(&a, "0"), (&b, "1")]), now)).unwrap();
    assert_eq!(result_of(waiting).unwrap().assignment, "1");
    (group, first, second)
}

fn beat(group: &mut Group, member: &JoinReply, now: Instant) -> Result<(), GroupError> {
    group.heartbeat(&member.member_id, None, member.generation, now)
}

#[test]
fn the_first_member_leads_alone() {
    let now = Instant::now();
    let (mut group, joined) = group_of_one(now);
    assert_eq!(joined.leader, joined.member_id);
    assert_eq!(joined.members.len(), 1);
    assert_eq!((joined.generation, joined.protocol.as_str()), (1, "range"));
    assert_eq!(group.describe().state, GroupState::Stable);
    assert_eq!(beat(&mut group, &joined, now), Ok(()));
}

#[test]
fn a_second_member_makes_the_first_join_again() {
    let now = Instant::now();
    let (mut group, first) = group_of_one(now);
    let mut second = group.join(join_as(""), now);
    assert!(is_waiting(&mut second));
    assert_eq!(
        beat(&mut group, &first, now),
        Err(GroupError::RebalanceInProgress)
    );
    let again = result_of(group.join(join_as(&first.member_id), now)).unwrap();
    let second = result_of(second).unwrap();
    assert_eq!((again.generation, second.generation), (2, 2));
    assert_eq!(again.members.len(), 2, "the leader sees both");
    assert!(second.members.is_empty());
    assert_eq!(
        beat(&mut group, &first, now),
        Err(GroupError::IllegalGeneration)
    );
}

#[test]
fn syncs_wait_for_the_leader() {
    let now = Instant::now();
    let (group, first, _) = group_of_two(now);
    let description = group.describe();
    assert_eq!(description.members.len(), 2);
    assert_eq!(first.leader, first.member_id);
}

#[test]
fn a_new_member_is_told_its_id_first() {
    let now = Instant::now();
    let mut group = Group::default();
    let ask = JoinRequest {
        id_required: true,
        ..join_as("")
    };
    let Err(GroupError::MemberIdRequired(id)) = result_of(group.join(ask, now)) else {
        panic!("an id was to be required");
    };
    assert!(!group.is_unused());
    assert_eq!(
        result_of(group.join(join_as(&id), now)).unwrap().member_id,
        id
    );
    let unknown = group.join(join_as("never-heard"), now);
    assert_eq!(result_of(unknown), Err(GroupError::UnknownMember));
}

#[test]
fn a_told_id_that_nobody_uses_is_forgotten() {
    let now = Instant::now();
    let mut group = Group::default();
    let ask = JoinRequest {
        id_required: true,
        ..join_as("")
    };
    assert!(result_of(group.join(ask, now)).is_err());
    group.expire(now + SESSION);
    assert!(group.is_unused());
}

#[test]
fn a_silent_member_is_out_after_its_session() {
    let now = Instant::now();
    let (mut group, first, second) = group_of_two(now);
    let later = now + SESSION / 2;
    beat(&mut group, &second, later).unwrap();
    assert!(
        group
            .expire(now + SESSION - Duration::from_millis(1))
            .is_empty()
    );
    assert_eq!(group.expire(now + SESSION), [first.member_id.as_str()]);
    let state = beat(&mut group, &second, now + SESSION);
    assert_eq!(state, Err(GroupError::RebalanceInProgress));
    let alone = result_of(group.join(join_as(&second.member_id), now + SESSION)).unwrap();
    assert_eq!(alone.leader, second.member_id);
}

#[test]
fn a_rebalance_goes_on_without_the_late() {
    let now = Instant::now();
    let (mut group, first) = group_of_one(now);
    let mut second = group.join(join_as(""), now);
    // The first member sends heartbeats but does not join again.
    let mut at = now;
    while at < now + REBALANCE - SESSION {
        at += SESSION / 2;
        assert_eq!(
            beat(&mut group, &first, at),
            Err(GroupError::RebalanceInProgress)
        );
        assert!(group.expire(at).is_empty());
    }
    assert!(is_waiting(&mut second));
    let _ = beat(&mut group, &first, now + REBALANCE - SESSION / 2);
    assert_eq!(group.expire(now + REBALANCE), [first.member_id.as_str()]);
    let second = result_of(second).unwrap();
    assert_eq!(second.leader, second.member_id);
    assert_eq!(
        beat(&mut group, &first, now + REBALANCE),
        Err(GroupError::UnknownMember)
    );
}

#[test]
fn a_leader_that_does_not_assign_is_out() {
    let now = Instant::now();
    let (mut group, first) = group_of_one(now);
    let second = group.join(join_as(""), now);
    let first = result_of(group.join(join_as(&first.member_id), now)).unwrap();
    let second = result_of(second).unwrap();
    let waiting = group.sync(sync_as(&second, &[]), now);
    let mut at = now;
    while at + SESSION / 2 < now + REBALANCE {
        at += SESSION / 2;
        beat(&mut group, &first, at).unwrap();
        assert!(group.expire(at).is_empty());
    }
    beat(
        &mut group,
        &first,
        now + REBALANCE - Duration::from_millis(1),
    )
    .unwrap();
    assert_eq!(group.expire(now + REBALANCE), [first.member_id]);
    assert_eq!(result_of(waiting), Err(GroupError::RebalanceInProgress));
}

#[test]
fn leaving_calls_the_others() {
    let now = Instant::now();
    let (mut group, first, second) = group_of_two(now);
    group.leave(&first.member_id, None, now).unwrap();
    assert_eq!(
        group.leave(&first.member_id, None, now),
        Err(GroupError::UnknownMember)
    );
    assert_eq!(
        beat(&mut group, &second, now),
        Err(GroupError::RebalanceInProgress)
    );
    group.leave(&second.member_id, None, now).unwrap();
    assert_eq!(group.describe().state, GroupState::Empty);
    assert!(group.is_unused());
}

#[test]
fn commits_are_fenced_by_member_and_generation() {
    let now = Instant::now();
    let (mut group, first, second) = group_of_two(now);
    let generation = first.generation;
    let mut check = |member: &str, generation| group.check_commit(member, None, generation, now);
    assert_eq!(check(&first.member_id, generation), Ok(()));
    assert_eq!(
        check(&first.member_id, generation - 1),
        Err(GroupError::IllegalGeneration)
    );
    assert_eq!(
        check("stranger", generation),
        Err(GroupError::UnknownMember)
    );
    assert_eq!(check("", -1), Err(GroupError::UnknownMember));
    // During a rebalance, a member may commit until the next generation begins.
    let third = group.join(join_as(""), now);
    let commit =
        |group: &mut Group, generation| group.check_commit(&first.member_id, None, generation, now);
    assert_eq!(commit(&mut group, generation), Ok(()));
    let _first = group.join(join_as(&first.member_id), now);
    let _second = group.join(join_as(&second.member_id), now);
    let generation = result_of(third).unwrap().generation;
    assert_eq!(
        commit(&mut group, generation),
        Err(GroupError::RebalanceInProgress)
    );
    let mut empty = Group::default();
    assert_eq!(empty.check_commit("", None, -1, now), Ok(()));
}

#[test]
fn the_strategy_is_one_that_all_have() {
    let now = Instant::now();
    let with = |member_id: &str, names: &[&str]| JoinRequest {
        protocols: names
            .iter()
            .map(|n| ((*n).to_owned(), Bytes::new()))
            .collect(),
        ..join_as(member_id)
    };
    let mut group = Group::default();
    let first = result_of(group.join(with("", &["sticky", "range"]), now)).unwrap();
    assert_eq!(first.protocol, "sticky");
    let foreign = group.join(with("", &["roundrobin"]), now);
    assert_eq!(result_of(foreign), Err(GroupError::InconsistentProtocol));
    let second = group.join(with("", &["range"]), now);
    result_of(group.join(with(&first.member_id, &["sticky", "range"]), now)).unwrap();
    assert_eq!(result_of(second).unwrap().protocol, "range");
    let other_type = JoinRequest {
        protocol_type: "connect".to_owned(),
        ..join_as("")
    };
    assert_eq!(
        result_of(group.join(other_type, now)),
        Err(GroupError::InconsistentProtocol)
    );
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let now = Instant::now();
    let mut group = Group::default();
    let before = result_of(group.join(static_join("", "a"), now)).unwrap();
    result_of(group.sync(sync_as(&before, &[(&before.member_id, "all")]), now)).unwrap();
    let after = result_of(group.join(static_join("", "a"), now)).unwrap();
    assert_eq!(after.generation, before.generation);
    assert_ne!(after.member_id, before.member_id);
    assert_ne!(after.leader, after.member_id, "it must not assign anew");
    let synced = group.sync(sync_as(&after, &[]), now);
    assert_eq!(result_of(synced).unwrap().assignment, "all");
    let old = group.heartbeat(&before.member_id, Some("a"), before.generation, now);
    assert_eq!(old, Err(GroupError::FencedInstance));
    let old = group.join(static_join(&before.member_id, "a"), now);
    assert_eq!(result_of(old), Err(GroupError::FencedInstance));
    group.leave("", Some("a"), now).unwrap();
    assert!(group.is_unused());
}

#[test]
fn a_lost_answer_can_be_asked_for_again() {
    let now = Instant::now();
    let (mut group, first, second) = group_of_two(now);
    let again = result_of(group.join(join_as(&second.member_id), now)).unwrap();
    assert_eq!(again.generation, second.generation, "a follower may ask");
    let synced = group.sync(sync_as(&first, &[]), now);
    assert_eq!(result_of(synced).unwrap().assignment, "0");
    let mut leader = group.join(join_as(&first.member_id), now);
    assert!(is_waiting(&mut leader), "a leader wants to assign anew");
}

#[test]
fn session_timeouts_have_limits() {
    let now = Instant::now();
    for session_timeout in [Duration::ZERO, Duration::from_secs(3600)] {
        let ask = JoinRequest {
            session_timeout,
            ..join_as("")
        };
        let refused = result_of(Group::default().join(ask, now));
        assert_eq!(refused, Err(GroupError::InvalidSessionTimeout));
    }
}
