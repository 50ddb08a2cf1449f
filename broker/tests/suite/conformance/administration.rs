//! Creating, extending, describing and deleting topics, and deleting records.

use eventos_testkit::{
    DEADLINE, eventually,
    raw::{EARLIEST, UNCOMMITTED, text, verdict},
};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        CreateTopicsRequest, DescribeClusterRequest, DescribeLogDirsRequest, MetadataRequest,
        TopicName,
        create_topics_request::{CreatableReplicaAssignment, CreatableTopic},
        metadata_request::MetadataRequestTopic,
    },
};
use rdkafka::{
    Offset,
    admin::{AdminOptions, NewPartitions, NewTopic, TopicReplication},
    consumer::{BaseConsumer, Consumer},
    types::RDKafkaErrorCode,
};

use super::{
    on_both,
    subject::{Subject, at, texts, verdict as admin_verdict},
};

type AdminVerdict = Result<(), RDKafkaErrorCode>;

/// Returns the number of partitions of a topic, if it exists.
fn partitions(subject: &Subject, topic: &str) -> Option<usize> {
    let consumer: BaseConsumer = subject.client(&[]).create().expect("a client");
    let metadata = consumer.fetch_metadata(None, DEADLINE).expect("answered");
    let mut topics = metadata.topics().iter();
    let topic = topics.find(|found| found.name() == topic)?;
    Some(topic.partitions().len())
}

#[test]
fn a_topic_is_made_once() {
    on_both(|subject| {
        let name = subject.name("t");
        let made = [(); 2].map(|()| subject.create(&name, 3, &[]));
        // Apache Kafka acknowledges a topic before its metadata has it.
        subject.raw().await_leaders(&name, 3);
        (made, partitions(subject, &name))
    })
    .agree_on(([Ok(()), Err(RDKafkaErrorCode::TopicAlreadyExists)], Some(3)));
}

#[test]
fn a_topic_is_not_made_if_only_its_description_is_to_be_judged() {
    on_both(|subject| {
        let (name, there) = (subject.name("t"), subject.topic(1));
        let admin = subject.admin();
        let options = AdminOptions::new().validate_only(true);
        let verdicts = [(&name, 1), (&there, 1), (&name, 0)].map(|(name, partitions)| {
            let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
            admin_verdict(subject.wait(admin.create_topics([&topic], &options)))
        });
        (verdicts, partitions(subject, &name))
    })
    .agree_on((
        [
            Ok(()),
            Err(RDKafkaErrorCode::TopicAlreadyExists),
            Err(RDKafkaErrorCode::InvalidPartitions),
        ],
        None,
    ));
}

#[test]
fn names_that_no_topic_can_have_are_refused() {
    on_both(|subject| {
        let long = "x".repeat(250);
        ["", ".", "..", "a b", "ñ", "a/b", &long].map(|name| subject.create(name, 1, &[]))
    })
    .agree_on([Err(RDKafkaErrorCode::InvalidTopic); 7]);
}

#[test]
fn names_that_differ_in_dots_and_underscores_collide() {
    on_both(|subject| {
        let name = subject.name("t");
        let [dot, line] = [".", "_"].map(|sign| format!("{name}{sign}x"));
        [&dot, &line, &dot].map(|name| subject.create(name, 1, &[]))
    })
    .agree_on([
        Ok(()),
        Err(RDKafkaErrorCode::InvalidTopic),
        Err(RDKafkaErrorCode::TopicAlreadyExists),
    ]);
}

#[test]
fn partitions_and_replicas_have_to_be_possible_or_left_to_the_broker() {
    on_both(|subject| {
        [(0, 1), (-1, 1), (-2, 1), (1, 2), (1, 0), (1, -1)].map(|(partitions, replicas)| {
            let name = subject.name("t");
            let topic = CreatableTopic::default()
                .with_name(text::<TopicName>(&name))
                .with_num_partitions(partitions)
                .with_replication_factor(replicas);
            create(subject, vec![topic]).remove(0)
        })
    })
    .agree_on([
        Some(ResponseError::InvalidPartitions),
        None,
        Some(ResponseError::InvalidPartitions),
        Some(ResponseError::InvalidReplicationFactor),
        Some(ResponseError::InvalidReplicationFactor),
        None,
    ]);
}

fn create(subject: &Subject, topics: Vec<CreatableTopic>) -> Vec<Option<ResponseError>> {
    let request = CreateTopicsRequest::default()
        .with_timeout_ms(10_000)
        .with_topics(topics);
    let answer = subject.raw().call(7, &request);
    let topics = answer.topics.iter();
    topics.map(|topic| verdict(topic.error_code)).collect()
}

#[test]
fn a_topic_that_is_asked_for_twice_in_one_request_is_not_made() {
    on_both(|subject| {
        let (twice, once) = (subject.name("t"), subject.name("t"));
        let topic = |name: &str| {
            CreatableTopic::default()
                .with_name(text::<TopicName>(name))
                .with_num_partitions(1)
                .with_replication_factor(1)
        };
        let mut verdicts = create(subject, vec![topic(&twice), topic(&once), topic(&twice)]);
        verdicts.sort_by_key(Option::is_some);
        let made = eventually("the other", || partitions(subject, &once));
        (verdicts, made, partitions(subject, &twice))
    })
    .agree_on((vec![None, Some(ResponseError::InvalidRequest)], 1, None));
}

#[test]
fn replicas_may_be_assigned_only_to_the_broker_that_is_there() {
    on_both(|subject| {
        [(&[0][..], 1), (&[0, 1], 1), (&[0, 2], 1), (&[0], 9)].map(|(ids, broker)| {
            let assignment = |id: &i32| {
                CreatableReplicaAssignment::default()
                    .with_partition_index(*id)
                    .with_broker_ids(vec![broker.into()])
            };
            let topic = CreatableTopic::default()
                .with_name(text::<TopicName>(&subject.name("t")))
                .with_num_partitions(-1)
                .with_replication_factor(-1)
                .with_assignments(ids.iter().map(assignment).collect());
            create(subject, vec![topic]).remove(0)
        })
    })
    .agree_on([
        None,
        None,
        Some(ResponseError::InvalidReplicaAssignment),
        Some(ResponseError::InvalidReplicaAssignment),
    ]);
}

#[test]
fn partitions_are_added_and_never_taken() {
    on_both(|subject| {
        let topic = subject.topic(2);
        subject.fill(&topic, 1, &["a"]);
        let admin = subject.admin();
        let none = subject.name("none");
        let wanted = [(&topic, 4), (&topic, 4), (&topic, 3), (&none, 2)];
        let verdicts = wanted.map(|(topic, count)| {
            let wanted = NewPartitions::new(topic, count);
            admin_verdict(subject.wait(admin.create_partitions([&wanted], &AdminOptions::new())))
        });
        subject.raw().await_leaders(&topic, 4);
        subject.fill(&topic, 3, &["b"]);
        let ends = [1, 3].map(|partition| subject.watermarks(&topic, partition));
        (verdicts, partitions(subject, &topic), ends)
    })
    .agree_on((
        [
            Ok(()),
            Err(RDKafkaErrorCode::InvalidPartitions),
            Err(RDKafkaErrorCode::InvalidPartitions),
            Err(RDKafkaErrorCode::UnknownTopicOrPartition),
        ],
        Some(4),
        [(0, 1), (0, 1)],
    ));
}

fn delete(subject: &Subject, topic: &str) -> AdminVerdict {
    let admin = subject.admin();
    admin_verdict(subject.wait(admin.delete_topics(&[topic], &AdminOptions::new())))
}

#[test]
fn a_deleted_topic_is_gone_and_may_be_made_anew_without_what_it_had() {
    on_both(|subject| {
        let topic = subject.topic(2);
        subject.fill(&topic, 0, &["a", "b"]);
        let deleted = delete(subject, &topic);
        let gone = eventually("the topic to go", || {
            let gone = partitions(subject, &topic).is_none();
            gone.then(|| delete(subject, &topic))
        });
        let made = subject.create(&topic, 1, &[]);
        subject.raw().await_leaders(&topic, 1);
        (deleted, gone, made, subject.watermarks(&topic, 0))
    })
    .agree_on((
        Ok(()),
        Err(RDKafkaErrorCode::UnknownTopicOrPartition),
        Ok(()),
        (0, 0),
    ));
}

#[test]
fn metadata_is_of_all_topics_or_of_those_named_each_with_its_verdict() {
    on_both(|subject| {
        let (topic, none) = (subject.topic(2), subject.name("none"));
        let mut raw = subject.raw();
        let mut ask = |names: Option<&[&str]>| {
            let topic = |name: &&str| {
                MetadataRequestTopic::default().with_name(Some(text::<TopicName>(name)))
            };
            let names = names.map(|names| names.iter().map(topic).collect());
            let request = MetadataRequest::default()
                .with_allow_auto_topic_creation(false)
                .with_topics(names);
            raw.call(12, &request)
        };
        let named = ask(Some(&[&topic, &none, "a b"]));
        let mut verdicts: Vec<_> = named
            .topics
            .iter()
            .map(|t| (verdict(t.error_code), t.partitions.len(), t.is_internal))
            .collect();
        verdicts.sort_by_key(|(error, ..)| error.map(|error| error.code()));
        let of_all = ask(None);
        let mut all = of_all.topics.iter();
        let known = |name: &str| all.any(|t| t.name.as_ref().is_some_and(|n| n.as_str() == name));
        let brokers = of_all.brokers.iter().map(|broker| broker.node_id.0);
        (
            verdicts,
            [&*topic, &*none].map(known),
            ask(Some(&[])).topics.len(),
            (brokers.collect::<Vec<_>>(), of_all.controller_id.0),
        )
    })
    .agree_on((
        vec![
            (None, 2, false),
            (Some(ResponseError::UnknownTopicOrPartition), 0, false),
            (Some(ResponseError::InvalidTopicException), 0, false),
        ],
        [true, false],
        0,
        (vec![1], 1),
    ));
}

#[test]
fn the_cluster_is_one_broker_that_leads_every_partition() {
    on_both(|subject| {
        let topic = subject.topic(2);
        let consumer: BaseConsumer = subject.client(&[]).create().expect("a client");
        let metadata = consumer.fetch_metadata(Some(&topic), DEADLINE);
        let metadata = metadata.expect("answered");
        let partitions = metadata.topics()[0].partitions().iter();
        let places = partitions.map(|p| (p.leader(), p.replicas().to_vec(), p.isr().to_vec()));
        let cluster = subject.raw().call(1, &DescribeClusterRequest::default());
        (
            places.collect::<Vec<_>>(),
            cluster.brokers.len(),
            cluster.controller_id.0,
            cluster.cluster_id.is_empty(),
        )
    })
    .agree_on((vec![(1, vec![1], vec![1]); 2], 1, 1, false));
}

#[test]
fn the_folder_is_described_with_the_size_of_each_partition() {
    on_both(|subject| {
        let topic = subject.topic(1);
        subject.fill(&topic, 0, &["a"]);
        let answer = subject
            .raw()
            .call(4, &DescribeLogDirsRequest::default().with_topics(None));
        let folders = answer.results.iter();
        let topics = folders.clone().flat_map(|folder| &folder.topics);
        let found = topics
            .filter(|t| t.name.as_str() == topic)
            .collect::<Vec<_>>();
        let partition = &found[0].partitions[0];
        (
            folders
                .map(|folder| verdict(folder.error_code))
                .collect::<Vec<_>>(),
            found.len(),
            partition.partition_size > 60,
            (partition.offset_lag, partition.is_future_key),
        )
    })
    .agree_on((vec![None], 1, true, (0, false)));
}

/// Deletes the records before an offset; returns the verdict and the new first offset.
fn delete_records(
    subject: &Subject,
    topic: &str,
    before: Offset,
) -> Result<Offset, RDKafkaErrorCode> {
    let admin = subject.admin();
    let wanted = at(topic, 0, before);
    let deleted = admin.delete_records(&wanted, &AdminOptions::new());
    let deleted = subject.wait(deleted).expect("answered");
    let element = &deleted.elements()[0];
    let error = element.error();
    error
        .map(|()| element.offset())
        .map_err(|e| super::subject::code(&e))
}

#[test]
fn deleted_records_are_out_of_range_and_reading_begins_behind_them() {
    on_both(|subject| {
        let topic = subject.topic(1);
        for value in ["a", "b", "c", "d"] {
            subject.fill(&topic, 0, &[value]);
        }
        let deleted = delete_records(subject, &topic, Offset::Offset(2));
        let mut raw = subject.raw();
        let fetched = raw.fetch(&topic, 0, 1, UNCOMMITTED);
        let rest = subject.read(&topic, 0, "read_committed");
        (
            deleted,
            subject.watermarks(&topic, 0),
            verdict(fetched.error_code),
            texts(&rest).join(" "),
            raw.list_offset(&topic, 0, EARLIEST, UNCOMMITTED).1,
            raw.list_offset(&topic, 0, 0, UNCOMMITTED).1,
        )
    })
    .agree_on((
        Ok(Offset::Offset(2)),
        (2, 4),
        Some(ResponseError::OffsetOutOfRange),
        "c d".to_owned(),
        2,
        2,
    ));
}

#[test]
fn records_are_deleted_up_to_the_end_and_never_brought_back() {
    on_both(|subject| {
        let topic = subject.topic(1);
        subject.fill(&topic, 0, &["a", "b", "c"]);
        let offsets = [Offset::Offset(4), Offset::End, Offset::Offset(1)];
        let verdicts = offsets.map(|before| delete_records(subject, &topic, before));
        subject.fill(&topic, 0, &["d"]);
        let there = subject.read(&topic, 0, "read_committed");
        (
            verdicts,
            subject.watermarks(&topic, 0),
            texts(&there).join(" "),
        )
    })
    .agree_on((
        [
            Err(RDKafkaErrorCode::OffsetOutOfRange),
            Ok(Offset::Offset(3)),
            Ok(Offset::Offset(3)),
        ],
        (3, 4),
        "d".to_owned(),
    ));
}

#[test]
fn records_of_a_topic_that_is_only_compacted_are_not_deleted() {
    on_both(|subject| {
        let topic = subject.topic_with(1, &[("cleanup.policy", "compact")]);
        delete_records(subject, &topic, Offset::Offset(0))
    })
    .agree_on(Err(RDKafkaErrorCode::PolicyViolation));
}
