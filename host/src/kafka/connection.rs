//! What the client of a producer hears of its brokers, and passes on.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicI32, Ordering::Relaxed},
};

use rdkafka::{
    ClientContext, Statistics,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
};

use super::client::log;

/// Whether any broker is connected.
pub(super) struct Connection {
    down: AtomicBool,
    // Held while it is told, so that what it is told last is how it is.
    tell: Mutex<Box<dyn Fn(bool) + Send>>,
}

impl Connection {
    pub(super) fn new(tell: impl Fn(bool) + Send + 'static) -> Self {
        Self {
            down: AtomicBool::new(false),
            tell: Mutex::new(Box::new(tell)),
        }
    }

    pub(super) fn is_down(&self) -> bool {
        self.down.load(Relaxed)
    }

    fn set_down(&self, down: bool) {
        let tell = self.lock();
        if self.down.swap(down, Relaxed) != down {
            tell(!down);
        }
    }

    pub(super) fn tell(&self) {
        let tell = self.lock();
        tell(!self.down.load(Relaxed));
    }

    fn lock(&self) -> MutexGuard<'_, Box<dyn Fn(bool) + Send>> {
        self.tell.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Hears of the connection: librdkafka says when the last broker is lost, and its statistics show
/// when one is back (it tries for one every second), and how many partitions the topic has by now.
#[derive(Clone)]
pub(super) struct Context {
    pub(super) connection: Arc<Connection>,
    pub(super) topic: Arc<str>,
    pub(super) partitions: Arc<AtomicI32>,
}

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "producer");
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::AllBrokersDown) {
            self.connection.set_down(true);
        }
    }

    fn stats(&self, statistics: Statistics) {
        if statistics
            .brokers
            .values()
            .any(|broker| broker.state == "UP")
        {
            self.connection.set_down(false);
        }
        if let Some(topic) = statistics.topics.get(&*self.topic) {
            let all = topic.partitions.values();
            let known = all.filter(|one| one.partition >= 0 && !one.unknown).count();
            // Partitions are only ever added. That there are none says that nothing is known yet.
            let known = i32::try_from(known).unwrap_or(i32::MAX);
            self.partitions.fetch_max(known, Relaxed);
        }
    }
}
