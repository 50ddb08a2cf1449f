//! Compaction, retention, timestamps of the broker, and a full disk.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use eventos_testkit::{
    self as testkit, eventually,
    raw::{EARLIEST, Raw, UNCOMMITTED, now},
};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
    error::{KafkaError, RDKafkaErrorCode},
    message::{Message, OwnedMessage, Timestamp},
    producer::{FutureProducer, FutureRecord},
};

use super::{
    administration::{admin, create, topic},
    child::{ChildBroker, data_folder},
    support::{TestBroker, read_to_the_end, within},
};
use crate::crafted::{Crafted, Fields, NONE, record};

/// Reads a whole topic.
fn read_all(servers: &str, topic: &str) -> Vec<OwnedMessage> {
    testkit::read_topic(servers, topic)
}

async fn put(
    producer: &FutureProducer,
    topic: &str,
    key: &str,
    value: &[u8],
) -> Result<i64, KafkaError> {
    let record = FutureRecord::to(topic).partition(0).key(key).payload(value);
    let sent = producer.send(record, Duration::from_secs(10)).await;
    sent.map(|delivery| delivery.offset)
        .map_err(|(error, _)| error)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_compacted_topic_comes_to_hold_one_record_a_key() {
    let broker = TestBroker::start().await;
    let settings = [
        ("cleanup.policy", "compact"),
        ("segment.bytes", "1048576"),
        ("min.cleanable.dirty.ratio", "0"),
    ];
    create(&admin(&broker), topic("state", &settings))
        .await
        .unwrap();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let producer: FutureProducer = broker
            .client()
            .set("compression.type", codec)
            .create()
            .unwrap();
        for round in 0..30u8 {
            for key in 0..10u8 {
                // Bytes that do not compress, so that segments fill.
                let noise =
                    (0..10_000u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8 ^ round);
                let value: Vec<u8> = [round].into_iter().chain(noise).collect();
                let key = format!("{codec} {key}");
                within(put(&producer, "state", &key, &value)).await.unwrap();
            }
        }
    }
    let address = broker.address;
    let newest = tokio::task::spawn_blocking(move || {
        eventually("fewer than a tenth of the records", || {
            let mut records = Vec::new();
            read_to_the_end(address, "state", |record| records.push(record.detach()));
            (records.len() < 150 + 110).then_some(records)
        })
    });
    let mut by_key = BTreeMap::new();
    for record in newest.await.unwrap() {
        let key = String::from_utf8(record.key().unwrap().to_vec()).unwrap();
        by_key.insert(key, record.payload().unwrap()[0]);
    }
    assert_eq!(by_key.len(), 50);
    assert!(by_key.values().all(|round| *round == 29), "{by_key:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn old_records_go_and_the_log_begins_later() {
    let broker = TestBroker::start().await;
    create(&admin(&broker), topic("old", &[("retention.ms", "1000")]))
        .await
        .unwrap();
    create(&admin(&broker), topic("kept", &[])).await.unwrap();
    let producer = broker.producer();
    for topic in ["old", "kept"] {
        for i in 0..10 {
            within(put(&producer, topic, "k", &[i])).await.unwrap();
        }
    }
    let servers = broker.address.to_string();
    let watermarks = |servers: &str, topic: &str| {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .create()
            .unwrap();
        consumer
            .fetch_watermarks(topic, 0, testkit::DEADLINE)
            .unwrap()
    };
    let done = tokio::task::spawn_blocking(move || {
        eventually("the log to begin at its end", || {
            (watermarks(&servers, "old") == (10, 10)).then_some(())
        });
        watermarks(&servers, "kept")
    });
    assert_eq!(done.await.unwrap(), (0, 10));
    assert_eq!(within(put(&producer, "old", "k", b"x")).await.unwrap(), 10);
}

/// Returns a batch of one record at this time, whose header has no largest timestamp: sarama sent that up to 1.45.0.
fn without_largest(time: i64) -> Bytes {
    let record = record(Fields {
        time_delta: 0,
        offset_delta: 0,
        key: None,
        value: b"v",
    });
    let batch = Crafted {
        base_timestamp: time,
        max_timestamp: -1,
        ..Crafted::new(NONE, 1, &record)
    };
    batch.bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_old_records_go_if_the_header_has_no_timestamp() {
    const HOUR: i64 = 3_600_000;
    let broker = TestBroker::start().await;
    let settings = [("retention.ms", "3600000")];
    let names = ["old", "new", "timeless"];
    for name in names {
        create(&admin(&broker), topic(name, &settings))
            .await
            .unwrap();
    }
    let servers = broker.address.to_string();
    let starts = tokio::task::spawn_blocking(move || {
        let mut raw = Raw::connect(&servers);
        let times = [now() - 2 * HOUR, now(), -1];
        for (name, time) in names.into_iter().zip(times) {
            assert_eq!(raw.produce(name, 0, without_largest(time)), (None, 0));
        }
        let start = |raw: &mut Raw, name| raw.list_offset(name, 0, EARLIEST, UNCOMMITTED).1;
        // The broker looks at all topics in turn, so after the second time it has looked at the others, too.
        for next in 1..=2 {
            eventually("the old records to go", || {
                (start(&mut raw, "old") == next).then_some(())
            });
            raw.produce("old", 0, without_largest(times[0]));
        }
        names.map(|name| start(&mut raw, name))
    });
    assert_eq!(starts.await.unwrap()[1..], [0, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_whose_clock_is_the_brokers_stamps_records() {
    let broker = TestBroker::start().await;
    create(
        &admin(&broker),
        topic("stamped", &[("message.timestamp.type", "LogAppendTime")]),
    )
    .await
    .unwrap();
    let producer = broker.producer();
    let record = FutureRecord::<str, [u8]>::to("stamped")
        .payload(b"x")
        .timestamp(42);
    let sent = within(producer.send(record, Duration::from_secs(10)))
        .await
        .unwrap();
    assert!(
        matches!(sent.timestamp, Timestamp::LogAppendTime(at) if at > 42),
        "{sent:?}"
    );
    let servers = broker.address.to_string();
    let read = tokio::task::spawn_blocking(move || read_all(&servers, "stamped"));
    assert_eq!(read.await.unwrap()[0].timestamp(), sent.timestamp);
}

/// Starts a broker whose data is on a disk of 24 MB that no other process sees; returns the path of the disk.
fn start_on_a_small_disk() -> (ChildBroker, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let disk = data_folder(dir.path());
    fs::create_dir(&disk).unwrap();
    let mount = r#"mount -t tmpfs -o size=24m tmpfs "$0" && exec "$@""#;
    // In a namespace of its own, any user may mount.
    let namespace = ["unshare", "--user", "--map-root-user", "--mount"];
    let mut wrapper: Vec<_> = namespace.map(str::to_owned).to_vec();
    wrapper.extend(["sh", "-c", mount].map(str::to_owned));
    wrapper.push(disk.display().to_string());
    let broker = ChildBroker::start_in(dir, wrapper);
    let seen = PathBuf::from(format!("/proc/{}/root", broker.pid()));
    let disk = seen.join(disk.strip_prefix("/").unwrap());
    (broker, disk)
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to),
            false => drop(fs::copy(entry.path(), to).unwrap()),
        }
    }
}

#[test]
fn a_full_disk_is_refused_and_harms_nothing() {
    let (mut broker, disk) = start_on_a_small_disk();
    let servers = broker.address.to_string();
    testkit::create_topic(&servers, "full", 1);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let producer: FutureProducer = ClientConfig::new()
        .set("bootstrap.servers", &servers)
        .set("message.max.bytes", "2000000")
        .set("retries", "0")
        .create()
        .unwrap();
    let send = |i: usize| {
        let value = vec![i as u8; 500_000];
        runtime.block_on(put(&producer, "full", &i.to_string(), &value))
    };
    let spare = disk.join("spare");
    fs::write(&spare, vec![0; 4 << 20]).unwrap();
    let mut sent = 0;
    let refused = loop {
        match send(sent) {
            Ok(offset) => assert_eq!(offset, sent as i64),
            Err(error) => break error,
        }
        sent += 1;
        assert!(sent < 100, "the disk is never full");
    };
    let code = refused.rdkafka_error_code();
    assert_eq!(code, Some(RDKafkaErrorCode::KafkaStorageError), "{refused}");
    // The broker still serves, and accepts records again once there is space.
    assert_eq!(testkit::end_offsets(&servers, "full"), [sent as i64]);
    fs::remove_file(&spare).unwrap();
    assert_eq!(send(sent).unwrap(), sent as i64);
    let check = |servers: &str| {
        let records = testkit::read_topic(servers, "full");
        let keys: Vec<_> = records.iter().map(|r| r.key().unwrap().to_vec()).collect();
        let expected: Vec<_> = (0..=sent).map(|i| i.to_string().into_bytes()).collect();
        assert_eq!(keys, expected);
    };
    check(&servers);
    // A new broker finds everything in a copy of the disk.
    let dir = tempfile::tempdir().unwrap();
    copy(&disk, &data_folder(dir.path()));
    broker.kill();
    let again = ChildBroker::start_in(dir, Vec::new());
    check(&again.address.to_string());
}
