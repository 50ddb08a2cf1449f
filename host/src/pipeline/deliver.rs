//! Producing what a batch emitted and what of it is dead, until the broker has acknowledged all of it.

use std::time::Duration;

use super::{
    Config,
    effects::{DeadLetter, Effects, Kept},
    headers::dead_letter_headers,
    stop::{Stop, Stopped},
};
use crate::{
    event::{Batch, Header, Offset, RecordRef, Unreadable},
    kafka::{Delivery, ProduceError, Producer},
    telemetry::metrics::Metrics,
};

/// The pause before what the broker did not acknowledge is produced again.
const AGAIN: Duration = Duration::from_millis(500);

/// The records of a batch as they were consumed, by offset: what dead letters are made of.
pub(super) struct Originals<'a> {
    pub batch: &'a Batch,
    pub unreadable: &'a Unreadable,
}

/// Produces the effects of batches.
pub(super) struct Deliverer {
    pub producer: Producer,
    pub config: Config,
    pub metrics: Metrics,
    pub stop: Stop,
}

/// One record to produce.
#[derive(Clone, Copy)]
enum Outgoing {
    /// Which record of which emission.
    Emitted(usize, usize),
    /// Which dead letter.
    Dead(usize),
}

impl Deliverer {
    /// Produces in the order of the sources' offsets, and again what was not acknowledged. It
    /// goes on for as long as the broker is gone; the partition waits meanwhile.
    pub(super) fn deliver(
        &self,
        originals: &Originals<'_>,
        effects: &mut Effects,
    ) -> Result<(), Stopped> {
        let mut pending = outgoing(effects);
        while !pending.is_empty() {
            pending = self.produce(originals, effects, pending);
            if !pending.is_empty() {
                self.stop.pause(AGAIN)?;
            }
        }
        Ok(())
    }

    /// One try: answers what has to be tried again.
    fn produce(
        &self,
        originals: &Originals<'_>,
        effects: &mut Effects,
        pending: Vec<(Offset, Outgoing)>,
    ) -> Vec<(Offset, Outgoing)> {
        let deliveries: Vec<_> = pending
            .into_iter()
            .map(|(offset, one)| (offset, one, self.enqueue(originals, effects, offset, one)))
            .collect();
        let mut again = Vec::new();
        for (offset, one, delivery) in deliveries {
            match delivery.and_then(|delivery| self.stop.wait(delivery)) {
                Ok(_) => self.count(effects, one),
                Err(ProduceError::QueueFull) => again.push((offset, one)),
                Err(error) => {
                    again.push((offset, self.unacknowledged(effects, offset, one, &error)))
                }
            }
        }
        again
    }

    fn enqueue(
        &self,
        originals: &Originals<'_>,
        effects: &Effects,
        offset: Offset,
        one: Outgoing,
    ) -> Result<Delivery, ProduceError> {
        match one {
            Outgoing::Emitted(emission, record) => {
                let emitted = &effects.emitted[emission];
                let record = emitted.records.get(record);
                self.producer.enqueue_to(&emitted.topic, &record, [])
            }
            Outgoing::Dead(letter) => {
                let letter = &effects.dead[letter];
                let headers = dead_letter_headers(originals.batch, letter);
                let headers = headers.iter().map(|(name, value)| Header {
                    name,
                    value: Some(value.as_bytes()),
                });
                let topic = &self.config.dead_letter_topic;
                let record = letter.kept.of(originals.record(offset));
                self.producer.enqueue_to(topic, &record, headers)
            }
        }
    }

    /// What the broker refuses for good is dead, with its source; all else is tried again.
    fn unacknowledged(
        &self,
        effects: &mut Effects,
        offset: Offset,
        one: Outgoing,
        error: &ProduceError,
    ) -> Outgoing {
        let for_good = matches!(error, ProduceError::TooLarge | ProduceError::Refused(_));
        match one {
            Outgoing::Emitted(emission, _) if for_good => {
                let emitted = &effects.emitted[emission];
                let topic = &emitted.topic;
                let letter = DeadLetter {
                    offset,
                    stage: "emit",
                    class: "eventos.Emit",
                    message: format!("a record for the topic {topic} cannot be produced: {error}"),
                    stacktrace: String::new(),
                    handler: Some(emitted.handler.clone()),
                    attempts: 1,
                    kept: Kept::Whole,
                };
                effects.dead.push(letter);
                Outgoing::Dead(effects.dead.len() - 1)
            }
            // A partition does not wait for a topic to take larger records.
            Outgoing::Dead(letter)
                if matches!(error, ProduceError::TooLarge)
                    && let Some(less) = effects.dead[letter].kept.less() =>
            {
                let topic = &self.config.dead_letter_topic;
                tracing::warn!(topic, %offset, kept = ?less, "a dead letter is larger than its topic takes; leaving something out");
                effects.dead[letter].kept = less;
                one
            }
            Outgoing::Dead(_) if for_good => {
                let topic = &self.config.dead_letter_topic;
                tracing::error!(%error, topic, %offset, "a dead letter is refused; its partition waits until it is taken");
                one
            }
            _ => {
                tracing::warn!(%error, %offset, "not acknowledged; producing it again");
                one
            }
        }
    }

    fn count(&self, effects: &Effects, one: Outgoing) {
        if let Outgoing::Dead(letter) = one {
            match &effects.dead[letter].handler {
                Some((name, _)) => self.metrics.handler(name).dead_lettered(1),
                None => self.metrics.unreadable(1),
            }
        }
    }
}

impl Originals<'_> {
    fn record(&self, offset: Offset) -> RecordRef<'_> {
        match self.batch.offsets.binary_search(&offset.0) {
            Ok(i) => self.batch.record(i),
            Err(_) => {
                let found = self.unreadable.offsets.binary_search(&offset);
                self.unreadable
                    .records
                    .get(found.expect("it is of this batch"))
            }
        }
    }
}

fn outgoing(effects: &Effects) -> Vec<(Offset, Outgoing)> {
    let emitted = effects.emitted.iter().enumerate().flat_map(|(e, emitted)| {
        let sources = emitted.sources.iter().enumerate();
        sources.map(move |(r, &source)| (source, Outgoing::Emitted(e, r)))
    });
    let dead = effects.dead.iter().enumerate();
    let dead = dead.map(|(d, letter)| (letter.offset, Outgoing::Dead(d)));
    let mut outgoing: Vec<_> = emitted.chain(dead).collect();
    // Stable: what one record brought about keeps its order.
    outgoing.sort_by_key(|(offset, _)| *offset);
    outgoing
}
