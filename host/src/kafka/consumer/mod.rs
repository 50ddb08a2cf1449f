//! Consuming the topic of Eventos as a member of a group: records and rebalances, and the offsets of the assigned
//! partitions.

mod offsets;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Cluster, Consumed, Error,
    batch_search::is_unreadable,
    native::{ClientError, ConsumerQueue, QueueEvent, set_held},
    permissions::Refusals,
    plan::{NewAssignment, StartPlanner},
    rebalance::{Membership, PartitionProgress, Revocation},
    topic_watch::TopicWatch,
    transaction::GroupMetadata,
};
use crate::event::{Offset, TopicPartition, ViewStart};

/// The pipeline stores offsets itself, once the effects of their records have happened. `fetch.queue.backoff.ms` at its
/// default of 1,000 stalls a fast consumer, and a queue of 64 MB per partition is more than a partition needs. Ends of
/// partitions are reported, since a replay may end there: the last offsets before the committed one may have no
/// records, such as those of compacted records or of transaction markers.
///
/// Where librdkafka has to choose an offset, it takes the oldest: a reset to the end loses every record up to there. A group
/// that is to begin at the end is assigned that offset instead; see [`StartPlanner`].
const DEFAULTS: &[(&str, &str)] = &[
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("fetch.queue.backoff.ms", "2"),
    ("queued.max.messages.kbytes", "16384"),
    ("statistics.interval.ms", "1000"),
    ("allow.auto.create.topics", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "earliest"),
];

/// Properties for offsets that are committed in the background.
const IN_BACKGROUND: &[(&str, &str)] = &[
    ("enable.auto.commit", "true"),
    ("auto.commit.interval.ms", "500"),
];

/// Properties for offsets that transactions commit, and nothing else may.
const IN_TRANSACTIONS: &[(&str, &str)] = &[("enable.auto.commit", "false")];

/// A cooperative rebalance leaves alone the partitions that stay with their member. The protocol in which the broker
/// assigns the partitions (KIP-848) is always cooperative and does not take this property.
const CLASSIC: &[(&str, &str)] = &[("partition.assignment.strategy", "cooperative-sticky")];

/// Maximum number of paused partitions whose records are kept, up to `queued.max.messages.kbytes` of each (16 MiB).
const MAX_HELD: usize = 8;

/// How stored offsets are committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommitStrategy {
    /// The consumer: every half second, and when a partition is given up.
    InBackground,
    /// Transactions ([`TransactionalProducer`](super::TransactionalProducer)). A stored offset is then only committed by
    /// [`Consumer::commit_stored`].
    InTransactions,
}

/// A member of the group.
pub struct Consumer {
    // Dropped first: closing the client polls once more, and what happens then has to know that the client is closing.
    _closing: DropGuard,
    // Dropped next: dropping it waits for its thread, which uses the queue.
    _watch: TopicWatch,
    queue: Arc<ConsumerQueue<Membership>>,
    topic: Arc<str>,
    /// The partitions that are paused.
    paused: Arc<PausedPartitions>,
    /// The paused partitions whose records wait in a queue of their own. librdkafka's own pause throws away what was fetched of
    /// a partition, and fetches it again afterwards.
    held: Mutex<BTreeSet<TopicPartition>>,
}

/// The paused partitions of a consumer. Their ends have to be asked for: librdkafka learns an end when it fetches.
pub(super) type PausedPartitions = Mutex<BTreeSet<TopicPartition>>;

/// How to be a member of the group.
pub struct ConsumerOptions<'a> {
    /// The client id, unless `[kafka.properties]` has one.
    pub client_id: &'a str,
    /// Replays an assigned partition from the start of its view. If the start was not committed along with the offset,
    /// it replays this many records. None to begin at the committed offset.
    pub restore: Option<u64>,
    /// How stored offsets are committed.
    pub commits: CommitStrategy,
    /// Takes note of the permissions that the broker denies.
    pub refusals: Refusals,
    /// Once this is cancelled, nothing is begun that takes long.
    pub stop: &'a CancellationToken,
}

/// The position of a partition.
#[derive(Clone, Debug)]
pub struct CommitPosition {
    /// The partition.
    pub topic_partition: TopicPartition,
    /// The offset before which everything is done.
    pub next: Offset,
    /// The start of the view of the partition at that offset.
    pub view: ViewStart,
}

/// Everything that a consumer reports to the thread that polls it.
pub enum ConsumerEvent<'a> {
    /// The next record of its partition.
    Record(Consumed<'a>),
    /// All records of a partition before this offset have been returned, and nothing else has arrived yet. The offset may lie
    /// beyond the last record: markers of transactions and compacted records have offsets, too.
    PartitionEnd(TopicPartition, Offset),
    /// The group assigned partitions to this member, in addition to those that it has.
    Assigned(Vec<NewAssignment>),
    /// Partitions were revoked. The callback of [`Consumer::join`] has returned before.
    Revoked(Revocation),
    /// The progress of a partition, about once a second.
    Progress(PartitionProgress),
    /// A broker has stopped answering while requests wait for it (`false`), or all of them answer again (`true`).
    Responding(bool),
    /// The topic does not exist any more (`false`), or is back (`true`).
    TopicExists(bool),
    /// The topic was deleted and another one was created with its name. This consumer knows positions of the former topic,
    /// and has to be replaced by another one.
    TopicReplaced,
    /// The client cannot read something of this partition. It skips it, or tries again and again.
    Unreadable(TopicPartition, String),
    /// Nothing happened within the time.
    Idle,
}

impl Consumer {
    /// Joins the group. `on_revocation` is called from [`Consumer::poll`] and from dropping the consumer, before
    /// partitions are given back: once it returns, another member may have them.
    ///
    /// # Errors
    /// [`Error::Properties`], or [`Error::Request`] if librdkafka rejects the name of the topic.
    pub fn join(
        cluster: &Cluster,
        options: ConsumerOptions<'_>,
        on_revocation: impl Fn(&Revocation) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let config = cluster.config();
        let topic: Arc<str> = config.topic.as_str().into();
        let closing = options.stop.child_token();
        let context = Membership::new(
            &topic,
            &config.group_id,
            StartPlanner::new(config, options.restore, closing.clone()),
            options.refusals,
            on_revocation,
        );
        let commits = match options.commits {
            CommitStrategy::InBackground => IN_BACKGROUND,
            CommitStrategy::InTransactions => IN_TRANSACTIONS,
        };
        let protocol = config.properties.get("group.protocol");
        let assignor = match protocol.is_some_and(|name| name.eq_ignore_ascii_case("consumer")) {
            true => &[],
            false => CLASSIC,
        };
        let client_id = [("client.id", options.client_id)];
        let properties = [DEFAULTS, commits, assignor, &client_id].concat();
        let inner: BaseConsumer<Membership> = cluster
            .properties(&properties)
            .set("group.id", &config.group_id)
            .create_with_context(context)
            .map_err(Error::Properties)?;
        let what = "subscribe to the topic";
        inner
            .subscribe(&[&topic])
            .map_err(|source| Error::Request { what, source })?;
        let queue = Arc::new(ConsumerQueue::new(inner).map_err(Error::Properties)?);
        let paused = Arc::default();
        let watch = TopicWatch::start(Arc::clone(&queue), Arc::clone(&topic), Arc::clone(&paused));
        Ok(Self {
            _closing: closing.drop_guard(),
            _watch: watch,
            queue,
            topic,
            paused,
            held: Mutex::default(),
        })
    }

    /// Waits for the next event, for at most this long, and passes it to `handle`: after the rebalances and the
    /// progress that were reported meanwhile, so that a record never comes before the assignment of its partition.
    /// Errors that pass by themselves are logged.
    ///
    /// # Errors
    /// [`Error::Fatal`] and [`Error::NoAssignor`], after which the client cannot be used.
    pub fn poll(
        &self,
        at_most: Duration,
        mut handle: impl FnMut(ConsumerEvent<'_>),
    ) -> Result<(), Error> {
        let polled = self.queue.poll(at_most);
        while let Some(event) = self.membership().next_event() {
            handle(event);
        }
        handle(match polled {
            None => ConsumerEvent::Idle,
            Some(QueueEvent::Record(record)) => ConsumerEvent::Record(record),
            Some(QueueEvent::PartitionEnd(partition, offset)) => {
                ConsumerEvent::PartitionEnd(partition, offset)
            }
            Some(QueueEvent::Error(error)) => match error.partition {
                Some(partition) if is_unreadable(error.code) => {
                    ConsumerEvent::Unreadable(partition, error.reason)
                }
                _ => {
                    self.note_error(&error)?;
                    ConsumerEvent::Idle
                }
            },
        });
        Ok(())
    }

    /// Logs an error that passes by itself, and returns any other.
    fn note_error(&self, error: &ClientError) -> Result<(), Error> {
        match error.code {
            RDKafkaErrorCode::UnsupportedVersion if error.is_fatal => {
                return Err(Error::NoAssignor);
            }
            code if error.is_fatal => {
                return Err(Error::Fatal(KafkaError::MessageConsumptionFatal(code)));
            }
            // The producer already logs a lost broker once. librdkafka repeats this error every second.
            code if is_outage(code) => tracing::debug!(%error, "consuming is interrupted"),
            code if self.membership().is_refused(code) => {}
            RDKafkaErrorCode::InconsistentGroupProtocol => {
                tracing::error!(
                    %error,
                    "the other members of the group assign partitions with another strategy; set \
                     \"partition.assignment.strategy\" in [kafka.properties] to theirs, such as \"range\" or \"roundrobin\""
                );
            }
            _ => tracing::warn!(%error, "consuming is interrupted"),
        }
        Ok(())
    }

    /// Returns the oldest offset that the broker has of an assigned partition, as of the last fetch.
    #[must_use]
    pub fn first_offset(&self, partition: &TopicPartition) -> Option<Offset> {
        self.queue.first_offset(partition)
    }

    /// Returns no more records of a partition, after those that are already in the queue, until it is resumed or revoked.
    /// Polling goes on.
    pub fn pause(&self, partition: &TopicPartition) {
        self.paused.lock().insert(partition.clone());
        let mut held = self.held.lock();
        if held.len() < MAX_HELD {
            held.insert(partition.clone());
            return set_held(self.client(), partition, true);
        }
        drop(held);
        let paused = self.client().pause(&list_of([partition]));
        log_failure("pause", partition, paused);
    }

    /// Returns records of a paused partition again.
    pub fn resume(&self, partition: &TopicPartition) {
        self.paused.lock().remove(partition);
        if self.held.lock().remove(partition) {
            return set_held(self.client(), partition, false);
        }
        let resumed = self.client().resume(&list_of([partition]));
        log_failure("resume", partition, resumed);
    }

    /// Takes note that a partition is not paused any more, since it was revoked.
    pub fn forget_pause(&self, partition: &TopicPartition) {
        self.paused.lock().remove(partition);
        self.held.lock().remove(partition);
    }

    /// Returns the identity of this member in the current generation of the group; none before it has joined.
    #[must_use]
    pub fn identity(&self) -> Option<GroupMetadata> {
        self.client().group_metadata().map(GroupMetadata)
    }

    fn client(&self) -> &BaseConsumer<Membership> {
        self.queue.client()
    }

    fn membership(&self) -> &Arc<Membership> {
        self.client().client().context()
    }

    /// The topic that is consumed.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }
}

fn list_of<'p>(partitions: impl IntoIterator<Item = &'p TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for TopicPartition { topic, partition } in partitions {
        list.add_partition(topic, partition.0);
    }
    list
}

fn log_failure(what: &str, partition: &TopicPartition, result: KafkaResult<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, %partition, "cannot {what} the partition");
    }
}

fn is_outage(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, Resolve};
    matches!(code, AllBrokersDown | BrokerTransportFailure | Resolve)
}
