//! What a restart of the broker means for the members of groups: no rebalance, if it takes less than their session.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use rdkafka::{
    ClientContext, Message,
    consumer::{BaseConsumer, CommitMode, Consumer, ConsumerContext, Rebalance, StreamConsumer},
    producer::FutureProducer,
};

use super::{child::ChildBroker, support::*};

const PARTITIONS: usize = 4;
const RECORDS: usize = 40;
/// How long the broker is away: longer than the members wait between two heartbeats, which is 3 s.
const AWAY: Duration = Duration::from_secs(4);
/// The default of librdkafka and of Java.
const SESSION_MS: &str = "45000";

/// Counts the rebalances of a consumer.
#[derive(Default)]
struct Rebalances(AtomicUsize);

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn pre_rebalance(&self, _: &BaseConsumer<Self>, _: &Rebalance<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// The members of two groups, of which one is of static members, and what they have received.
struct Members {
    consumers: Vec<BaseConsumer<Rebalances>>,
    /// The number of times that a group received a record, by index of the group and text.
    received: BTreeMap<(usize, String), usize>,
}

impl Members {
    fn join(address: SocketAddr) -> Members {
        let member = |(group, number): (usize, usize)| {
            let mut config = client(address);
            config
                .set("group.id", format!("g{group}"))
                .set("session.timeout.ms", SESSION_MS)
                .set("auto.offset.reset", "earliest")
                .set("enable.auto.commit", "false");
            if group == 1 {
                config.set("group.instance.id", format!("member-{number}"));
            }
            let consumer: BaseConsumer<Rebalances> =
                config.create_with_context(Rebalances::default()).unwrap();
            consumer.subscribe(&["t"]).unwrap();
            consumer
        };
        let all = [(0, 0), (0, 1), (1, 0), (1, 1)];
        Members {
            consumers: all.into_iter().map(member).collect(),
            received: BTreeMap::new(),
        }
    }

    fn poll(&mut self) {
        for (i, consumer) in self.consumers.iter().enumerate() {
            // Errors are expected while the broker is away.
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(5)) {
                let text = String::from_utf8_lossy(message.payload().unwrap()).into_owned();
                *self.received.entry((i / 2, text)).or_default() += 1;
            }
        }
    }

    fn poll_until(&mut self, done: impl Fn(&Members) -> bool) {
        let deadline = Instant::now() + DEADLINE;
        while !done(self) {
            assert!(Instant::now() < deadline, "{:?}", self.received.len());
            self.poll();
        }
    }

    fn are_assigned(&self) -> bool {
        let share = |consumer: &BaseConsumer<_>| consumer.assignment().unwrap().count();
        let mut shares = self.consumers.iter().map(share);
        shares.all(|share| share == PARTITIONS / 2)
    }

    /// Commits what was received, which only a member of the current generation can do.
    fn commit(&self) {
        for consumer in &self.consumers {
            consumer.commit_consumer_state(CommitMode::Sync).unwrap();
        }
    }

    fn rebalances(&self) -> Vec<usize> {
        let count = |consumer: &BaseConsumer<Rebalances>| {
            consumer.client().context().0.load(Ordering::Relaxed)
        };
        self.consumers.iter().map(count).collect()
    }
}

/// Sends as many records to each partition.
async fn produce(producer: &FutureProducer, name: &str) {
    for partition in 0..PARTITIONS {
        let texts = (0..RECORDS / PARTITIONS).map(|i| format!("{name} {partition} {i}"));
        send(producer, "t", partition as i32, texts).await;
    }
}

/// Lets members of two groups receive records before and after the broker ends in this way and starts again.
async fn over_a_restart(end: impl FnOnce(&mut ChildBroker)) {
    let mut broker = ChildBroker::start();
    let producer: FutureProducer = client(broker.address).set("acks", "all").create().unwrap();
    create_topic(broker.address, "t");
    let mut members = Members::join(broker.address);
    members.poll_until(Members::are_assigned);
    produce(&producer, "before").await;
    members.poll_until(|members| members.received.len() == 2 * RECORDS);
    members.commit();
    let before = members.rebalances();
    members.received.clear();

    end(&mut broker);
    let back = Instant::now() + AWAY;
    while Instant::now() < back {
        members.poll();
    }
    broker.revive();
    broker.wait_until_it_serves();

    produce(&producer, "after").await;
    members.poll_until(|members| members.received.len() == 2 * RECORDS);
    members.commit();
    assert_eq!(members.rebalances(), before);
    let each_once = members.received.values().all(|times| *times == 1);
    assert!(each_once, "{:?}", members.received);
}

#[tokio::test(flavor = "multi_thread")]
async fn members_that_are_removed_hold_up_nobody() {
    let broker = TestBroker::start().await;
    create_topic(broker.address, "t");
    send(&broker.producer(), "t", 0, ["x".to_owned()]).await;
    let long_session = |broker: &TestBroker| {
        let consumer: StreamConsumer = broker
            .client()
            .set("group.id", "g")
            .set("session.timeout.ms", "300000")
            .set("auto.offset.reset", "earliest")
            .create()
            .unwrap();
        consumer.subscribe(&["t"]).unwrap();
        consumer
    };
    // It does not find the broker at its next address, and is never dropped, because it would wait for it then.
    let gone = Box::leak(Box::new(long_session(&broker)));
    receive(gone, 1).await;
    let broker = broker.restart_after(|| {}).await;
    broker.remove_members("g");
    send(&broker.producer(), "t", 0, ["y".to_owned()]).await;
    receive(&long_session(&broker), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_stay_members_over_a_kill() {
    over_a_restart(ChildBroker::kill).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn members_stay_members_over_an_orderly_restart() {
    over_a_restart(ChildBroker::stop).await;
}
