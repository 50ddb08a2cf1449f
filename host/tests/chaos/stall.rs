//! Watches what comes out while things go wrong: whether it goes on, and the longest time in which nothing came.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use eventos_testkit::eventually;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::load::Topics;

pub struct Stalls {
    stop: Arc<AtomicBool>,
    seen: Arc<AtomicU64>,
    watcher: JoinHandle<Duration>,
}

impl Stalls {
    /// Counts from the first record on.
    pub fn watch(servers: &str, topics: &Topics) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("group.id", format!("{}-watcher", topics.name))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("reconnect.backoff.max.ms", "500")
            .create()
            .expect("a client");
        let mut all = rdkafka::TopicPartitionList::new();
        all.add_partition_range(&topics.out, 0, 2);
        consumer.assign(&all).expect("assigned");
        let (stop, seen) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&seen));
        let watcher = thread::spawn(move || watch(&consumer, &stopped, &count));
        let stalls = Self {
            stop,
            seen,
            watcher,
        };
        stalls.wait_for_progress(|| {});
        stalls
    }

    /// Waits until something more has come out, doing something meanwhile again and again.
    pub fn wait_for_progress(&self, mut meanwhile: impl FnMut()) {
        let before = self.seen.load(Ordering::Relaxed);
        eventually("something to come out", || {
            meanwhile();
            (self.seen.load(Ordering::Relaxed) > before).then_some(())
        });
    }

    /// The longest time in which nothing came out.
    pub fn finish(self) -> Duration {
        self.stop.store(true, Ordering::Relaxed);
        self.watcher.join().expect("no panic")
    }
}

fn watch(consumer: &BaseConsumer, stop: &AtomicBool, seen: &AtomicU64) -> Duration {
    let (mut last, mut longest) = (None::<Instant>, Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        if let Some(Ok(_)) = consumer.poll(Duration::from_millis(100)) {
            seen.fetch_add(1, Ordering::Relaxed);
            if let Some(last) = last.replace(Instant::now()) {
                longest = longest.max(last.elapsed());
            }
        }
    }
    longest
}
