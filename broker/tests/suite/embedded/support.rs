//! A broker for each test, and clients of it.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use eventos_broker::{Broker, Config};
use eventos_testkit::raw::{Raw, text};
use kafka_protocol::messages::{MetadataRequest, metadata_request::MetadataRequestTopic};
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, StreamConsumer},
    error::KafkaError,
    message::{BorrowedMessage, Message, OwnedMessage},
    producer::{FutureProducer, FutureRecord},
};
use tempfile::TempDir;

/// The longest time that a test waits for anything.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

/// A broker on a folder that outlives it.
pub(super) struct TestBroker {
    pub address: SocketAddr,
    broker: Broker,
    dir: Arc<TempDir>,
}

impl TestBroker {
    /// Starts a broker on an empty folder.
    pub(super) async fn start() -> TestBroker {
        TestBroker::start_in(Arc::new(tempfile::tempdir().unwrap())).await
    }

    async fn start_in(dir: Arc<TempDir>) -> TestBroker {
        TestBroker::start_at(dir, ([127, 0, 0, 1], 0).into()).await
    }

    async fn start_at(dir: Arc<TempDir>, listen: SocketAddr) -> TestBroker {
        let config = Config {
            listen,
            ..config(dir.path())
        };
        let broker = Broker::start(config).await.unwrap();
        TestBroker {
            address: broker.address(),
            broker,
            dir,
        }
    }

    /// Returns the data folder.
    pub(super) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the file of the first segment of a partition.
    pub(super) fn first_segment(&self, topic: &str, partition: i32) -> PathBuf {
        let folder = self.dir().join("logs").join(format!("{topic}-{partition}"));
        folder.join("00000000000000000000.log")
    }

    /// Shuts the broker down in order; returns its folder.
    pub(super) async fn stop(self) -> Arc<TempDir> {
        within(self.broker.shutdown()).await.unwrap();
        self.dir
    }

    /// Ends the broker as a kill would; returns its folder.
    pub(super) async fn kill(self) -> Arc<TempDir> {
        within(self.broker.kill()).await;
        self.dir
    }

    /// Kills the broker, calls `meanwhile`, and starts another broker on the folder.
    pub(super) async fn restart_after(self, meanwhile: impl FnOnce()) -> TestBroker {
        let dir = self.kill().await;
        meanwhile();
        TestBroker::start_in(dir).await
    }

    /// Kills the broker, and starts another one at the same address, so that clients can continue.
    pub(super) async fn restart_in_place(self) -> TestBroker {
        let address = self.address;
        let dir = self.kill().await;
        TestBroker::start_at(dir, address).await
    }

    /// Removes all members of a group.
    pub(super) fn remove_members(&self, group: &str) {
        self.broker.remove_members(group);
    }

    /// Returns the configuration of a client of this broker.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", self.address.to_string());
        config
    }

    /// Returns a producer with acks=all.
    pub(super) fn producer(&self) -> FutureProducer {
        self.client().set("acks", "all").create().unwrap()
    }

    /// Returns a consumer of a group that reads from the beginning without a committed offset.
    pub(super) fn consumer(&self, group: &str, topics: &[&str]) -> StreamConsumer {
        consumer_of(&mut self.client(), group, topics)
    }
}

/// Returns a consumer of a group that reads from the beginning without a committed offset, with more settings.
pub(super) fn consumer_of(
    client: &mut ClientConfig,
    group: &str,
    topics: &[&str],
) -> StreamConsumer {
    let consumer: StreamConsumer = client
        .set("group.id", group)
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "200")
        .create()
        .unwrap();
    consumer.subscribe(topics).unwrap();
    consumer
}

/// Returns the configuration of a client that reconnects within 100 ms.
pub(super) fn client(address: SocketAddr) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address.to_string());
    config.set("reconnect.backoff.max.ms", "100");
    config
}

/// Returns a configuration with a free port.
pub(super) fn config(dir: &Path) -> Config {
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        dir: dir.to_owned(),
        ..Config::default()
    }
}

/// Creates a topic with the default number of partitions, four.
pub(super) fn create_topic(address: SocketAddr, name: &str) {
    let topic = MetadataRequestTopic::default().with_name(Some(text(name)));
    let request = MetadataRequest::default().with_topics(Some(vec![topic]));
    let created = Raw::connect(&address.to_string()).call(12, &request);
    assert_eq!(created.topics[0].error_code, 0);
}

/// Waits for a future, which must not take long.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("took too long")
}

/// Sends texts to a partition; returns the offset of the last one.
pub(super) async fn send(
    producer: &FutureProducer,
    topic: &str,
    partition: i32,
    texts: impl IntoIterator<Item = String>,
) -> i64 {
    let texts: Vec<String> = texts.into_iter().collect();
    let mut acks = Vec::new();
    for text in &texts {
        let record = FutureRecord::<str, String>::to(topic)
            .partition(partition)
            .payload(text);
        acks.push(
            producer
                .send_result(record)
                .map_err(|(error, _)| error)
                .unwrap(),
        );
    }
    let mut last = -1;
    for ack in acks {
        last = within(ack).await.unwrap().unwrap().offset;
    }
    last
}

/// Receives the next `count` messages.
pub(super) async fn receive(consumer: &StreamConsumer, count: usize) -> Vec<OwnedMessage> {
    let mut messages = Vec::new();
    while messages.len() < count {
        messages.push(within(consumer.recv()).await.unwrap().detach());
    }
    messages
}

/// Returns the payloads as texts.
pub(super) fn texts(messages: &[OwnedMessage]) -> Vec<String> {
    let text =
        |m: &OwnedMessage| String::from_utf8(m.payload().unwrap_or_default().to_vec()).unwrap();
    messages.iter().map(text).collect()
}

/// Returns "PREFIX 0", "PREFIX 1", …
pub(super) fn numbered(prefix: &str, range: std::ops::Range<usize>) -> Vec<String> {
    range.map(|i| format!("{prefix} {i}")).collect()
}

/// Calls `show` with everything that a read_committed consumer can see of a topic, in the order of each partition.
pub(super) fn read_to_the_end(
    address: SocketAddr,
    topic: &str,
    mut show: impl FnMut(&BorrowedMessage),
) {
    let consumer: BaseConsumer = client(address)
        .set("group.id", "judge")
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .create()
        .unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), DEADLINE).unwrap();
    let mut from = TopicPartitionList::new();
    for partition in metadata.topics()[0].partitions() {
        from.add_partition_offset(topic, partition.id(), Offset::Beginning)
            .unwrap();
    }
    consumer.assign(&from).unwrap();
    let mut at_end = BTreeSet::new();
    while at_end.len() < from.count() {
        match consumer.poll(DEADLINE).expect("something in time") {
            Ok(message) => show(&message),
            Err(KafkaError::PartitionEOF(partition)) => {
                at_end.insert(partition);
            }
            Err(error) => panic!("{error}"),
        }
    }
}
