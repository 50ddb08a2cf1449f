//! Tests that every version of every API, supported or not, gets a response.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use kafka_protocol::{error::ResponseError, messages::ApiKey};

use super::{
    apis::{APIS, Api, Durability},
    dispatch::{RequestFrame, respond},
};
use crate::{
    api,
    coordinator::offsets::CommittedOffset,
    flush::Flush,
    ids::{Offset, PartitionId},
    protocol::length_check::tests::sample,
    record::batch::{self, tests::Sample},
    shared::Shared,
    testing::broker,
};

const CORRELATION: i32 = 77;

fn request(key: i16, version: i16, body: &[u8]) -> RequestFrame {
    let mut frame = BytesMut::new();
    frame.put_i16(key);
    frame.put_i16(version);
    frame.put_i32(CORRELATION);
    frame.put_i16(-1);
    if ApiKey::try_from(key).is_ok_and(|api| api.request_header_version(version) >= 2) {
        frame.put_u8(0);
    }
    frame.put_slice(body);
    RequestFrame::parse(frame.freeze(), ([127, 0, 0, 1], 1).into()).unwrap()
}

/// Creates a topic "ab" with a record, and commits an offset of it for a group "ab".
fn fill(shared: &Shared) {
    let topic = shared.topics.get_or_create("ab").unwrap();
    let bytes = batch::tests::sample(&Sample::default());
    let header = batch::verify(&bytes).unwrap();
    topic.partitions[0].append(&header, &bytes).unwrap();
    let committed = CommittedOffset {
        offset: Offset(1),
        leader_epoch: 0,
        metadata: "m".to_owned(),
        time: 0,
    };
    let commits = vec![(("ab".to_owned(), PartitionId(0)), committed)];
    shared.offsets.commit("ab", commits, |_| true).unwrap();
}

fn assert_is_response(response: &[u8], what: &str) {
    let length = i32::from_be_bytes(response[..4].try_into().unwrap());
    assert_eq!(length as usize, response.len() - 4, "{what}");
    assert_eq!(response[4..8], CORRELATION.to_be_bytes(), "{what}");
}

#[tokio::test]
async fn every_supported_version_of_every_api_is_answered_in_its_own_form() {
    let (_dir, broker) = broker().await;
    for api in APIS {
        for version in api.versions.0..=api.versions.1 {
            for each in 0..3 {
                fill(&broker.shared);
                let what = format!("{:?} v{version}, {each} elements", api.key);
                let request = request(api.key as i16, version, &sample(api, version, each));
                match respond(&broker.shared, request).await.expect(&what) {
                    Some(response) => assert_is_response(&response, &what),
                    None => assert_eq!(api.key, ApiKey::Produce, "acks=0"),
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
            let response = respond(&broker.shared, request(key, version, b"")).await;
            if let Some(response) = response.expect(&what) {
                assert_is_response(&response, &what);
            }
        }
    }
}

#[tokio::test]
async fn a_newer_api_versions_request_gets_the_table_in_version_0() {
    let (_dir, broker) = broker().await;
    let request = request(ApiKey::ApiVersions as i16, 99, b"");
    let response = respond(&broker.shared, request).await.unwrap().unwrap();
    assert_eq!(response[8..10], 35i16.to_be_bytes());
    assert_eq!(response[10..14], (APIS.len() as i32).to_be_bytes());
    assert_eq!(response.len(), 14 + APIS.len() * 6);
}

#[tokio::test]
async fn a_group_loses_single_offsets_and_only_those_of_topics_that_there_are() {
    use kafka_protocol::messages::{
        GroupId, OffsetDeleteRequest, TopicName, offset_delete_request::*,
    };
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
        let api = Api::find(ApiKey::TxnOffsetCommit).unwrap();
        let request = request(api.key as i16, version, &sample(api, version, 1));
        let response = respond(&broker.shared, request).await.unwrap().unwrap();
        // No tagged fields and no throttle time; a topic "ab" with the error of its partition 0, without tagged fields.
        let expected = [
            0, 0, 0, 0, 0, 2, 3, b'a', b'b', 2, 0, 0, 0, 0, 0, 35, 0, 0, 0,
        ];
        assert_eq!(response[8..], expected, "v{version}");
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
    use kafka_protocol::messages::{ListOffsetsRequest, TopicName, list_offsets_request::*};
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
        for key in [ApiKey::Metadata, ApiKey::Produce] {
            let api = Api::find(key).unwrap();
            let version = api.versions.0;
            let request = request(key as i16, version, &sample(api, version, 1));
            respond(&broker.shared, request).await.unwrap();
            let synced = api.durability == Durability::Stored && flush == Flush::Each;
            assert_eq!(log.is_dirty(), !synced, "{key:?} {flush:?}");
        }
    }
}
