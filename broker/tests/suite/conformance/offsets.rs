//! Committed offsets: committing, fetching, expiring and deleting them.

use eventos_testkit::{
    DEADLINE,
    raw::{Verdict, text, verdict},
};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        GroupId, OffsetDeleteRequest, OffsetFetchRequest, TopicName,
        offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic},
        offset_fetch_request::OffsetFetchRequestGroup,
    },
};
use rdkafka::{
    Offset, TopicPartitionList,
    admin::AdminOptions,
    consumer::{CommitMode, Consumer},
    types::RDKafkaErrorCode,
};

use super::{
    member::Member,
    on_both,
    subject::{Subject, at, code, next},
};

/// Returns the committed offset of a group for partition 0 of a topic.
fn committed(subject: &Subject, group: &str, topic: &str) -> (Offset, String) {
    let mut requested = TopicPartitionList::new();
    requested.add_partition(topic, 0);
    let found = subject
        .consumer(group, &[])
        .committed_offsets(requested, DEADLINE);
    let found = found.expect("answered");
    let element = &found.elements()[0];
    (element.offset(), element.metadata().to_owned())
}

#[test]
fn what_is_committed_is_kept_with_its_metadata() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let consumer = subject.consumer(&group, &[]);
        let mut commits = Vec::new();
        for (offset, metadata) in [(5, "five"), (3, ""), (i64::MAX, "más")] {
            let mut list = TopicPartitionList::new();
            let mut element = list.add_partition(&topic, 0);
            element.set_offset(Offset::Offset(offset)).expect("set");
            element.set_metadata(metadata);
            consumer.commit(&list, CommitMode::Sync).expect("committed");
            commits.push(committed(subject, &group, &topic));
        }
        commits
    })
    .agree_on(vec![
        (Offset::Offset(5), "five".to_owned()),
        (Offset::Offset(3), String::new()),
        (Offset::Offset(i64::MAX), "más".to_owned()),
    ]);
}

#[test]
fn nothing_committed_is_told_as_such() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let never = committed(subject, &group, &topic);
        Member::new(subject, &group).commit(&subject.topic(1), 7);
        let other_topic = committed(subject, &group, &topic);
        let no_topic = committed(subject, &group, &subject.name("none"));
        [never, other_topic, no_topic].map(|(offset, _)| offset)
    })
    .agree_on([Offset::Invalid; 3]);
}

#[test]
fn a_consumer_goes_on_where_its_group_has_committed() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        subject.fill(&topic, 0, &["a", "b", "c"]);
        let first = |group: &str| {
            let consumer = subject.consumer(group, &[]);
            consumer.subscribe(&[&topic]).expect("subscribed");
            let message = next(&consumer);
            let offset = rdkafka::Message::offset(&message);
            consumer
                .commit_message(&message, CommitMode::Sync)
                .expect("committed");
            offset
        };
        [first(&group), first(&group), first(&subject.name("g"))]
    })
    .agree_on([0, 1, 0]);
}

#[test]
fn only_the_members_of_this_generation_may_commit() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let mut member = Member::alone(subject, &group);
        let mut verdicts = vec![member.commit(&topic, 1)];
        let mut as_member = |id: &str, generation| {
            let mut other = Member::new(subject, &group);
            (other.id, other.generation) = (id.to_owned(), generation);
            verdicts.push(other.commit(&topic, 2));
        };
        let generation = member.generation;
        as_member(&member.id, generation + 1);
        as_member(&member.id, generation - 1);
        as_member(&member.id, -1);
        as_member("stranger", generation);
        as_member("", generation);
        as_member("", -1);
        (verdicts, committed(subject, &group, &topic).0)
    })
    .agree_on((
        vec![
            None,
            Some(ResponseError::IllegalGeneration),
            Some(ResponseError::IllegalGeneration),
            Some(ResponseError::IllegalGeneration),
            Some(ResponseError::UnknownMemberId),
            Some(ResponseError::UnknownMemberId),
            Some(ResponseError::UnknownMemberId),
        ],
        Offset::Offset(1),
    ));
}

#[test]
fn a_group_without_members_takes_what_nobody_in_particular_commits() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let commit = |group: &str, id: &str, generation| {
            let mut member = Member::new(subject, group);
            (member.id, member.generation) = (id.to_owned(), generation);
            member.commit(&topic, 2)
        };
        let group = subject.name("g");
        let new = || subject.name("g");
        [
            commit(&group, "", -1),
            commit(&group, "x", -1),
            commit(&group, "x", 0),
            commit(&new(), "", 0),
            commit(&new(), "x", 3),
            commit("", "", -1),
        ]
    })
    .agree_on([
        None,
        None,
        Some(ResponseError::UnknownMemberId),
        Some(ResponseError::IllegalGeneration),
        Some(ResponseError::IllegalGeneration),
        None,
    ]);
}

#[test]
fn an_offset_may_be_committed_only_for_what_is_there_and_with_little_metadata() {
    on_both(|subject| {
        let topic = subject.topic(1);
        let mut member = Member::new(subject, &subject.name("g"));
        [
            member.commit_with(&topic, 1, 0, ""),
            member.commit_with(&subject.name("none"), 0, 0, ""),
            member.commit_with(&topic, 0, 0, &"x".repeat(4097)),
            member.commit_with(&topic, 0, 0, &"x".repeat(4096)),
            member.commit_with(&topic, 0, -1, ""),
        ]
    })
    .agree_on([
        Some(ResponseError::UnknownTopicOrPartition),
        Some(ResponseError::UnknownTopicOrPartition),
        Some(ResponseError::OffsetMetadataTooLarge),
        None,
        None,
    ]);
}

#[test]
fn all_that_a_group_has_committed_is_told_at_once() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(3), subject.name("g"));
        let mut member = Member::new(subject, &group);
        member.commit_with(&topic, 0, 5, "");
        member.commit_with(&topic, 2, 7, "m");
        let all =
            |name: &str| OffsetFetchRequestGroup::default().with_group_id(text::<GroupId>(name));
        let groups = vec![
            all(&group).with_topics(None),
            all(&subject.name("g")).with_topics(None),
        ];
        let request = OffsetFetchRequest::default().with_groups(groups);
        let answer = subject.raw().call(8, &request);
        let found = answer.groups.iter().map(|group| {
            let partitions = group.topics.iter().flat_map(|topic| &topic.partitions);
            let partition = partitions.map(|p| {
                let metadata = p.metadata.as_ref().map(ToString::to_string);
                (p.partition_index, p.committed_offset, metadata)
            });
            let mut partitions: Vec<_> = partition.collect();
            partitions.sort();
            (verdict(group.error_code), partitions)
        });
        found.collect::<Vec<_>>()
    })
    .agree_on(vec![
        (
            None,
            vec![(0, 5, Some(String::new())), (2, 7, Some("m".to_owned()))],
        ),
        (None, vec![]),
    ]);
}

#[test]
fn a_consumer_that_is_out_of_its_group_cannot_commit() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let _member = Member::alone(subject, &group);
        let simple = subject.consumer(&group, &[]);
        let commit = simple.commit(&at(&topic, 0, Offset::Offset(1)), CommitMode::Sync);
        commit.map_err(|error| code(&error))
    })
    .agree_on(Err(RDKafkaErrorCode::UnknownMemberId));
}

/// Deletes a group; returns the verdict.
fn delete(subject: &Subject, group: &str) -> Result<(), RDKafkaErrorCode> {
    let admin = subject.admin();
    let deleted = admin.delete_groups(&[group], &AdminOptions::new());
    let deleted = subject.wait(deleted).expect("answered").remove(0);
    deleted.map(drop).map_err(|(_, code)| code)
}

#[test]
fn a_group_is_deleted_only_without_members() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let unknown = delete(subject, &group);
        let mut member = Member::alone(subject, &group);
        member.commit(&topic, 1);
        let live = delete(subject, &group);
        member.leave();
        let empty = delete(subject, &group);
        let again = delete(subject, &group);
        let left = (subject.group(&group), committed(subject, &group, &topic).0);
        ([unknown, live, empty, again], left)
    })
    .agree_on((
        [
            Err(RDKafkaErrorCode::GroupIdNotFound),
            Err(RDKafkaErrorCode::NonEmptyGroup),
            Ok(()),
            Err(RDKafkaErrorCode::GroupIdNotFound),
        ],
        (None, Offset::Invalid),
    ));
}

/// Deletes committed offsets of a group; returns the verdicts, sorted by partition.
fn delete_offsets(
    subject: &Subject,
    group: &str,
    partitions: &[(&str, i32)],
) -> (Verdict, Vec<Verdict>) {
    let topic = |&(topic, partition): &(&str, i32)| {
        let partition = OffsetDeleteRequestPartition::default().with_partition_index(partition);
        OffsetDeleteRequestTopic::default()
            .with_name(text::<TopicName>(topic))
            .with_partitions(vec![partition])
    };
    let request = OffsetDeleteRequest::default()
        .with_group_id(text::<GroupId>(group))
        .with_topics(partitions.iter().map(topic).collect());
    let answer = subject.raw().call(0, &request);
    let of = |&(topic, partition): &(&str, i32)| {
        let mut topics = answer.topics.iter();
        let topic = topics.find(|t| t.name.as_str() == topic)?;
        let mut partitions = topic.partitions.iter();
        let found = partitions.find(|p| p.partition_index == partition)?;
        Some(verdict(found.error_code))
    };
    let each = partitions.iter().filter_map(of).collect();
    (verdict(answer.error_code), each)
}

#[test]
fn committed_offsets_are_deleted_but_for_topics_that_members_subscribe_to() {
    on_both(|subject| {
        let (read, other) = (subject.topic(1), subject.topic(1));
        let (group, none) = (subject.name("g"), subject.name("none"));
        let consumer = subject.consumer(&group, &[]);
        for topic in [&read, &other] {
            let offset = at(topic, 0, Offset::Offset(3));
            consumer
                .commit(&offset, CommitMode::Sync)
                .expect("committed");
        }
        let unknown = delete_offsets(subject, &none, &[(&read, 0)]);
        consumer.subscribe(&[&read]).expect("subscribed");
        eventos_testkit::eventually("an assignment", || {
            let _ = consumer.poll(std::time::Duration::from_millis(5));
            let assigned = consumer.assignment().expect("an assignment").count();
            (assigned == 1).then_some(())
        });
        let requested = [(&*read, 0), (&*other, 0), (&*none, 0)];
        let results = delete_offsets(subject, &group, &requested);
        let left = [&read, &other].map(|topic| committed(subject, &group, topic).0);
        (unknown, results, left)
    })
    .agree_on((
        (Some(ResponseError::GroupIdNotFound), vec![]),
        (
            None,
            vec![
                Some(ResponseError::GroupSubscribedToTopic),
                None,
                Some(ResponseError::UnknownTopicOrPartition),
            ],
        ),
        [Offset::Offset(3), Offset::Invalid],
    ));
}

#[test]
fn what_was_committed_of_a_topic_goes_with_it() {
    on_both(|subject| {
        let (topic, group) = (subject.topic(1), subject.name("g"));
        let mut member = Member::new(subject, &group);
        member.commit(&topic, 7);
        member.commit(&subject.topic(1), 1);
        let admin = subject.admin();
        let deleted = admin.delete_topics(&[&topic], &AdminOptions::new());
        subject
            .wait(deleted)
            .expect("answered")
            .remove(0)
            .expect("deleted");
        eventos_testkit::eventually("the offset to go", || {
            let (offset, _) = committed(subject, &group, &topic);
            (offset == Offset::Invalid).then_some(offset)
        })
    })
    .agree_on(Offset::Invalid);
}
