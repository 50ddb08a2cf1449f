//! Producing and fetching.

use std::time::Duration;

use rdkafka::{
    Offset, Timestamp, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::{Header, Headers, Message, OwnedHeaders},
    producer::FutureRecord,
};

use super::support::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_comes_back_in_order_with_key_headers_and_time() {
    let broker = TestBroker::start().await;
    let producer = broker.producer();
    let headers = OwnedHeaders::new()
        .insert(Header {
            key: "a",
            value: Some("1"),
        })
        .insert(Header {
            key: "a",
            value: None::<&str>,
        });
    let record = FutureRecord::to("t")
        .key("k")
        .payload("v")
        .partition(2)
        .timestamp(1234)
        .headers(headers);
    within(producer.send(record, DEADLINE)).await.unwrap();
    send(&producer, "t", 2, numbered("m", 0..1000)).await;

    let got = receive(&broker.consumer("g", &["t"]), 1001).await;
    let first = &got[0];
    assert_eq!(first.key(), Some(&b"k"[..]));
    assert_eq!(first.timestamp(), Timestamp::CreateTime(1234));
    let headers = first.headers().unwrap();
    assert_eq!(headers.count(), 2);
    assert_eq!(headers.get(1).value, None);
    assert_eq!(texts(&got[1..]), numbered("m", 0..1000));
    let offsets: Vec<i64> = got.iter().map(|m| m.offset()).collect();
    assert_eq!(offsets, (0..1001).collect::<Vec<i64>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_ack_level_and_codec_is_stored() {
    let broker = TestBroker::start().await;
    let mut sent = 0;
    for acks in ["0", "1", "all"] {
        let producer = broker.client().set("acks", acks).create().unwrap();
        send(&producer, "t", 0, numbered("x", 0..10)).await;
        sent += 10;
    }
    for codec in ["gzip", "snappy", "lz4"] {
        let producer = broker
            .client()
            .set("compression.type", codec)
            .create()
            .unwrap();
        send(&producer, "t", 0, numbered("x", 0..10)).await;
        sent += 10;
    }
    receive(&broker.consumer("g", &["t"]), sent).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_8_mib_passes_and_a_larger_one_is_refused() {
    let broker = TestBroker::start().await;
    let producer = broker
        .client()
        .set("message.max.bytes", "20000000")
        .create::<rdkafka::producer::FutureProducer>()
        .unwrap();
    let large = "x".repeat(8 << 20);
    send(&producer, "t", 0, [large.clone(), "after".to_owned()]).await;
    let got = texts(&receive(&broker.consumer("g", &["t"]), 2).await);
    assert!(got[0] == large && got[1] == "after");

    let too_large = "x".repeat(11 << 20);
    let record = FutureRecord::<str, String>::to("t").payload(&too_large);
    let refused = within(producer.send(record, DEADLINE)).await.unwrap_err().0;
    let code = refused.rdkafka_error_code();
    assert_eq!(
        code,
        Some(rdkafka::types::RDKafkaErrorCode::MessageSizeTooLarge)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotent_producer_stores_everything_once_and_in_order() {
    let broker = TestBroker::start().await;
    let producer = broker
        .client()
        .set("enable.idempotence", "true")
        .create()
        .unwrap();
    assert_eq!(send(&producer, "t", 0, numbered("m", 0..5000)).await, 4999);
    let got = receive(&broker.consumer("g", &["t"]), 5000).await;
    assert_eq!(texts(&got), numbered("m", 0..5000));
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_found_at_both_ends_and_by_time() {
    let broker = TestBroker::start().await;
    let producer = broker.producer();
    for i in 0..100i64 {
        let record = FutureRecord::<str, str>::to("t")
            .partition(0)
            .payload("x")
            .timestamp(1000 + i);
        within(producer.send(record, DEADLINE)).await.unwrap();
    }
    let consumer: BaseConsumer = broker.client().create().unwrap();
    assert_eq!(
        consumer.fetch_watermarks("t", 0, DEADLINE).unwrap(),
        (0, 100)
    );
    let mut times = TopicPartitionList::new();
    times
        .add_partition_offset("t", 0, Offset::Offset(1042))
        .unwrap();
    let found = consumer.offsets_for_times(times, DEADLINE).unwrap();
    assert_eq!(
        found.find_partition("t", 0).unwrap().offset(),
        Offset::Offset(42)
    );
    let missing = consumer.fetch_watermarks("t", 9, Duration::from_secs(5));
    assert!(missing.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_made_and_deleted() {
    let broker = TestBroker::start().await;
    let admin: AdminClient<DefaultClientContext> = broker.client().create().unwrap();
    let options = AdminOptions::new();
    let new = |name: &'static str, partitions| {
        NewTopic::new(name, partitions, TopicReplication::Fixed(1))
    };
    let requested = [new("two", 2), new("two.none", 0), new("bad name", 1)];
    let results = within(admin.create_topics(&requested, &options)).await;
    // librdkafka itself may refuse a partition count.
    let results = results.unwrap_or_default();
    assert!(results.iter().filter(|r| r.is_err()).count() <= 2);
    let again = within(admin.create_topics(&[new("three", 3)], &options))
        .await
        .unwrap();
    assert_eq!(again, [Ok("three".to_owned())]);
    let exists = within(admin.create_topics(&[new("three", 3)], &options))
        .await
        .unwrap();
    let code = exists[0].as_ref().unwrap_err().1;
    assert_eq!(code, rdkafka::types::RDKafkaErrorCode::TopicAlreadyExists);

    let consumer: BaseConsumer = broker.client().create().unwrap();
    let metadata = consumer.fetch_metadata(Some("three"), DEADLINE).unwrap();
    assert_eq!(metadata.topics()[0].partitions().len(), 3);
    within(admin.delete_topics(&["three"], &options))
        .await
        .unwrap()[0]
        .as_ref()
        .unwrap();
    let metadata = consumer.fetch_metadata(None, DEADLINE).unwrap();
    assert!(
        metadata
            .topics()
            .iter()
            .all(|topic| topic.name() != "three")
    );
    assert!(!broker.first_segment("three", 0).exists());
}
