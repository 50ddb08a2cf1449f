//! Topic settings, deleting records and describing the data folder, as admin tools do it.

use std::collections::HashMap;

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{
        AdminClient, AdminOptions, AlterConfig, ConfigResource, ConfigSource, NewTopic,
        ResourceSpecifier, TopicReplication,
    },
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    types::RDKafkaErrorCode,
};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{
    support::*,
    wire::{answer, connect, request},
};

const DESCRIBE_LOG_DIRS: i16 = 35;
const INCREMENTAL_ALTER_CONFIGS: i16 = 44;

/// Types of resources.
const TOPIC: u8 = 2;
const BROKER: u8 = 4;
/// Operations on a setting.
const SET: u8 = 0;
const DELETE: u8 = 1;
const APPEND: u8 = 2;

pub(super) type Admin = AdminClient<DefaultClientContext>;

pub(super) fn admin(broker: &TestBroker) -> Admin {
    broker.client().create().unwrap()
}

pub(super) fn topic<'a>(name: &'a str, settings: &[(&'a str, &'a str)]) -> NewTopic<'a> {
    let topic = NewTopic::new(name, 2, TopicReplication::Fixed(1));
    settings
        .iter()
        .fold(topic, |topic, (name, value)| topic.set(name, value))
}

pub(super) async fn create(admin: &Admin, topic: NewTopic<'_>) -> Result<(), RDKafkaErrorCode> {
    let created = within(admin.create_topics([&topic], &AdminOptions::new())).await;
    let result = created.unwrap().remove(0);
    result.map(drop).map_err(|(_, code)| code)
}

async fn describe(admin: &Admin, what: ResourceSpecifier<'_>) -> ConfigResource {
    let described = within(admin.describe_configs([&what], &AdminOptions::new())).await;
    described.unwrap().remove(0).unwrap()
}

/// Returns the settings that were set for a topic.
async fn set_for(admin: &Admin, topic: &str) -> HashMap<String, String> {
    let described = describe(admin, ResourceSpecifier::Topic(topic)).await;
    let own = described
        .entries
        .into_iter()
        .filter(|entry| entry.source == ConfigSource::DynamicTopic);
    own.map(|entry| (entry.name, entry.value.unwrap()))
        .collect()
}

fn pairs(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    let owned = |(name, value): &(&str, &str)| (name.to_string(), value.to_string());
    pairs.iter().map(owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_keeps_the_settings_it_was_made_with() {
    let broker = TestBroker::start().await;
    let settings = [
        ("retention.ms", "86400000"),
        ("cleanup.policy", "compact,delete"),
    ];
    create(&admin(&broker), topic("t", &settings))
        .await
        .unwrap();
    let broker = broker.restart_after(|| {}).await;
    let admin = admin(&broker);
    assert_eq!(set_for(&admin, "t").await, pairs(&settings));
    let described = describe(&admin, ResourceSpecifier::Topic("t")).await;
    let default = described.get("segment.bytes").unwrap();
    assert_eq!(default.source, ConfigSource::Default);
    assert!(default.is_default && !default.is_read_only);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_setting_that_is_not_honoured_makes_no_topic() {
    let broker = TestBroker::start().await;
    let admin = admin(&broker);
    for setting in [
        ("retention.ms", "-2"),
        ("cleanup.policy", "compost"),
        ("retention.mss", "1"),
        ("compression.type", "zstd"),
    ] {
        let refused = create(&admin, topic("t", &[setting])).await.unwrap_err();
        assert_eq!(refused, RDKafkaErrorCode::InvalidConfig, "{setting:?}");
    }
    create(&admin, topic("t", &[])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn altered_settings_replace_the_former_ones_and_hold_for_the_next_batch() {
    let broker = TestBroker::start().await;
    let admin = admin(&broker);
    create(&admin, topic("t", &[("retention.ms", "5000000")]))
        .await
        .unwrap();
    let small = AlterConfig::new(ResourceSpecifier::Topic("t")).set("segment.bytes", "1048576");
    let altered = within(admin.alter_configs([&small], &AdminOptions::new())).await;
    altered.unwrap().remove(0).unwrap();
    assert_eq!(
        set_for(&admin, "t").await,
        pairs(&[("segment.bytes", "1048576")])
    );

    // Each message is a batch of its own, because two do not fit into one.
    let large = "x".repeat(700_000);
    for _ in 0..3 {
        send(&broker.producer(), "t", 0, [large.clone()]).await;
    }
    let folder = broker.first_segment("t", 0);
    let files = std::fs::read_dir(folder.parent().unwrap()).unwrap();
    let names = files.map(|file| file.unwrap().path());
    let logs = names.filter(|path| path.extension().is_some_and(|kind| kind == "log"));
    assert_eq!(logs.count(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_describes_itself_but_is_not_altered() {
    let broker = TestBroker::start().await;
    let admin = admin(&broker);
    let node = ResourceSpecifier::Broker(1);
    let described = describe(&admin, node).await;
    let partitions = described.get("num.partitions").unwrap();
    assert_eq!(partitions.value.as_deref(), Some("4"));
    assert!(partitions.is_read_only);
    // Without rdkafka's client, which drops the errors of single resources.
    let mut stream = connect(broker.address).await;
    let code = alter(&mut stream, BROKER, "1", ("num.partitions", SET, "9")).await;
    assert_eq!(code, RDKafkaErrorCode::InvalidRequest as i16);
    let described = describe(&admin, node).await;
    let partitions = described.get("num.partitions").unwrap();
    assert_eq!(partitions.value.as_deref(), Some("4"));
}

#[tokio::test(flavor = "multi_thread")]
async fn deleted_records_are_gone_for_consumers_and_offsets() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 0, numbered("m", 0..10)).await;
    let admin = admin(&broker);
    let delete = async |offset| {
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("t", 0, offset).unwrap();
        let deleted = within(admin.delete_records(&offsets, &AdminOptions::new())).await;
        let deleted = deleted.unwrap();
        let partition = deleted.find_partition("t", 0).unwrap();
        partition.error().map(|()| partition.offset())
    };
    assert_eq!(delete(Offset::Offset(4)).await, Ok(Offset::Offset(4)));
    let refused = delete(Offset::Offset(11)).await.unwrap_err();
    let code = refused.rdkafka_error_code();
    assert_eq!(code, Some(RDKafkaErrorCode::OffsetOutOfRange));
    let got = receive(&broker.consumer("g", &["t"]), 6).await;
    assert_eq!(texts(&got), numbered("m", 4..10));
    assert_eq!(delete(Offset::End).await, Ok(Offset::Offset(10)));
    let consumer: BaseConsumer = broker.client().create().unwrap();
    assert_eq!(
        consumer.fetch_watermarks("t", 0, DEADLINE).unwrap(),
        (10, 10)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn records_of_a_compacted_topic_are_not_deleted() {
    let broker = TestBroker::start().await;
    let admin = admin(&broker);
    create(&admin, topic("t", &[("cleanup.policy", "compact")]))
        .await
        .unwrap();
    let mut offsets = TopicPartitionList::new();
    offsets.add_partition_offset("t", 0, Offset::End).unwrap();
    let refused = within(admin.delete_records(&offsets, &AdminOptions::new())).await;
    let refused = refused.unwrap();
    let error = refused.find_partition("t", 0).unwrap().error().unwrap_err();
    assert_eq!(
        error.rdkafka_error_code(),
        Some(RDKafkaErrorCode::PolicyViolation)
    );
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as i16).to_be_bytes());
    out.extend(text.as_bytes());
}

/// Alters a setting with `IncrementalAlterConfigs`; returns the error code.
async fn alter(
    stream: &mut TcpStream,
    kind: u8,
    resource: &str,
    (name, operation, value): (&str, u8, &str),
) -> i16 {
    let mut body = vec![0, 0, 0, 1, kind];
    put_text(&mut body, resource);
    body.extend(1i32.to_be_bytes());
    put_text(&mut body, name);
    body.push(operation);
    put_text(&mut body, value);
    body.push(0);
    let bytes = request(INCREMENTAL_ALTER_CONFIGS, 0, 1, &body);
    stream.write_all(&bytes).await.unwrap();
    let (_, rest) = answer(stream).await;
    // The code follows the throttle time and the number of resources.
    i16::from_be_bytes([rest[8], rest[9]])
}

#[tokio::test(flavor = "multi_thread")]
async fn single_settings_are_altered_and_the_others_stay() {
    let broker = TestBroker::start().await;
    let admin = admin(&broker);
    create(&admin, topic("t", &[("retention.ms", "5000000")]))
        .await
        .unwrap();
    let mut stream = connect(broker.address).await;
    let mut step = async |setting| alter(&mut stream, TOPIC, "t", setting).await;
    assert_eq!(step(("cleanup.policy", APPEND, "compact")).await, 0);
    assert_eq!(step(("segment.ms", SET, "60000")).await, 0);
    assert_eq!(step(("retention.ms", DELETE, "")).await, 0);
    let invalid = RDKafkaErrorCode::InvalidConfig as i16;
    assert_eq!(step(("retention.ms", APPEND, "5")).await, invalid);
    let expected = [
        ("cleanup.policy", "delete,compact"),
        ("segment.ms", "60000"),
    ];
    assert_eq!(set_for(&admin, "t").await, pairs(&expected));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_is_described_with_the_size_of_each_partition() {
    let broker = TestBroker::start().await;
    send(&broker.producer(), "t", 1, ["x".repeat(1_000)]).await;
    let size = std::fs::metadata(broker.first_segment("t", 1))
        .unwrap()
        .len();
    let mut stream = connect(broker.address).await;
    // Version 1, with null for all topics.
    let bytes = request(DESCRIBE_LOG_DIRS, 1, 1, &(-1i32).to_be_bytes());
    stream.write_all(&bytes).await.unwrap();
    let (_, rest) = answer(&mut stream).await;
    let folder = broker.dir().to_str().unwrap().as_bytes();
    assert!(rest.windows(folder.len()).any(|window| window == folder));
    // Partition 1, and its size.
    let mut partition = 1i32.to_be_bytes().to_vec();
    partition.extend((size as i64).to_be_bytes());
    assert!(size > 1_000);
    assert!(
        rest.windows(partition.len())
            .any(|window| window == partition)
    );
}
