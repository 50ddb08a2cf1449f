//! Every version of every API, supported or not, has its answer.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiKey;

use super::dispatch::{Call, SUPPORTED, answer};
use crate::flush::Flush;
use crate::{Shared, api};
use crate::protocol::length_check::tests::sample;
use crate::record::batch::{self, tests::Sample};
use crate::ids::{Offset, PartitionId};
use crate::coordinator::offsets::Committed;
use crate::{Broker, Config};

const CORRELATION: i32 = 77;

fn call(key: i16, version: i16, body: &[u8]) -> Call {
    let mut frame = BytesMut::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(CORRELATION);
    frame.put_i16(-1);
    if ApiKey::try_from(key).is_ok_and(|api| api.request_header_version(version) >= 2) {
        frame.put_u8(0);
    }
    frame.put_slice(body);
    Call::parse(frame.freeze(), ([127, 0, 0, 1], 1).into()).unwrap()
}

/// One that listens on a free port and serves nobody, on a folder of its own.
pub async fn broker() -> (tempfile::TempDir, Broker) {
    let dir = tempfile::tempdir().unwrap();
    let config = Config {
        dir: dir.path().to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        ..Config::default()
    };
    let broker = Broker::bind(&config).await.unwrap();
    (dir, broker)
}

/// A topic "ab" with records, on which a group "ab" has committed.
fn fill(shared: &Shared) {
    let topic = shared.topics.get_or_create("ab").unwrap();
    let bytes = batch::tests::sample(&Sample::default());
    let header = batch::verify(&bytes).unwrap();
    topic.partitions[0].append(&header, &bytes).unwrap();
    let committed = Committed {
        offset: Offset(1),
        leader_epoch: 0,
        metadata: "m".to_owned(),
        time: 0,
    };
    let commits = vec![(("ab".to_owned(), PartitionId(0)), committed)];
    shared.offsets.commit("ab", commits).unwrap();
}

fn assert_answers(answer: &[u8], what: &str) {
    let length = i32::from_be_bytes(answer[..4].try_into().unwrap());
    assert_eq!(length as usize, answer.len() - 4, "{what}");
    assert_eq!(answer[4..8], CORRELATION.to_be_bytes(), "{what}");
}

#[tokio::test]
async fn every_supported_version_of_every_api_is_answered_in_its_own_form() {
    let (_dir, broker) = broker().await;
    for (api, first, last) in SUPPORTED {
        for version in *first..=*last {
            for each in 0..3 {
                fill(&broker.shared);
                let what = format!("{api:?} v{version}, {each} elements");
                let call = call(*api as i16, version, &sample(*api, version, each));
                match answer(&broker.shared, call).await.expect(&what) {
                    Some(answer) => assert_answers(&answer, &what),
                    None => assert_eq!(*api, ApiKey::Produce, "acks=0"),
                }
            }
        }
    }
}

#[tokio::test]
async fn whatever_is_not_supported_is_answered_too() {
    let (_dir, broker) = broker().await;
    for key in -1..200 {
        for version in [-1, 0, 1, 2, 3, 4, 9, 15, 99, i16::MAX] {
            let what = format!("api {key} v{version}");
            if let Some(answer) = answer(&broker.shared, call(key, version, b""))
                .await
                .expect(&what)
            {
                assert_answers(&answer, &what);
            }
        }
    }
}

#[tokio::test]
async fn a_newer_api_versions_request_gets_the_table_in_version_0() {
    let (_dir, broker) = broker().await;
    let call = call(ApiKey::ApiVersions as i16, 99, b"");
    let answer = answer(&broker.shared, call).await.unwrap().unwrap();
    assert_eq!(answer[8..10], 35i16.to_be_bytes());
    assert_eq!(answer[10..14], (SUPPORTED.len() as i32).to_be_bytes());
    assert_eq!(answer.len(), 14 + SUPPORTED.len() * 6);
}

#[tokio::test]
async fn a_group_loses_single_offsets_and_only_those_of_topics_that_there_are() {
    use kafka_protocol::messages::offset_delete_request::*;
    use kafka_protocol::messages::{GroupId, OffsetDeleteRequest, TopicName};
    let (_dir, broker) = broker().await;
    let delete = |group: &str, topic: &str| {
        let partition = OffsetDeleteRequestPartition::default();
        let topic = OffsetDeleteRequestTopic::default()
            .with_name(TopicName(api::text(topic)))
            .with_partitions(vec![partition]);
        let request = OffsetDeleteRequest::default()
            .with_group_id(GroupId(api::text(group)))
            .with_topics(vec![topic]);
        let response = api::groups::offset_delete::handle(&broker.shared, request);
        let of_partition = response.topics.first().map(|t| t.partitions[0].error_code);
        (response.error_code, of_partition)
    };
    let unknown = ResponseError::GroupIdNotFound.code();
    assert_eq!(delete("ab", "ab"), (unknown, None));
    fill(&broker.shared);
    let unknown = ResponseError::UnknownTopicOrPartition.code();
    assert_eq!(delete("ab", "none"), (0, Some(unknown)));
    assert!(broker.shared.offsets.has_group("ab"));
    assert_eq!(delete("ab", "ab"), (0, Some(0)));
    assert!(!broker.shared.offsets.has_group("ab"));
}

#[tokio::test]
async fn open_transactions_are_listed_and_described() {
    use kafka_protocol::messages::*;
    let (_dir, broker) = broker().await;
    fill(&broker.shared);
    let shared = &broker.shared;
    let (stores, ids) = (shared.stores(), &shared.producer_ids);
    let begin = |id| shared.transactions.begin(stores, ids, id, 1_000, None);
    begin("idle").unwrap();
    let producer = begin("open").unwrap();
    let partitions = vec![("ab".to_owned(), PartitionId(0))];
    let added = shared
        .transactions
        .add_partitions(stores, "open", producer, partitions);
    added.unwrap();

    let listed = |states: &[&'static str]| {
        let states = states.iter().map(|state| api::text(*state)).collect();
        let request = ListTransactionsRequest::default()
            .with_duration_filter(-1)
            .with_state_filters(states);
        let listed = api::describe_transactions::list(shared, request);
        (
            listed.transaction_states.len(),
            listed.unknown_state_filters.len(),
        )
    };
    assert_eq!(listed(&[]), (2, 0));
    assert_eq!(listed(&["Ongoing"]), (1, 0));
    assert_eq!(listed(&["Dreaming"]), (0, 1));
    let names = ["open", "none"].map(|id| TransactionalId(api::text(id)));
    let request = DescribeTransactionsRequest::default().with_transactional_ids(names.into());
    let described = api::describe_transactions::describe(shared, request).transaction_states;
    assert_eq!(described[0].transaction_state.as_str(), "Ongoing");
    assert_eq!(described[0].topics[0].partitions, [0]);
    let unknown = ResponseError::TransactionalIdNotFound.code();
    assert_eq!(described[1].error_code, unknown);
}

#[tokio::test]
async fn a_version_to_come_is_refused_partition_by_partition_where_that_is_its_only_place() {
    let (_dir, broker) = broker().await;
    for version in 4..=5 {
        let api = ApiKey::TxnOffsetCommit;
        let call = call(api as i16, version, &sample(api, version, 1));
        let answer = answer(&broker.shared, call).await.unwrap().unwrap();
        // No tags, no throttling; one topic "ab" with one partition 0 and its error, each structure with no tags.
        let expected = [
            0, 0, 0, 0, 0, 2, 3, b'a', b'b', 2, 0, 0, 0, 0, 0, 35, 0, 0, 0,
        ];
        assert_eq!(answer[8..], expected, "v{version}");
    }
}

#[tokio::test]
async fn a_group_that_is_not_known_is_an_error_since_version_6() {
    use kafka_protocol::messages::{DescribeGroupsRequest, GroupId, ListGroupsRequest};
    let (_dir, broker) = broker().await;
    fill(&broker.shared);
    let describe = |version| {
        let groups = ["ab", "none"].map(|group| GroupId(api::text(group)));
        let request = DescribeGroupsRequest::default().with_groups(groups.into());
        let response = api::groups::describe::describe(&broker.shared, request, version);
        let states = response.groups.into_iter();
        let states = states.map(|group| (group.group_state.to_string(), group.error_code));
        states.collect::<Vec<_>>()
    };
    let not_found = ResponseError::GroupIdNotFound.code();
    let states = |code| vec![("Empty".to_owned(), 0), ("Dead".to_owned(), code)];
    assert_eq!(describe(5), states(0));
    assert_eq!(describe(6), states(not_found));

    let list = |types: &[&'static str]| {
        let types = types.iter().map(|name| api::text(*name)).collect();
        let request = ListGroupsRequest::default().with_types_filter(types);
        api::groups::describe::list(&broker.shared, &request)
            .groups
            .len()
    };
    let found = [list(&[]), list(&["Classic"]), list(&["consumer"])];
    assert_eq!(found, [1, 1, 0]);
}

#[tokio::test]
async fn everything_is_local_and_nothing_is_tiered() {
    use kafka_protocol::messages::list_offsets_request::*;
    use kafka_protocol::messages::{ListOffsetsRequest, TopicName};
    let (_dir, broker) = broker().await;
    fill(&broker.shared);
    let find = |timestamp, version| {
        let partition = ListOffsetsPartition::default()
            .with_current_leader_epoch(-1)
            .with_timestamp(timestamp);
        let topic = ListOffsetsTopic::default()
            .with_name(TopicName(api::text("ab")))
            .with_partitions(vec![partition]);
        let request = ListOffsetsRequest::default().with_topics(vec![topic]);
        let mut topics = api::list_offsets::handle(&broker.shared, request, version).topics;
        let found = topics.remove(0).partitions.remove(0);
        (found.offset, found.error_code)
    };
    let unsupported = ResponseError::UnsupportedVersion.code();
    assert_eq!([find(-4, 7), find(-4, 8)], [(-1, unsupported), (0, 0)]);
    assert_eq!([find(-5, 8), find(-5, 9)], [(-1, unsupported), (-1, 0)]);
    assert_eq!(find(-6, 10), (-1, unsupported));
}

#[tokio::test]
async fn with_flush_each_what_is_acknowledged_is_on_the_disk() {
    for flush in [Flush::Never, Flush::Each] {
        let (_dir, mut broker) = broker().await;
        let shared = Arc::get_mut(&mut broker.shared).unwrap();
        shared.flush = flush;
        fill(&broker.shared);
        let log = Arc::clone(&broker.shared.topics.get("ab").unwrap().partitions[0]);
        assert!(log.is_dirty());
        for (api, lasts) in [(ApiKey::Metadata, false), (ApiKey::Produce, true)] {
            let (_, version, _) = *SUPPORTED.iter().find(|(key, ..)| *key == api).unwrap();
            let call = call(api as i16, version, &sample(api, version, 1));
            answer(&broker.shared, call).await.unwrap();
            assert_eq!(
                log.is_dirty(),
                !(lasts && flush == Flush::Each),
                "{api:?} {flush:?}"
            );
        }
    }
}
