//! Producing what a batch emitted, what of it left the chain and what is dead, until the broker has acknowledged all
//! of it; and what becomes of what the broker does not take, for its size or for want of a permission.

use std::{collections::BTreeSet, time::Duration};

use super::{
    batch::{Originals, Work},
    config::{Config, Guarantee, Output},
    effects::{DeadLetter, Effects, Kept, dead_letter_headers},
    failpoint::{Point, reached},
    shutdown::{Stop, Stopped},
};
use crate::{
    event::{Batch, Header, Offset},
    kafka::{Delivery, Permission, Position, ProduceError, Producer, Refusals},
    telemetry::metrics::Metrics,
};

/// One record to produce.
#[derive(Clone, Copy)]
pub(super) enum Outgoing {
    /// Which record of which emission.
    Emitted(usize, usize),
    /// Which record of what left the chain.
    Left(usize),
    /// Which dead letter.
    Dead(usize),
}

/// A record on its way out.
#[derive(Clone, Copy)]
pub(super) struct Pending {
    pub source: Offset,
    pub one: Outgoing,
    /// Nothing else is on its way with it: a request that is too large fails whole, and this tells which record is.
    pub alone: bool,
    pub acknowledged: bool,
}

/// All that a batch brings about, in the order of the sources' offsets.
pub(super) struct Outbox(pub Vec<Pending>);

impl Outbox {
    pub(super) fn of(effects: &Effects) -> Self {
        let emitted = effects.emitted.iter().enumerate().flat_map(|(e, emitted)| {
            let sources = emitted.sources.iter().enumerate();
            sources.map(move |(r, &source)| (source, Outgoing::Emitted(e, r)))
        });
        let dead = effects.dead.iter().enumerate();
        let dead = dead.map(|(d, letter)| (letter.offset, Outgoing::Dead(d)));
        let left = effects.left.iter().flat_map(|left| {
            let records = 0..left.len();
            records.map(|i| (left.offset(i), Outgoing::Left(i)))
        });
        let mut outgoing: Vec<_> = emitted.chain(dead).chain(left).collect();
        // Stable: what one record brought about keeps its order.
        outgoing.sort_by_key(|(offset, _)| *offset);
        let pending = |(source, one)| Pending {
            source,
            one,
            alone: false,
            acknowledged: false,
        };
        Self(outgoing.into_iter().map(pending).collect())
    }

    /// Whether the broker has acknowledged all of it.
    pub(super) fn is_done(&self) -> bool {
        self.0.iter().all(|pending| pending.acknowledged)
    }

    /// What was acknowledged does not count.
    pub(super) fn begin_anew(&mut self) {
        for pending in &mut self.0 {
            pending.acknowledged = false;
        }
    }
}

/// The pause before what the broker did not acknowledge is produced again.
pub(super) const AGAIN: Duration = Duration::from_millis(500);

/// A batch that the chain has handled, and what is to come of it.
pub(super) struct Handled {
    pub work: Work,
    pub effects: Effects,
    pub outbox: Outbox,
    /// Where its partition stands once that has come about.
    pub position: Position,
}

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

/// What becomes of what the broker does not permit.
pub(super) const WAITS: &str = "its partition waits until then";
const DIES: &str = "what would go there becomes dead letters until then";

impl Deliverer {
    /// What the broker refuses for good is dead, with its source; a letter that is refused waits.
    pub(super) fn refused(
        &self,
        effects: &mut Effects,
        offset: Offset,
        one: Outgoing,
        error: &ProduceError,
    ) -> Outgoing {
        let permission = error.permission(self.topic(effects, one));
        let is_noted = permission.is_some();
        if let Some(permission) = permission {
            let and_so = match one {
                Outgoing::Emitted(..) | Outgoing::Left(_) => DIES,
                Outgoing::Dead(_) => WAITS,
            };
            self.refusals.refused(permission, and_so);
        }
        match one {
            Outgoing::Emitted(emission, _) => {
                let emitted = &effects.emitted[emission];
                let mut letter = letter("emit", "eventos.Emit", &emitted.topic, offset, error);
                letter.handler = Some(emitted.handler.clone());
                bury(effects, letter)
            }
            Outgoing::Left(_) => {
                let (Output { topic, .. }, _) = self.left(effects);
                let letter = letter("output", "eventos.OutputTopic", topic, offset, error);
                bury(effects, letter)
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
            Outgoing::Dead(_) if is_noted => one,
            Outgoing::Dead(_) => {
                let topic = &self.config.dead_letter_topic;
                tracing::error!(%error, topic, %offset, "a dead letter is refused; its partition waits until it is taken");
                one
            }
        }
    }

    /// In a transaction the topic that is refused is not always told, so nothing of it dies of that.
    pub(super) fn waits_for_permission(&self) -> bool {
        self.config.guarantee == Guarantee::ExactlyOnce
    }

    /// What it takes to write to all topics that these batches produce to.
    pub(super) fn permission<'b>(&'b self, batches: &'b [Handled]) -> Permission {
        let of_one = |batch: &'b Handled| {
            let Handled {
                effects, outbox, ..
            } = batch;
            outbox.0.iter().map(|next| self.topic(effects, next.one))
        };
        let topics: BTreeSet<_> = batches.iter().flat_map(of_one).collect();
        let topics: Vec<_> = topics.into_iter().collect();
        match *topics {
            [only] => Permission::Write(only.to_owned()),
            _ => Permission::WriteAny(topics.join(", ")),
        }
    }

    pub(super) fn note_permitted(&self, effects: &Effects, one: Outgoing) {
        if self.refusals.are_there_any() {
            let topic = self.topic(effects, one).to_owned();
            self.refusals.granted(&Permission::Write(topic));
            self.refusals.granted(&Permission::Produce);
        }
    }
}

/// For what a topic refuses for good.
fn letter(
    stage: &'static str,
    class: &'static str,
    topic: &str,
    offset: Offset,
    error: &ProduceError,
) -> DeadLetter {
    DeadLetter {
        offset,
        stage,
        class,
        message: format!("a record for the topic {topic} cannot be produced: {error}"),
        stacktrace: String::new(),
        handler: None,
        attempts: 1,
        kept: Kept::Whole,
    }
}

fn bury(effects: &mut Effects, letter: DeadLetter) -> Outgoing {
    effects.dead.push(letter);
    Outgoing::Dead(effects.dead.len() - 1)
}
