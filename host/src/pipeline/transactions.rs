//! A worker's transactional producer, and another in its place once it cannot go on.

use super::{
    deliver::AGAIN,
    refused::WAITS,
    stop::{Stop, Stopped},
};
use crate::{
    kafka::{self, Cluster, Permission, Refusals, TransactionError, Transactional},
    telemetry::in_one_line,
};

/// One worker's transactions, one after the other.
pub(super) struct Transactions {
    pub cluster: Cluster,
    /// The transactional id. Nobody else has it, but for this one's own former self, which is fenced.
    id: String,
    pub producer: Transactional,
    pub refusals: Refusals,
    pub stop: Stop,
}

impl Transactions {
    /// # Errors
    /// [`kafka::Error`], for properties that make no client.
    pub(super) fn new(
        cluster: Cluster,
        id: String,
        refusals: Refusals,
        stop: Stop,
    ) -> Result<Self, kafka::Error> {
        Ok(Self {
            producer: Transactional::new(&cluster, &id)?,
            cluster,
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

    /// Makes room for another transaction after one that came to nothing.
    pub(super) fn give_up(&mut self, error: Option<TransactionError>) -> Result<(), Stopped> {
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
        let mut pause = AGAIN;
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
        match Transactional::new(&self.cluster, &self.id) {
            Ok(producer) => self.producer = producer,
            Err(error) => tracing::error!(error = in_one_line(&error), "no producer"),
        }
        Ok(())
    }

    /// What is to be granted, if that is what failed; `with_topics` says it where the broker names no resource.
    pub(super) fn lacking(
        &self,
        error: &TransactionError,
        with_topics: impl FnOnce() -> Permission,
    ) -> Option<Permission> {
        error.permission(&self.id, &self.cluster.config().group_id, with_topics)
    }

    /// Tells what is to be granted, if that is what failed.
    pub(super) fn note(&self, error: &TransactionError, with_topics: impl FnOnce() -> Permission) {
        if let Some(permission) = self.lacking(error, with_topics) {
            self.refusals.refused(permission, WAITS);
        }
    }
}
