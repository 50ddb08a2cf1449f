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
};

/// One worker's transactions, one after the other.
pub(super) struct Transactor {
    kafka: kafka::Config,
    servers: String,
    /// The transactional id. Nobody else has it, but for this one's own former self, which is fenced.
    id: String,
    producer: Transactional,
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
        stop: Stop,
    ) -> Result<Self, kafka::Error> {
        Ok(Self {
            producer: Transactional::new(kafka, servers, &id)?,
            kafka: kafka.clone(),
            servers: servers.to_owned(),
            id,
            stop,
        })
    }

    /// Has the broker abort what a former self left open. Before anything is consumed: the broker does not tell a committed
    /// offset of which such a transaction holds a later one.
    pub(super) fn init(&mut self) -> Result<(), Stopped> {
        loop {
            match self.producer.init(&|| self.stop.is_not_yet()) {
                Ok(()) => return Ok(()),
                Err(error) => self.replace(&error)?,
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
        loop {
            match self.attempt(group, deliverer, originals, effects, &mut outbox, progress) {
                Ok(Tried::Committed) => break,
                Ok(Tried::Unacknowledged) => self.give_up(None)?,
                Err(Failure::Kafka(error)) => self.give_up(Some(error))?,
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
            deliverer.pause()?;
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
            return Ok(Tried::Unacknowledged);
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

    /// Makes room for another transaction after one that came to nothing.
    fn give_up(&mut self, error: Option<TransactionError>) -> Result<(), Stopped> {
        let fatal = match error {
            Some(TransactionError::GivenUp) => return Err(Stopped),
            Some(fatal @ TransactionError::Fenced(_)) => fatal,
            error => {
                if let Some(error) = error {
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
        tracing::error!(
            %error, transactional_id,
            "beginning anew with another producer; if this goes on, look whether another daemon has the same id \
             (group.instance.id, http.advertise), and whether the broker permits it"
        );
        self.stop.pause(super::deliver::AGAIN)?;
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
