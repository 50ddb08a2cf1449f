//! A transactional producer that makes each request when a check says so, at the right moment or not.

use eventos_testkit::{
    eventually,
    raw::{Raw, Verdict, text, verdict},
};
use kafka_protocol::{
    error::ResponseError,
    messages::{
        AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, EndTxnRequest, GroupId,
        InitProducerIdRequest, OffsetFetchRequest, TopicName, TransactionalId,
        TxnOffsetCommitRequest,
        add_partitions_to_txn_request::AddPartitionsToTxnTopic,
        offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics},
        txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic},
    },
    protocol::StrBytes,
};

use super::{batch::Batch, subject::Subject};

/// The producer of a transactional id, or one that claims to be it.
pub(super) struct Transactor {
    pub raw: Raw,
    pub id: String,
    /// The producer id and the epoch.
    pub producer: (i64, i16),
    /// The sequence number of the next batch of each partition.
    sequences: [i32; 4],
}

impl Transactor {
    /// Returns a new producer, which has fenced earlier ones with the same id.
    pub(super) fn new(subject: &Subject, id: &str) -> Self {
        let mut raw = subject.raw();
        let answer = raw.init_producer(Some(id));
        assert_eq!(verdict(answer.error_code), None);
        Self {
            raw,
            id: id.to_owned(),
            producer: (answer.producer_id.0, answer.producer_epoch),
            sequences: [0; 4],
        }
    }

    /// Requests a new epoch as the producer with this id and epoch.
    pub(super) fn again(&mut self, producer: (i64, i16)) -> (Verdict, (i64, i16)) {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(self.named()))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id(producer.0.into())
            .with_producer_epoch(producer.1);
        let answer = self.raw.call(4, &request);
        let producer = (answer.producer_id.0, answer.producer_epoch);
        (verdict(answer.error_code), producer)
    }

    /// Adds a partition to the transaction.
    pub(super) fn add(&mut self, topic: &str, partition: i32) -> Verdict {
        let topic = AddPartitionsToTxnTopic::default()
            .with_name(text::<TopicName>(topic))
            .with_partitions(vec![partition]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.named())
            .with_v3_and_below_producer_id(self.producer.0.into())
            .with_v3_and_below_producer_epoch(self.producer.1)
            .with_v3_and_below_topics(vec![topic]);
        self.patiently(|one| {
            let answer = one.raw.call(3, &request);
            let topic = &answer.results_by_topic_v3_and_below[0];
            verdict(topic.results_by_partition[0].partition_error_code)
        })
    }

    /// Adds a group to the transaction.
    pub(super) fn add_offsets(&mut self, group: &str) -> Verdict {
        let request = AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.named())
            .with_producer_id(self.producer.0.into())
            .with_producer_epoch(self.producer.1)
            .with_group_id(text::<GroupId>(group));
        self.patiently(|one| verdict(one.raw.call(3, &request).error_code))
    }

    /// Commits an offset of partition 0 for a group.
    pub(super) fn commit_offset(&mut self, group: &str, topic: &str, offset: i64) -> Verdict {
        let partition = TxnOffsetCommitRequestPartition::default()
            .with_committed_offset(offset)
            .with_committed_leader_epoch(-1)
            .with_committed_metadata(Some(text::<StrBytes>("")));
        let topic = TxnOffsetCommitRequestTopic::default()
            .with_name(text::<TopicName>(topic))
            .with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(self.named())
            .with_group_id(text::<GroupId>(group))
            .with_producer_id(self.producer.0.into())
            .with_producer_epoch(self.producer.1)
            .with_generation_id(-1)
            .with_topics(vec![topic]);
        let answer = self.raw.call(3, &request);
        verdict(answer.topics[0].partitions[0].error_code)
    }

    /// Returns the committed offset of a group for partition 0, with or without `require_stable`.
    pub(super) fn fetch_offset(
        &mut self,
        group: &str,
        topic: &str,
        stable: bool,
    ) -> (Verdict, i64) {
        let topic = OffsetFetchRequestTopics::default()
            .with_name(text::<TopicName>(topic))
            .with_partition_indexes(vec![0]);
        let group = OffsetFetchRequestGroup::default()
            .with_group_id(text::<GroupId>(group))
            .with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default()
            .with_groups(vec![group])
            .with_require_stable(stable);
        let answer = self.raw.call(8, &request);
        let found = &answer.groups[0].topics[0].partitions[0];
        (verdict(found.error_code), found.committed_offset)
    }

    /// Produces one record.
    pub(super) fn produce(&mut self, topic: &str, partition: i32) -> Verdict {
        let sequence = &mut self.sequences[usize::try_from(partition).expect("few")];
        let (id, epoch) = self.producer;
        let batch = Batch::of(1).from(id, epoch, *sequence).transactional();
        let name = Some(&*self.id);
        let answer = self
            .raw
            .produce_with(-1, name, topic, partition, batch.bytes());
        let error = verdict(answer.error_code);
        *sequence += i32::from(error.is_none());
        error
    }

    /// Commits or aborts the transaction.
    pub(super) fn end(&mut self, commit: bool) -> Verdict {
        let request = EndTxnRequest::default()
            .with_transactional_id(self.named())
            .with_producer_id(self.producer.0.into())
            .with_producer_epoch(self.producer.1)
            .with_committed(commit);
        self.patiently(|one| verdict(one.raw.call(3, &request).error_code))
    }

    fn named(&self) -> TransactionalId {
        text(&self.id)
    }

    /// Repeats a request while the broker completes the last transaction.
    fn patiently(&mut self, mut call: impl FnMut(&mut Self) -> Verdict) -> Verdict {
        eventually("the transaction before to end", || match call(self) {
            Some(ResponseError::ConcurrentTransactions) => None,
            verdict => Some(verdict),
        })
    }
}
