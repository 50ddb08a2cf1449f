//! Producing what a batch emitted, what of it left the chain and what is dead, until the broker has acknowledged all
//! of it.

use std::time::Duration;

use super::{
    Config,
    effects::Effects,
    failure_point::{Point, reached},
    headers::dead_letter_headers,
    originals::Originals,
    outbox::{Outbox, Outgoing, Pending},
    output::Output,
    refused::WAITS,
    stop::{Stop, Stopped},
};
use crate::{
    event::{Batch, Header},
    kafka::{Delivery, Permission, ProduceError, Producer, Refusals},
    telemetry::metrics::Metrics,
};

/// The pause before what the broker did not acknowledge is produced again.
pub(super) const AGAIN: Duration = Duration::from_millis(500);

/// Produces the effects of batches.
pub(super) struct Deliverer {
    pub config: Config,
    pub output: Option<Output>,
    pub metrics: Metrics,
    pub refusals: Refusals,
    pub stop: Stop,
}

/// What was put on its way, by its place in the outbox.
type Deliveries = Vec<(usize, Result<Delivery, ProduceError>)>;

impl Deliverer {
    /// Produces all of it, and again what was not acknowledged. It goes on for as long as the broker is gone; the
    /// partition waits meanwhile.
    pub(super) fn deliver(
        &self,
        producer: &Producer,
        originals: &Originals<'_>,
        effects: &mut Effects,
    ) -> Result<(), Stopped> {
        let mut outbox = Outbox::of(effects);
        for tries in 0.. {
            self.produce(producer, originals, effects, &mut outbox)?;
            if outbox.is_done() {
                break;
            }
            self.pause(tries)?;
        }
        reached(Point::Acknowledged);
        self.count(effects, &outbox);
        Ok(())
    }

    /// Before another try, after so many. What is not permitted takes somebody to permit it.
    pub(super) fn pause(&self, tries: u32) -> Result<(), Stopped> {
        let longer = match self.refusals.now().is_empty() {
            true => 1,
            false => 1 << tries.min(4),
        };
        self.stop.pause(AGAIN * longer)
    }

    /// One try.
    pub(super) fn produce(
        &self,
        producer: &Producer,
        originals: &Originals<'_>,
        effects: &mut Effects,
        outbox: &mut Outbox,
    ) -> Result<(), Stopped> {
        let mut deliveries = Vec::with_capacity(outbox.0.len());
        for place in 0..outbox.0.len() {
            let next = outbox.0[place];
            if next.acknowledged {
                continue;
            }
            if next.alone {
                self.wait_for(effects, &mut deliveries, outbox)?;
            }
            let delivery = loop {
                match self.enqueue(producer, originals, effects, next) {
                    // What comes after it may not come before it.
                    Err(ProduceError::QueueFull) if deliveries.is_empty() => self.pause(0)?,
                    Err(ProduceError::QueueFull) => {
                        self.wait_for(effects, &mut deliveries, outbox)?;
                    }
                    delivery => break delivery,
                }
            };
            deliveries.push((place, delivery));
            if next.alone {
                self.wait_for(effects, &mut deliveries, outbox)?;
            }
        }
        reached(Point::Produced);
        self.wait_for(effects, &mut deliveries, outbox)
    }

    /// Marks what was acknowledged, and decides how to go on with what was not.
    fn wait_for(
        &self,
        effects: &mut Effects,
        deliveries: &mut Deliveries,
        outbox: &mut Outbox,
    ) -> Result<(), Stopped> {
        let (mut failed, mut why) = (0, None);
        for (place, delivery) in deliveries.drain(..) {
            let next = &mut outbox.0[place];
            let delivered = match delivery {
                Ok(delivery) => self.stop.wait(delivery)?,
                Err(error) => Err(error),
            };
            match delivered {
                Ok(_) => {
                    next.acknowledged = true;
                    self.note_permitted(effects, next.one);
                }
                Err(ProduceError::TooLarge) if !next.alone => next.alone = true,
                Err(ProduceError::NotPermitted) if self.waits_for_permission() => {
                    let topic = self.topic(effects, next.one).to_owned();
                    self.refusals.refused(Permission::Write(topic), WAITS);
                }
                Err(error) if error.is_for_good() => {
                    next.one = self.refused(effects, next.source, next.one, &error);
                }
                Err(error) => {
                    if let Some(permission) = error.permission("") {
                        self.refusals.refused(permission, WAITS);
                        continue;
                    }
                    failed += 1;
                    why.get_or_insert(error);
                }
            }
        }
        if let Some(error) = why {
            tracing::warn!(%error, records = failed, "not acknowledged; producing them again");
        }
        Ok(())
    }

    fn enqueue(
        &self,
        producer: &Producer,
        originals: &Originals<'_>,
        effects: &Effects,
        Pending { source, one, .. }: Pending,
    ) -> Result<Delivery, ProduceError> {
        match one {
            Outgoing::Emitted(emission, record) => {
                let emitted = &effects.emitted[emission];
                let record = emitted.records.get(record);
                producer.enqueue_to(&emitted.topic, None, &record, [])
            }
            Outgoing::Left(record) => {
                let (output, left) = self.left(effects);
                let record = left.record(record);
                let partition = output.partition(left.partition, &record);
                producer.enqueue_to(&output.topic, partition, &record, [])
            }
            Outgoing::Dead(letter) => {
                let letter = &effects.dead[letter];
                let headers = dead_letter_headers(originals.batch, letter);
                let headers = headers.iter().map(|(name, value)| Header {
                    name,
                    value: Some(value.as_bytes()),
                });
                let topic = &self.config.dead_letter_topic;
                let record = letter.kept.of(originals.record(source));
                producer.enqueue_to(topic, None, &record, headers)
            }
        }
    }

    /// Once all of it is done for good.
    pub(super) fn count(&self, effects: &Effects, outbox: &Outbox) {
        for pending in &outbox.0 {
            if let Outgoing::Dead(letter) = pending.one {
                match &effects.dead[letter].handler {
                    Some((name, _)) => self.metrics.handler(name).dead_lettered(1),
                    None => self.metrics.unreadable(1),
                }
            }
        }
    }

    /// Where it is to go.
    pub(super) fn topic<'a>(&'a self, effects: &'a Effects, one: Outgoing) -> &'a str {
        match one {
            Outgoing::Emitted(emission, _) => &effects.emitted[emission].topic,
            Outgoing::Left(_) => &self.left(effects).0.topic,
            Outgoing::Dead(_) => &self.config.dead_letter_topic,
        }
    }

    pub(super) fn left<'a>(&'a self, effects: &'a Effects) -> (&'a Output, &'a Batch) {
        let output = self.output.as_ref().zip(effects.left.as_deref());
        output.expect("what leaves the chain is kept only where it goes on")
    }
}
