//! What administration tools and UIs ask of a broker, besides topics and groups.

use eventos_testkit::raw::{text, verdict};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        ApiVersionsRequest, CreateAclsRequest, DeleteAclsRequest, DeleteTopicsRequest,
        DescribeAclsRequest, DescribeClientQuotasRequest, DescribeQuorumRequest,
        DescribeUserScramCredentialsRequest, ElectLeadersRequest, ListConfigResourcesRequest,
        ListPartitionReassignmentsRequest, MetadataRequest, TopicName,
        create_acls_request::AclCreation,
        delete_acls_request::DeleteAclsFilter,
        delete_topics_request::DeleteTopicState,
        describe_quorum_request::{PartitionData, TopicData},
        describe_user_scram_credentials_request::UserName,
        elect_leaders_request::TopicPartitions,
        metadata_request::MetadataRequestTopic,
    },
    protocol::StrBytes,
};

use super::{on_both, subject::Subject};

/// Stands for any value in the filters of ACLs.
const ANY: i8 = 1;

#[test]
fn acls_are_disabled() {
    // The Kafka of the suite has an authorizer, for clients that log in. One without responds as the built-in broker does.
    on_both(|subject| {
        let mut raw = subject.raw();
        let describe = DescribeAclsRequest::default()
            .with_resource_type_filter(ANY)
            .with_resource_name_filter(None)
            .with_pattern_type_filter(ANY)
            .with_principal_filter(None)
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ANY);
        let described = raw.call(3, &describe);
        let creation = AclCreation::default()
            .with_resource_type(2)
            .with_resource_name(text("t"))
            .with_resource_pattern_type(3)
            .with_principal(text("User:u"))
            .with_host(text("*"))
            .with_operation(3)
            .with_permission_type(3);
        let create = CreateAclsRequest::default().with_creations(vec![creation; 2]);
        let created = raw.call(3, &create).results.into_iter();
        let filter = DeleteAclsFilter::default()
            .with_resource_type_filter(ANY)
            .with_resource_name_filter(None)
            .with_pattern_type_filter(ANY)
            .with_principal_filter(None)
            .with_host_filter(None)
            .with_operation(ANY)
            .with_permission_type(ANY);
        let delete = DeleteAclsRequest::default().with_filters(vec![filter]);
        let deleted = raw.call(3, &delete).filter_results.into_iter();
        (
            (verdict(described.error_code), described.error_message),
            created
                .map(|result| verdict(result.error_code))
                .collect::<Vec<_>>(),
            deleted
                .map(|result| verdict(result.error_code))
                .collect::<Vec<_>>(),
        )
    })
    .differ(
        (
            (None, Some(StrBytes::default())),
            vec![None, None],
            vec![None],
        ),
        (
            (
                Some(ResponseError::SecurityDisabled),
                Some(StrBytes::from_static_str("No Authorizer is configured.")),
            ),
            vec![Some(ResponseError::SecurityDisabled); 2],
            vec![Some(ResponseError::SecurityDisabled)],
        ),
    );
}

#[test]
fn no_partition_is_being_moved() {
    on_both(|subject| {
        let request = ListPartitionReassignmentsRequest::default()
            .with_timeout_ms(10_000)
            .with_topics(None);
        let listed = subject.raw().call(0, &request);
        (verdict(listed.error_code), listed.topics.len())
    })
    .agree_on((None, 0));
}

#[test]
fn a_leader_that_leads_is_not_elected() {
    on_both(|subject| {
        let (topic, mut raw) = (subject.topic(2), subject.raw());
        let mut elect = |kind, partitions: Option<&[(&str, i32)]>| {
            let one = |(topic, partition): &(&str, i32)| {
                TopicPartitions::default()
                    .with_topic(text::<TopicName>(topic))
                    .with_partitions(vec![*partition])
            };
            let partitions = partitions.map(|all| all.iter().map(one).collect());
            let request = ElectLeadersRequest::default()
                .with_election_type(kind)
                .with_topic_partitions(partitions)
                .with_timeout_ms(10_000);
            let elected = raw.call(2, &request);
            let topics = elected.replica_election_results.into_iter();
            let results = topics.flat_map(|topic| topic.partition_result);
            let results = results.map(|result| verdict(result.error_code));
            (verdict(elected.error_code), results.collect::<Vec<_>>())
        };
        let none = subject.name("none");
        [
            elect(0, Some(&[(&topic, 1)])),
            elect(1, Some(&[(&topic, 1)])),
            elect(0, Some(&[(&topic, 2)])),
            elect(0, Some(&[(&none, 0)])),
            elect(0, Some(&[])),
            elect(0, None),
        ]
    })
    .agree_on([
        (None, vec![Some(ResponseError::ElectionNotNeeded)]),
        (None, vec![Some(ResponseError::ElectionNotNeeded)]),
        (None, vec![Some(ResponseError::UnknownTopicOrPartition)]),
        (None, vec![Some(ResponseError::UnknownTopicOrPartition)]),
        (None, vec![]),
        (None, vec![]),
    ]);
}

#[test]
fn no_client_has_a_quota() {
    on_both(|subject| {
        let request = DescribeClientQuotasRequest::default().with_strict(false);
        let described = subject.raw().call(1, &request);
        (verdict(described.error_code), described.entries)
    })
    .agree_on((None, Some(Vec::new())));
}

#[test]
fn no_user_has_a_password() {
    on_both(|subject| {
        let mut raw = subject.raw();
        let mut describe = |users: Option<&[&str]>| {
            let user = |name: &&str| UserName::default().with_name(text(name));
            let users = users.map(|users| users.iter().map(user).collect());
            let request = DescribeUserScramCredentialsRequest::default().with_users(users);
            let described = raw.call(0, &request);
            // The Kafka of the tests has a user of its own, which logs in over TLS.
            let results = described.results.iter();
            let results = results.filter(|result| &*result.user != "operator");
            let results = results.map(|result| verdict(result.error_code));
            (verdict(described.error_code), results.collect::<Vec<_>>())
        };
        [describe(None), describe(Some(&["a", "b"]))]
    })
    .agree_on([
        (None, vec![]),
        (None, vec![Some(ResponseError::ResourceNotFound); 2]),
    ]);
}

/// Types of resources with settings.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;

#[test]
fn topics_and_the_broker_have_settings() {
    on_both(|subject| {
        let (topic, mut raw) = (subject.topic(1), subject.raw());
        // All checks share this Kafka, so it has other topics; and its broker has loggers with settings.
        let mut list = |version, types: &[i8]| {
            let request = ListConfigResourcesRequest::default().with_resource_types(types.into());
            let listed = raw.call(version, &request);
            let has = |kind, name: &str| {
                let mut resources = listed.config_resources.iter();
                resources.any(|r| r.resource_type == kind && r.resource_name.as_str() == name)
            };
            let has_any = |kind| {
                let mut resources = listed.config_resources.iter();
                resources.any(|r| r.resource_type == kind)
            };
            (
                verdict(listed.error_code),
                has(TOPIC, &topic),
                has(BROKER, "1"),
                has_any(CLIENT_METRICS) || has_any(GROUP),
            )
        };
        [
            list(0, &[]),
            list(1, &[]),
            list(1, &[TOPIC]),
            list(1, &[BROKER]),
            list(1, &[CLIENT_METRICS, GROUP]),
            list(1, &[99]),
        ]
    })
    .agree_on([
        (None, false, false, false),
        (None, true, true, false),
        (None, true, false, false),
        (None, false, true, false),
        (None, false, false, false),
        (Some(ResponseError::UnsupportedVersion), false, false, false),
    ]);
}

#[test]
fn the_only_node_is_the_quorum() {
    on_both(|subject| {
        let (topic, mut raw) = (subject.topic(1), subject.raw());
        let mut describe = |version, topic: &str, partition| {
            let partition = PartitionData::default().with_partition_index(partition);
            let topic = TopicData::default()
                .with_topic_name(text::<TopicName>(topic))
                .with_partitions(vec![partition]);
            let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
            let described = raw.call(version, &request);
            let partition = described
                .topics
                .first()
                .and_then(|topic| topic.partitions.first());
            let partition = partition.map(|partition| {
                let voters = partition.current_voters.iter().map(|v| v.replica_id.0);
                (
                    verdict(partition.error_code),
                    partition.leader_id.0,
                    voters.collect::<Vec<_>>(),
                )
            });
            (
                verdict(described.error_code),
                partition,
                described.nodes.len(),
            )
        };
        [
            describe(0, "__cluster_metadata", 0),
            describe(2, "__cluster_metadata", 0),
            describe(1, "__cluster_metadata", 1),
            describe(1, &topic, 0),
        ]
    })
    .agree_on({
        let quorum = Some((None, 1, vec![1]));
        let unknown = Some((Some(ResponseError::UnknownTopicOrPartition), 0, vec![]));
        [
            (None, quorum.clone(), 0),
            (None, quorum, 1),
            (None, unknown.clone(), 0),
            (None, unknown, 0),
        ]
    });
}

#[test]
fn the_quorum_has_no_log() {
    on_both(|subject| {
        let topic = TopicData::default()
            .with_topic_name(text::<TopicName>("__cluster_metadata"))
            .with_partitions(vec![PartitionData::default()]);
        let request = DescribeQuorumRequest::default().with_topics(vec![topic]);
        let described = subject.raw().call(1, &request);
        let partition = &described.topics[0].partitions[0];
        let voter = &partition.current_voters[0];
        (partition.high_watermark >= 0, voter.log_end_offset >= 0)
    })
    .differ((true, true), (false, false));
}

#[test]
fn software_with_an_odd_name_is_refused() {
    on_both(|subject| {
        let mut raw = subject.raw();
        let mut ask = |version, name: &str, number: &str| {
            let request = match version {
                3.. => ApiVersionsRequest::default()
                    .with_client_software_name(text(name))
                    .with_client_software_version(text(number)),
                _ => ApiVersionsRequest::default(),
            };
            let asked = raw.call(version, &request);
            (verdict(asked.error_code), asked.api_keys.is_empty())
        };
        [
            ask(3, "apache-kafka-java", "4.3.1"),
            ask(3, "a", "1"),
            ask(4, "my client", "1"),
            ask(3, "client", "1_0"),
            ask(3, "-client", "1"),
            ask(3, "client.", "1"),
            ask(3, "", "1"),
            ask(3, "client", ""),
            ask(2, "", ""),
        ]
    })
    .agree_on([
        (None, false),
        (None, false),
        (Some(ResponseError::InvalidRequest), true),
        (Some(ResponseError::InvalidRequest), true),
        (Some(ResponseError::InvalidRequest), true),
        (Some(ResponseError::InvalidRequest), true),
        (Some(ResponseError::InvalidRequest), true),
        (Some(ResponseError::InvalidRequest), true),
        (None, false),
    ]);
}

/// Returns the error and the name of a topic that is asked for by name, id or both.
fn metadata(
    subject: &Subject,
    version: i16,
    name: Option<&str>,
    id: u128,
) -> (Option<ResponseError>, Option<String>, bool) {
    let topic = MetadataRequestTopic::default()
        .with_name(name.map(text))
        .with_topic_id(uuid(id).parse().expect("an id"));
    let request = MetadataRequest::default()
        .with_topics(Some(vec![topic]))
        .with_allow_auto_topic_creation(false);
    let mut found = subject.raw().call(version, &request);
    let topic = found.topics.remove(0);
    (
        verdict(topic.error_code),
        topic.name.map(|name| name.to_string()),
        topic.topic_id.as_u128() == id,
    )
}

/// Returns the id of a topic.
fn id_of(subject: &Subject, topic: &str) -> u128 {
    let requested = MetadataRequestTopic::default().with_name(Some(text(topic)));
    let request = MetadataRequest::default().with_topics(Some(vec![requested]));
    subject.raw().call(12, &request).topics[0]
        .topic_id
        .as_u128()
}

/// Returns the hexadecimal digits of an id.
fn uuid(id: u128) -> String {
    format!("{id:032x}")
}

#[test]
fn a_topic_is_described_by_its_id_whatever_its_name_says() {
    on_both(|subject| {
        let (topic, other) = (subject.topic(1), subject.topic(1));
        let id = id_of(subject, &topic);
        let named = |(error, name, same): (_, Option<String>, _)| {
            (error, name.map(|name| name == topic), same)
        };
        [
            named(metadata(subject, 12, None, id)),
            // This is what the Java client sends.
            named(metadata(subject, 12, Some(""), id)),
            named(metadata(subject, 13, Some(&other), id)),
            named(metadata(subject, 12, Some(""), 77)),
            named(metadata(subject, 12, Some(&topic), 0)),
        ]
    })
    .agree_on([
        (None, Some(true), true),
        (None, Some(true), true),
        (None, Some(true), true),
        (Some(ResponseError::UnknownTopicId), None, true),
        (None, Some(true), false),
    ]);
}

#[test]
fn a_topic_is_deleted_by_its_id() {
    on_both(|subject| {
        let delete = |name: Option<&str>, id: u128| {
            let topic = DeleteTopicState::default()
                .with_name(name.map(text::<TopicName>))
                .with_topic_id(uuid(id).parse().expect("an id"));
            let request = DeleteTopicsRequest::default()
                .with_topics(vec![topic])
                .with_timeout_ms(10_000);
            let mut deleted = subject.raw().call(6, &request);
            verdict(deleted.responses.remove(0).error_code)
        };
        let topics = [(); 3].map(|()| subject.topic(1));
        let ids = [0, 1, 2].map(|i: usize| id_of(subject, &topics[i]));
        [
            delete(None, ids[0]),
            delete(Some(""), ids[1]),
            delete(Some(&topics[2]), ids[2]),
            delete(None, 0),
            delete(None, 77),
        ]
    })
    .agree_on([
        None,
        Some(ResponseError::InvalidRequest),
        Some(ResponseError::InvalidRequest),
        Some(ResponseError::InvalidRequest),
        Some(ResponseError::UnknownTopicId),
    ]);
}
