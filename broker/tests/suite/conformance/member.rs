//! A member of a group that only does what a check says: it sends no heartbeats and does not join again by itself.

use bytes::Bytes;
use eventos_testkit::raw::{Raw, Verdict, text, verdict};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        GroupId, HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
        OffsetCommitRequest, SyncGroupRequest, TopicName,
        join_group_request::JoinGroupRequestProtocol,
        leave_group_request::MemberIdentity,
        offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic},
        sync_group_request::SyncGroupRequestAssignment,
    },
    protocol::StrBytes,
};

use super::subject::Subject;

/// The version of each request; all of them have static members.
pub(super) const JOIN: i16 = 7;
const SYNC: i16 = 5;
const HEARTBEAT: i16 = 4;
const LEAVE: i16 = 4;
const COMMIT: i16 = 8;

/// A member of a group, or a client that wants to be one.
pub(super) struct Member {
    pub raw: Raw,
    pub group: String,
    pub id: String,
    pub instance: Option<String>,
    pub generation: i32,
}

/// How a member joins.
#[derive(Clone, Copy)]
pub(super) struct Terms<'a> {
    pub kind: &'a str,
    pub protocols: &'a [&'a str],
    pub session_timeout_ms: i32,
}

/// The values of most consumers.
pub(super) const USUAL: Terms<'static> = Terms {
    kind: "consumer",
    protocols: &["range"],
    session_timeout_ms: 30_000,
};

impl Member {
    /// Returns a member that has not joined.
    pub(super) fn new(subject: &Subject, group: &str) -> Self {
        Self {
            raw: subject.raw(),
            group: group.to_owned(),
            id: String::new(),
            instance: None,
            generation: -1,
        }
    }

    /// Returns the only member of a group, which is stable.
    pub(super) fn alone(subject: &Subject, group: &str) -> Self {
        let mut member = Self::new(subject, group);
        assert_eq!(member.join(USUAL), None);
        assert_eq!(member.sync(&[]), (None, Bytes::new()));
        member
    }

    /// Returns a request to join.
    pub(super) fn request(&self, terms: Terms<'_>) -> JoinGroupRequest {
        let protocol = |name: &&str| {
            JoinGroupRequestProtocol::default()
                .with_name(text(name))
                .with_metadata(Bytes::new())
        };
        JoinGroupRequest::default()
            .with_group_id(text::<GroupId>(&self.group))
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_session_timeout_ms(terms.session_timeout_ms)
            .with_rebalance_timeout_ms(10_000)
            .with_protocol_type(text(terms.kind))
            .with_protocols(terms.protocols.iter().map(protocol).collect())
    }

    /// Takes over the response of the coordinator.
    pub(super) fn joined(&mut self, answer: &JoinGroupResponse) -> Verdict {
        self.id = answer.member_id.to_string();
        self.generation = answer.generation_id;
        verdict(answer.error_code)
    }

    /// Joins; joins again with the member id from the coordinator.
    pub(super) fn join(&mut self, terms: Terms<'_>) -> Verdict {
        loop {
            let answer = self.raw.call(JOIN, &self.request(terms));
            match self.joined(&answer) {
                Some(ResponseError::MemberIdRequired) => {}
                verdict => return verdict,
            }
        }
    }

    /// Begins to join. The coordinator responds when all members have joined. The member must have its id already.
    pub(super) fn begin_join(&mut self) {
        self.raw.send(JOIN, &self.request(USUAL));
    }

    /// Waits for the end of the rebalance.
    pub(super) fn end_join(&mut self) -> Verdict {
        let answer = self.raw.receive::<JoinGroupRequest>(JOIN);
        self.joined(&answer)
    }

    /// Gets a member id to join with.
    pub(super) fn introduce(&mut self) -> Verdict {
        let answer = self.raw.call(JOIN, &self.request(USUAL));
        self.joined(&answer)
    }

    /// Sends the assignments if it is the leader, and gets its own.
    pub(super) fn sync(&mut self, assignments: &[(&str, &'static str)]) -> (Verdict, Bytes) {
        let assignment = |(member, bytes): &(&str, &'static str)| {
            SyncGroupRequestAssignment::default()
                .with_member_id(text(member))
                .with_assignment(Bytes::from_static(bytes.as_bytes()))
        };
        let request = SyncGroupRequest::default()
            .with_group_id(text::<GroupId>(&self.group))
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_generation_id(self.generation)
            .with_protocol_type(Some(text::<StrBytes>("consumer")))
            .with_protocol_name(Some(text::<StrBytes>("range")))
            .with_assignments(assignments.iter().map(assignment).collect());
        let answer = self.raw.call(SYNC, &request);
        (verdict(answer.error_code), answer.assignment)
    }

    /// Sends a heartbeat.
    pub(super) fn heartbeat(&mut self) -> Verdict {
        let request = HeartbeatRequest::default()
            .with_group_id(text::<GroupId>(&self.group))
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_generation_id(self.generation);
        verdict(self.raw.call(HEARTBEAT, &request).error_code)
    }

    /// Leaves; returns the verdict for the member.
    pub(super) fn leave(&mut self) -> Verdict {
        let identity = MemberIdentity::default()
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text));
        let request = LeaveGroupRequest::default()
            .with_group_id(text::<GroupId>(&self.group))
            .with_members(vec![identity]);
        let answer = self.raw.call(LEAVE, &request);
        let of_member = answer.members.first().map_or(0, |member| member.error_code);
        verdict(answer.error_code).or(verdict(of_member))
    }

    /// Commits an offset of partition 0.
    pub(super) fn commit(&mut self, topic: &str, offset: i64) -> Verdict {
        self.commit_with(topic, 0, offset, "")
    }

    /// Commits an offset.
    pub(super) fn commit_with(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
        metadata: &str,
    ) -> Verdict {
        let partition = OffsetCommitRequestPartition::default()
            .with_partition_index(partition)
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text::<StrBytes>(metadata)));
        let topic = OffsetCommitRequestTopic::default()
            .with_name(text::<TopicName>(topic))
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(text::<GroupId>(&self.group))
            .with_member_id(text(&self.id))
            .with_group_instance_id(self.instance.as_deref().map(text))
            .with_generation_id_or_member_epoch(self.generation)
            .with_topics(vec![topic]);
        let answer = self.raw.call(COMMIT, &request);
        verdict(answer.topics[0].partitions[0].error_code)
    }
}
