//! Exactly once: the effects of a batch and its offset in one transaction, again and again until it is committed, or
//! another member of the group has the partition. Who reads only what is committed sees each effect once.

use std::sync::Arc;

use super::{
    deliver::{Deliverer, Originals},
    effects::Effects,
    failure_point::{Point, reached},
    outbox::Outbox,
    stop::{Stop, Stopped, Undone},
    tenure::{Tenure, Tenures},
};
use crate::{
    causes::in_one_line,
    event::{Offset, Partition, ViewStart},
    kafka::{self, Consumer, TransactionError, Transactional},
    refusals::{Permission, Refusals},
};

/// One worker's transactions, one after the other.
pub(super) struct Transactor {
    kafka: kafka::Config,
    servers: String,
    /// The transactional id. Nobody else has it, but for this one's own former self, which is fenced.
    id: String,
    producer: Transactional,
    refusals: Refusals,
    stop: Stop,
}

/// The other parts that it needs.
pub(super) struct Group {
    pub consumer: Arc<Consumer>,
    pub tenures: Arc<Tenures>,
}

/// Where its partition stands once a batch is done.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    pub partition: Partition,
    pub tenure: Tenure,
    pub next: Offset,
    pub view: ViewStart,
}

/// What one try came to.
enum Tried {
    Committed,
    /// Records were not acknowledged: those that never will be are dead letters in the next try.
    Unacknowledged,
}

/// Why there was no end to a try.
enum Failure {
    Kafka(TransactionError),
    Undone(Undone),
}

impl Transactor {
    /// # Errors
    /// [`kafka::Error`], for properties that make no client.
    pub(super) fn new(
        kafka: &kafka::Config,
        servers: &str,
        id: String,
        refusals: Refusals,
        stop: Stop,
    ) -> Result<Self, kafka::Error> {
        Ok(Self {
            producer: Transactional::new(kafka, servers, &id)?,
            kafka: kafka.clone(),
            servers: servers.to_owned(),
            id,
            refusals,
            stop,
        })
    }

    /// Has the broker abort what a former self left open. Before anything is consumed: the broker does not tell a committed
    /// offset of which such a transaction holds a later one.
    pub(super) fn init(&mut self) -> Result<(), Stopped> {
        loop {
            match self.producer.init(&|| self.stop.is_not_yet()) {
                Ok(()) => {
                    self.refusals
                        .granted(&Permission::Transact(self.id.clone()));
                    return Ok(());
                }
                Err(error) => {
                    self.note(&error, || Permission::Produce);
                    self.replace(&error)?;
                }
            }
        }
    }

    /// Brings about the effects, and commits them with where the partition stands then.
    pub(super) fn deliver(
        &mut self,
        group: &Group,
        deliverer: &Deliverer,
        originals: &Originals<'_>,
        effects: &mut Effects,
        progress: Progress,
    ) -> Result<(), Undone> {
        let mut outbox = Outbox::of(effects);
        for tries in 0.. {
            match self.attempt(group, deliverer, originals, effects, &mut outbox, progress) {
                Ok(Tried::Committed) => {
                    self.note_permitted(deliverer, effects, &outbox);
                    break;
                }
                Ok(Tried::Unacknowledged) => self.give_up(None)?,
                Err(Failure::Kafka(error)) => {
                    self.note(&error, || match outbox.is_done() {
                        // Its offset was refused.
                        true => Permission::Read(self.kafka.topic.clone()),
                        false => deliverer.permission(effects, &outbox),
                    });
                    self.give_up(Some(error))?;
                }
                Err(Failure::Undone(undone)) => {
                    self.give_up(None)?;
                    return Err(undone);
                }
            }
            if !group.tenures.stands(progress.partition, progress.tenure) {
                return Err(Undone::Revoked);
            }
            if self.is_committed(group, progress)? {
                break;
            }
            outbox.begin_anew();
            deliverer.pause(tries)?;
        }
        deliverer.count(effects, &outbox);
        Ok(())
    }

    fn attempt(
        &self,
        group: &Group,
        deliverer: &Deliverer,
        originals: &Originals<'_>,
        effects: &mut Effects,
        outbox: &mut Outbox,
        progress: Progress,
    ) -> Result<Tried, Failure> {
        let Progress {
            partition,
            tenure,
            next,
            view,
        } = progress;
        self.producer.begin()?;
        reached(Point::Begun);
        deliverer.produce(self.producer.producer(), originals, effects, outbox)?;
        if !outbox.is_done() {
            let failure = self.producer.failure();
            let refused =
                failure.filter(|error| self.lacking(error, || Permission::Produce).is_some());
            return refused.map_or(Ok(Tried::Unacknowledged), |error| Err(error.into()));
        }
        reached(Point::Acknowledged);
        // In this order: had the partition been taken away before, it would be seen now; if it is later, the
        // coordinator refuses who we were.
        let identity = group.consumer.identity();
        let (Some(identity), true) = (identity, group.tenures.stands(partition, tenure)) else {
            return Err(Failure::Undone(Undone::Revoked));
        };
        let positions = group.consumer.positions(partition, next, view);
        let positions = positions.map_err(TransactionError::Abort)?;
        let go_on = || self.stop.is_not_yet();
        self.producer.send_offsets(&identity, &positions, &go_on)?;
        reached(Point::OffsetSent);
        self.producer.commit(&go_on)?;
        reached(Point::Committed);
        Ok(Tried::Committed)
    }

    fn lacking(
        &self,
        error: &TransactionError,
        with_topics: impl FnOnce() -> Permission,
    ) -> Option<Permission> {
        error.permission(&self.id, &self.kafka.group_id, with_topics)
    }

    fn note(&self, error: &TransactionError, with_topics: impl FnOnce() -> Permission) {
        if let Some(permission) = self.lacking(error, with_topics) {
            self.refusals.refused(permission, super::deliver::WAITS);
        }
    }

    fn note_permitted(&self, deliverer: &Deliverer, effects: &Effects, outbox: &Outbox) {
        if self.refusals.are_there_any() {
            let kafka::Config {
                topic, group_id, ..
            } = &self.kafka;
            self.refusals
                .granted(&deliverer.permission(effects, outbox));
            self.refusals.granted(&Permission::Read(topic.clone()));
            self.refusals.granted(&Permission::Join(group_id.clone()));
        }
    }

    /// Makes room for another transaction after one that came to nothing.
    fn give_up(&mut self, error: Option<TransactionError>) -> Result<(), Stopped> {
        let fatal = match error {
            Some(TransactionError::GivenUp) => return Err(Stopped),
            Some(fatal @ TransactionError::Fenced(_)) => fatal,
            error => {
                if let Some(error) = error.filter(|_| self.refusals.now().is_empty()) {
                    tracing::warn!(%error, "trying the transaction again");
                }
                match self.producer.abort(&|| self.stop.is_not_yet()) {
                    Ok(()) => return Ok(()),
                    Err(TransactionError::GivenUp) => return Err(Stopped),
                    Err(fatal) => fatal,
                }
            }
        };
        self.replace(&fatal)?;
        self.init()
    }

    /// Another producer of the same id.
    fn replace(&mut self, error: &TransactionError) -> Result<(), Stopped> {
        if matches!(error, TransactionError::GivenUp) {
            return Err(Stopped);
        }
        let transactional_id = &self.id;
        // What is not permitted was told.
        let mut pause = super::deliver::AGAIN;
        if self.refusals.now().is_empty() {
            tracing::error!(
                %error, transactional_id,
                "beginning anew with another producer; if this goes on, look whether another daemon has the same id \
                 (group.instance.id, http.advertise)"
            );
        } else {
            tracing::debug!(%error, transactional_id, "beginning anew with another producer");
            pause *= 4;
        }
        self.stop.pause(pause)?;
        match Transactional::new(&self.kafka, &self.servers, &self.id) {
            Ok(producer) => self.producer = producer,
            Err(error) => tracing::error!(error = in_one_line(&error), "no producer"),
        }
        Ok(())
    }

    /// Whether a transaction whose end was not told was committed all the same.
    fn is_committed(&self, group: &Group, progress: Progress) -> Result<bool, Stopped> {
        loop {
            match group.consumer.committed(progress.partition) {
                Ok(committed) => return Ok(committed.is_some_and(|offset| offset >= progress.next)),
                Err(error) => {
                    if error.is_lack_of_permission() {
                        let group = self.kafka.group_id.clone();
                        self.refusals
                            .refused(Permission::Join(group), super::deliver::WAITS);
                    }
                    let error = in_one_line(&error);
                    tracing::warn!(error, "cannot find out whether a transaction was committed");
                    self.stop.pause(super::deliver::AGAIN)?;
                }
            }
        }
    }
}

impl From<TransactionError> for Failure {
    fn from(error: TransactionError) -> Self {
        Self::Kafka(error)
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::Undone(stopped.into())
    }
}
