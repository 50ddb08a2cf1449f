//! The offsets of the assigned partitions: they are stored, committed, queried, and set back.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    TopicPartitionList,
    consumer::{CommitMode, Consumer as _},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};

use super::{CommitPosition, Consumer, list_of};
use crate::{
    event::{CommitMetadata, Offset, TopicPartition, ViewStart},
    kafka::{Error, group::offset_in, transaction::TransactionOffsets},
};

/// How long one request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

impl Consumer {
    /// Stores the position of a partition; see [`super::CommitStrategy`].
    pub fn store_offset(&self, position: &CommitPosition) {
        let stored = self
            .positions([position])
            .and_then(|TransactionOffsets(list)| self.client().store_offsets(&list));
        if let Err(error) = stored {
            // The partition has been revoked meanwhile, and its next owner begins before this offset.
            tracing::debug!(%error, ?position, "offset not stored");
        }
    }

    /// Returns what [`Consumer::store_offset`] would store, for a transaction to commit. Of several positions of a
    /// partition the last one counts.
    ///
    /// # Errors
    /// A negative offset.
    pub fn positions<'p>(
        &self,
        positions: impl IntoIterator<Item = &'p CommitPosition>,
    ) -> Result<TransactionOffsets, KafkaError> {
        let mut list = TopicPartitionList::new();
        for CommitPosition {
            topic_partition: TopicPartition { topic, partition },
            next,
            view,
        } in positions
        {
            if list.find_partition(topic, partition.0).is_none() {
                list.add_partition(topic, partition.0);
            }
            list.set_partition_offset(topic, partition.0, rdkafka::Offset::Offset(next.0))?;
            if let Some(mut one) = list.find_partition(topic, partition.0) {
                one.set_metadata(self.metadata(Some(*view)));
            }
        }
        Ok(TransactionOffsets(list))
    }

    /// Commits the stored offsets and waits for it. Returns what is committed then, like [`Consumer::committed`].
    ///
    /// # Errors
    /// [`Error::Request`], if the coordinator of the group refuses, as during a rebalance.
    pub fn commit_stored(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>, Error> {
        let what = "commit offsets";
        match self.client().commit_consumer_state(CommitMode::Sync) {
            Err(source) if source.rdkafka_error_code() != Some(RDKafkaErrorCode::NoOffset) => {
                return Err(Error::Request { what, source });
            }
            _ => {}
        }
        self.committed(partitions)
    }

    /// Returns the offsets that the group has committed of these partitions, without those where it has committed none.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, Offset>, Error> {
        let what = "query the committed offsets";
        let failed = |source| Error::Request { what, source };
        let committed = self
            .client()
            .committed_offsets(list_of(partitions), REQUEST_TIMEOUT)
            .map_err(failed)?;
        let mut offsets = BTreeMap::new();
        for one in partitions {
            let offset = offset_in(&committed, &one.topic, one.partition.0).map_err(failed)?;
            if let Some(offset) = offset {
                offsets.insert(one.clone(), Offset(offset));
            }
        }
        Ok(offsets)
    }

    /// Rewinds a partition of which nothing is in flight: commits this offset, and continues polling there.
    ///
    /// # Errors
    /// [`Error::Request`], and polling continues where it was.
    pub fn rewind(&self, partition: &TopicPartition, to: Offset) -> Result<(), Error> {
        let what = "rewind a partition";
        let failed = |source| Error::Request { what, source };
        let list = self.commit_earlier(partition, to).map_err(failed)?;
        let sought = self.client().seek_partitions(list, REQUEST_TIMEOUT);
        let sought = sought.map_err(failed)?;
        let each = sought.elements();
        each.iter().try_for_each(|one| one.error()).map_err(failed)
    }

    /// Continues polling a partition at another offset. Nothing is committed.
    ///
    /// # Errors
    /// [`Error::Request`], and polling continues where it was.
    pub fn go_to(&self, partition: &TopicPartition, to: Offset) -> Result<(), Error> {
        let what = "continue at another offset";
        let failed = |source| Error::Request { what, source };
        let mut list = list_of([partition]);
        list.set_all_offsets(rdkafka::Offset::Offset(to.0))
            .map_err(failed)?;
        let sought = self.client().seek_partitions(list, REQUEST_TIMEOUT);
        let sought = sought.map_err(failed)?;
        let each = sought.elements();
        each.iter().try_for_each(|one| one.error()).map_err(failed)
    }

    /// Commits an offset before the committed one, which is where polling goes on already: the log is shorter than it was.
    /// The background commit never goes back.
    ///
    /// # Errors
    /// [`Error::Request`].
    pub fn commit_reset(&self, partition: &TopicPartition, to: Offset) -> Result<(), Error> {
        let what = "commit an earlier offset";
        let committed = self.commit_earlier(partition, to);
        committed.map_err(|source| Error::Request { what, source })?;
        Ok(())
    }

    fn commit_earlier(
        &self,
        partition: &TopicPartition,
        to: Offset,
    ) -> KafkaResult<TopicPartitionList> {
        let mut list = list_of([partition]);
        list.set_all_offsets(rdkafka::Offset::Offset(to.0))?;
        for mut one in list.elements() {
            one.set_metadata(self.metadata(None));
        }
        // A stored offset would be committed in the background if it is higher than the committed one.
        self.client().store_offsets(&list)?;
        self.client().commit(&list, CommitMode::Sync)?;
        Ok(list)
    }

    fn metadata(&self, view: Option<ViewStart>) -> String {
        let topic = self.membership().topic_id();
        CommitMetadata { view, topic }.to_string()
    }
}
