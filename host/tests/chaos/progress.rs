//! Watches the topic that the handlers emit to: whether records still come, and the longest time without one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use eventos_testkit::{Background, StopFlag, eventually};
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};

use crate::load::Names;

/// A consumer in a thread of its own that counts the emitted records.
pub(crate) struct ProgressWatcher {
    count: Arc<AtomicU64>,
    watching: Background<Duration>,
}

impl ProgressWatcher {
    /// Starts to watch, and waits for the first record.
    pub(crate) fn start(servers: &str, names: &Names) -> Self {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", servers)
            .set("group.id", format!("{}-watcher", names.group))
            .set("enable.auto.commit", "false")
            .set("auto.offset.reset", "earliest")
            .set("reconnect.backoff.max.ms", "500")
            .create()
            .expect("a client");
        let mut all = rdkafka::TopicPartitionList::new();
        all.add_partition_range(&names.emitted, 0, 2);
        consumer.assign(&all).expect("the partitions are assigned");
        let count = Arc::<AtomicU64>::default();
        let counter = Arc::clone(&count);
        let watching = Background::start(move |stop| watch(&consumer, stop, &counter));
        let watcher = Self { count, watching };
        watcher.wait_for_progress(|| {});
        watcher
    }

    /// Waits for another record. Calls `meanwhile` again and again until it comes.
    pub(crate) fn wait_for_progress(&self, mut meanwhile: impl FnMut()) {
        let before = self.count.load(Relaxed);
        eventually("another emitted record", || {
            meanwhile();
            (self.count.load(Relaxed) > before).then_some(())
        });
    }

    /// Stops, and returns the longest time between two records.
    pub(crate) fn finish(self) -> Duration {
        self.watching.finish()
    }
}

fn watch(consumer: &BaseConsumer, stop: &StopFlag, count: &AtomicU64) -> Duration {
    let (mut last, mut longest) = (None::<Instant>, Duration::ZERO);
    while !stop.is_set() {
        if let Some(Ok(_)) = consumer.poll(Duration::from_millis(100)) {
            count.fetch_add(1, Relaxed);
            if let Some(last) = last.replace(Instant::now()) {
                longest = longest.max(last.elapsed());
            }
        }
    }
    longest
}
