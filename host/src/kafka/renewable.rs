//! A producer's client, and another in its place once librdkafka has given it up for good: as when the broker permits it
//! nothing, or has forgotten what it knew of it.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    error::{KafkaResult, RDKafkaErrorCode},
    producer::{FutureProducer, Producer as _},
};

use super::connection::Context;

/// How long a client is left in its place at least.
const LASTS: Duration = Duration::from_secs(5);

pub(super) struct Renewable {
    properties: ClientConfig,
    context: Context,
    // A std mutex, held for a look or a change.
    current: Mutex<Current>,
}

struct Current {
    client: FutureProducer<Context>,
    since: Instant,
}

impl Renewable {
    pub(super) fn new(properties: &ClientConfig, context: Context) -> KafkaResult<Self> {
        let current = Current {
            client: properties.create_with_context(context.clone())?,
            since: Instant::now(),
        };
        Ok(Self {
            properties: properties.clone(),
            context,
            current: Mutex::new(current),
        })
    }

    pub(super) fn client(&self) -> FutureProducer<Context> {
        self.lock().client.clone()
    }

    /// Why the client was given up for good, if it was; another takes its place then. Not that of a transactional one: who
    /// runs the transactions has to know.
    pub(super) fn given_up(&self) -> Option<(RDKafkaErrorCode, String)> {
        let mut current = self.lock();
        let why = current.client.client().fatal_error()?;
        let is_transactional = self.properties.get("transactional.id").is_some();
        if !is_transactional && current.since.elapsed() >= LASTS {
            current.since = Instant::now();
            match self.properties.create_with_context(self.context.clone()) {
                Ok(client) => {
                    let gone = std::mem::replace(&mut current.client, client);
                    // It waits for its own thread to end, and nobody is to wait for that.
                    thread::spawn(move || drop(gone));
                }
                Err(error) => {
                    tracing::warn!(%error, "no producer in place of one that cannot go on")
                }
            }
        }
        Some(why)
    }

    fn lock(&self) -> MutexGuard<'_, Current> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
