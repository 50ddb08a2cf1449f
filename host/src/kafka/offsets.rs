//! The offsets of a member's partitions: stored, committed, asked for, and gone back to.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{
    Consumer, Error,
    progress::offset_in,
    transaction::{Identity, Positions},
};
use crate::event::{Offset, Partition, ViewStart};

/// How long one request may take that is waited for.
const REQUEST: Duration = Duration::from_secs(10);

/// How far a partition is done.
#[derive(Clone, Copy, Debug)]
pub struct Position {
    /// Which.
    pub partition: Partition,
    /// Everything before it is done.
    pub next: Offset,
    /// Where the view of the partition begins then.
    pub view: ViewStart,
}

impl Consumer {
    /// Says how far a partition is done; see [`Commits`](super::Commits).
    pub fn store_offset(&self, position: Position) {
        let positions = self.positions([position]);
        if let Err(error) = positions.and_then(|Positions(list)| self.inner.store_offsets(&list)) {
            // Only a partition that has been taken away meanwhile: its new owner begins before it.
            tracing::debug!(%error, ?position, "offset not stored");
        }
    }

    /// What [`Consumer::store_offset`] stores, for a transaction to commit; the last of each partition counts.
    ///
    /// # Errors
    /// An offset that is none.
    pub fn positions(
        &self,
        each: impl IntoIterator<Item = Position>,
    ) -> Result<Positions, KafkaError> {
        let mut list = TopicPartitionList::new();
        for Position {
            partition,
            next,
            view,
        } in each
        {
            let (topic, partition) = (&*self.topic, partition.0);
            if list.find_partition(topic, partition).is_none() {
                list.add_partition(topic, partition);
            }
            list.set_partition_offset(topic, partition, rdkafka::Offset::Offset(next.0))?;
            if let Some(mut one) = list.find_partition(topic, partition) {
                one.set_metadata(view.to_string());
            }
        }
        Ok(Positions(list))
    }

    /// Who this is in the group now; none before it has joined.
    #[must_use]
    pub fn identity(&self) -> Option<Identity> {
        self.inner.group_metadata().map(Identity)
    }

    /// Commits what is stored and waits for it; answers what is committed then, for those of these partitions of which
    /// anything is.
    ///
    /// # Errors
    /// [`Error::Request`], if the group's coordinator refuses, as during a rebalance.
    pub fn commit_stored(&self, of: &[Partition]) -> Result<BTreeMap<Partition, Offset>, Error> {
        let what = "commit offsets";
        match self.inner.commit_consumer_state(CommitMode::Sync) {
            Err(error) if error.rdkafka_error_code() != Some(RDKafkaErrorCode::NoOffset) => {
                return Err(Error::Request {
                    what,
                    source: error,
                });
            }
            _ => {}
        }
        self.committed(of)
    }

    /// What the group has committed of these partitions, of those of which anything is.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn committed(&self, of: &[Partition]) -> Result<BTreeMap<Partition, Offset>, Error> {
        let mut list = TopicPartitionList::with_capacity(of.len());
        for partition in of {
            list.add_partition(&self.topic, partition.0);
        }
        let failed = |source| {
            let what = "say what is committed";
            Error::Request { what, source }
        };
        let committed = self.inner.committed_offsets(list, REQUEST);
        let committed = committed.map_err(failed)?;
        let mut offsets = BTreeMap::new();
        for &partition in of {
            if let Some(offset) = offset_in(&committed, &self.topic, partition.0).map_err(failed)? {
                offsets.insert(partition, Offset(offset));
            }
        }
        Ok(offsets)
    }

    /// Goes back to an offset of a partition of which nothing is under way: commits it, and polls from there on.
    ///
    /// # Errors
    /// [`Error::Request`]; polling goes on where it was then.
    pub fn rewind(&self, partition: Partition, to: Offset) -> Result<(), Error> {
        let failed = |source| {
            let what = "rewind a partition";
            Error::Request { what, source }
        };
        let mut list = self.only(partition);
        list.set_all_offsets(rdkafka::Offset::Offset(to.0))
            .map_err(failed)?;
        // What is stored already is committed in the background if it is more than what was committed last.
        self.inner.store_offsets(&list).map_err(failed)?;
        self.inner.commit(&list, CommitMode::Sync).map_err(failed)?;
        let sought = self.inner.seek_partitions(list, REQUEST).map_err(failed)?;
        let each = sought.elements();
        each.iter().try_for_each(|one| one.error()).map_err(failed)
    }
}
