//! Consume, transform, produce: what transactions are for. Kills of the broker may neither duplicate nor lose anything.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use eventos_testkit::{eventually, wait::pause};
use rdkafka::{
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    message::Message,
    producer::{BaseProducer, BaseRecord, FutureProducer, Producer},
};

use super::{child::ChildBroker, support::*};

const MESSAGES: usize = 4_000;
const STEP: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(180);

/// Copies "in" to "out" until `stop`, with a transaction for a few messages each. Begins again after an error.
fn copy(address: SocketAddr, stop: &AtomicBool, commits: &AtomicUsize) {
    while !stop.load(Ordering::Relaxed) {
        if let Err(error) = copy_until_error(address, stop, commits) {
            eprintln!("copier begins anew: {error}");
        }
    }
}

fn copy_until_error(
    address: SocketAddr,
    stop: &AtomicBool,
    commits: &AtomicUsize,
) -> Result<(), KafkaError> {
    let producer: BaseProducer = client(address).set("transactional.id", "copier").create()?;
    producer.init_transactions(STEP)?;
    let consumer: BaseConsumer = client(address)
        .set("group.id", "copiers")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .set("enable.auto.commit", "false")
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "200")
        .create()?;
    consumer.subscribe(&["in"])?;
    while !stop.load(Ordering::Relaxed) {
        let mut batch = Vec::new();
        let until = Instant::now() + Duration::from_millis(10);
        while batch.len() < 20 {
            match consumer.poll(Duration::from_millis(5)) {
                Some(message) => batch.push(message?.detach()),
                None if Instant::now() > until => break,
                None => {}
            }
        }
        if batch.is_empty() {
            continue;
        }
        producer.begin_transaction()?;
        for message in &batch {
            let record = BaseRecord::<(), _>::to("out")
                .partition(message.partition())
                .payload(message.payload().unwrap_or_default());
            producer.send(record).map_err(|(error, _)| error)?;
        }
        let group = consumer.group_metadata().ok_or(KafkaError::Canceled)?;
        producer.send_offsets_to_transaction(&consumer.position()?, &group, STEP)?;
        producer.commit_transaction(STEP)?;
        commits.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Returns how often each text is in "out", once all are there and no more have come for a while.
fn copied(address: SocketAddr) -> BTreeMap<String, usize> {
    let consumer: BaseConsumer = client(address)
        .set("group.id", "judge")
        .set("isolation.level", "read_committed")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    consumer.subscribe(&["out"]).unwrap();
    let mut counts = BTreeMap::new();
    let start = Instant::now();
    let mut quiet = Instant::now();
    // A duplicate may come after the last message.
    while counts.len() < MESSAGES || quiet.elapsed() < Duration::from_secs(2) {
        assert!(start.elapsed() < PATIENCE, "{} of {MESSAGES}", counts.len());
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            let text = String::from_utf8(message.payload().unwrap().to_vec()).unwrap();
            *counts.entry(text).or_default() += 1;
            quiet = Instant::now();
        }
    }
    counts
}

/// Waits until the copier has made progress, so that kills interrupt its work.
fn until_more(commits: &AtomicUsize) {
    let seen = commits.load(Ordering::Relaxed);
    eventually("the copier to get further", || {
        (commits.load(Ordering::Relaxed) >= seen + 3).then_some(())
    });
}

fn assert_once_each(counts: &BTreeMap<String, usize>) {
    let doubled: Vec<_> = counts.iter().filter(|(_, count)| **count != 1).collect();
    assert!(doubled.is_empty(), "{doubled:?}");
}

async fn fill(address: SocketAddr) {
    let producer: FutureProducer = client(address).create().unwrap();
    for partition in 0..4 {
        let part = partition as usize * MESSAGES / 4;
        let texts = numbered("m", part..part + MESSAGES / 4);
        send(&producer, "in", partition, texts).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_exact_over_restarts_without_a_shutdown() {
    let mut broker = TestBroker::start().await;
    let address = broker.address;
    fill(address).await;
    let (stop, commits) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (stop, commits) = (std::sync::Arc::new(stop), std::sync::Arc::new(commits));
    let copier = {
        let (stop, commits) = (stop.clone(), commits.clone());
        std::thread::spawn(move || copy(address, &stop, &commits))
    };
    for _ in 0..10 {
        let commits = commits.clone();
        tokio::task::spawn_blocking(move || until_more(&commits))
            .await
            .unwrap();
        broker = broker.restart_in_place().await;
    }
    let counts = tokio::task::spawn_blocking(move || copied(address))
        .await
        .unwrap();
    stop.store(true, Ordering::Relaxed);
    copier.join().unwrap();
    assert_once_each(&counts);
    drop(broker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_exact_over_twenty_kills_of_the_process() {
    let mut broker = ChildBroker::start();
    let address = broker.address;
    fill(address).await;
    let counts = tokio::task::spawn_blocking(move || {
        let (stop, commits) = (AtomicBool::new(false), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            scope.spawn(|| copy(address, &stop, &commits));
            for i in 0..20 {
                until_more(&commits);
                // The kills hit various points of a transaction.
                pause(Duration::from_micros(700 * i));
                broker.restart();
            }
            let counts = copied(address);
            stop.store(true, Ordering::Relaxed);
            counts
        })
    });
    assert_once_each(&counts.await.unwrap());
}
