//! A client of librdkafka with a thread that takes its reports.

use std::{
    ops::Deref,
    sync::{Arc, Weak},
    thread,
    time::Duration,
};

use rdkafka::{
    ClientConfig,
    config::FromClientConfigAndContext,
    error::KafkaResult,
    producer::{BaseProducer, ProducerContext},
};

/// How long the thread waits for a report at a time. rdkafka spends the last millisecond of each wait polling without a pause, so
/// that its own `ThreadedProducer`, with 100 ms, takes up to 1 % of a core at rest.
const WAIT: Duration = Duration::from_millis(500);

/// A producer whose reports go to its context. Cheap to clone. The client is closed within half a second after the last clone is gone.
pub(in crate::kafka) struct PolledProducer<C: ProducerContext + 'static>(Arc<BaseProducer<C>>);

impl<C: ProducerContext + 'static> FromClientConfigAndContext<C> for PolledProducer<C> {
    fn from_config_and_context(properties: &ClientConfig, context: C) -> KafkaResult<Self> {
        let producer = Arc::new(BaseProducer::from_config_and_context(properties, context)?);
        let weak = Arc::downgrade(&producer);
        let named = thread::Builder::new().name("kafka-reports".to_owned());
        let poll = move || {
            while let Some(producer) = Weak::upgrade(&weak) {
                producer.poll(WAIT);
            }
        };
        named.spawn(poll).expect("the system has a thread for it");
        Ok(Self(producer))
    }
}

impl<C: ProducerContext + 'static> Clone for PolledProducer<C> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<C: ProducerContext + 'static> Deref for PolledProducer<C> {
    type Target = BaseProducer<C>;

    fn deref(&self) -> &BaseProducer<C> {
        &self.0
    }
}
