//! Consuming the topic of Eventos as a member of a group: records, and the offsets of its partitions, which are stored,
//! committed, asked for, and gone back to.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer as _},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    AutoOffsetReset, Cluster, Consumed, Error,
    group::offset_in,
    permissions::Refusals,
    rebalance::{Membership, Notice, Restore, partitions},
    transaction::{Identity, Positions},
};
use crate::event::{Offset, Partition, ViewStart};

/// Offsets are stored by the pipeline once their effects are done. `fetch.queue.backoff.ms` at its default of 1,000
/// stalls a fast consumer, and a queue of 64 MB a partition is more than one needs. The ends of partitions are told, since
/// a replay may end there: the last offsets before a committed one can be of records that are no more, or of markers.
const OURS: &[(&str, &str)] = &[
    ("enable.auto.offset.store", "false"),
    ("isolation.level", "read_committed"),
    ("fetch.queue.backoff.ms", "2"),
    ("queued.max.messages.kbytes", "16384"),
    ("statistics.interval.ms", "1000"),
    ("allow.auto.create.topics", "false"),
    ("enable.partition.eof", "true"),
];

/// For offsets that are committed in the background; what transactions commit nothing else may.
const IN_BACKGROUND: &[(&str, &str)] = &[
    ("enable.auto.commit", "true"),
    ("auto.commit.interval.ms", "500"),
];
const IN_TRANSACTIONS: &[(&str, &str)] = &[("enable.auto.commit", "false")];

/// A rebalance leaves alone what stays. Not for the protocol in which the broker assigns (KIP-848): that takes no such
/// property, and is cooperative by itself.
const CLASSIC: &[(&str, &str)] = &[("partition.assignment.strategy", "cooperative-sticky")];

/// How long one request may take that is waited for.
const REQUEST: Duration = Duration::from_secs(10);

/// Who commits the offsets that are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Commits {
    /// The consumer: every half second, and when a partition is given up.
    InBackground,
    /// Transactions ([`Transactional`](super::Transactional)); to store an offset only tells how far this is.
    InTransactions,
}

/// A member of the group.
pub struct Consumer {
    // Dropped first: closing the client makes it poll once more, and what that brings is to know.
    _over: DropGuard,
    pub(super) inner: BaseConsumer<Membership>,
    pub(super) topic: Arc<str>,
}

/// How to be a member.
pub struct Terms<'a> {
    /// What it calls itself, unless the user's properties do.
    pub client_id: &'a str,
    /// Has a partition that is assigned begin as far before its committed offset as the view of it does; where that was not
    /// committed along, so many records before.
    pub restore: Option<u64>,
    /// Who commits.
    pub commits: Commits,
    /// Where to say what the broker refuses.
    pub refusals: Refusals,
    /// Once this is cancelled, nothing is begun that takes long.
    pub stop: &'a CancellationToken,
}

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

/// What a poll came to.
pub enum Polled<'a> {
    /// The next record of its partition.
    Record(Consumed<'a>),
    /// There is no more in this partition for now.
    End(Partition),
    /// Nothing came in time.
    Nothing,
}

impl Consumer {
    /// Joins the group. `notify` is called from [`Consumer::poll`], and from dropping.
    ///
    /// # Errors
    /// [`Error::Properties`], or [`Error::Request`] if the topic's name is refused.
    pub fn join(
        cluster: &Cluster,
        terms: Terms<'_>,
        notify: impl Fn(Notice) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let Terms {
            client_id,
            restore,
            commits,
            refusals,
            stop,
        } = terms;
        let config = cluster.config();
        let reset = match config.auto_offset_reset {
            AutoOffsetReset::Earliest => "earliest",
            AutoOffsetReset::Latest => "latest",
        };
        let (topic, over): (Arc<str>, _) = (config.topic.as_str().into(), stop.child_token());
        let context = Membership::new(
            &topic,
            &config.group_id,
            restore.map(Restore),
            over.clone(),
            refusals,
            notify,
        );
        let protocol = config.properties.get("group.protocol");
        let commits = match commits {
            Commits::InBackground => IN_BACKGROUND,
            Commits::InTransactions => IN_TRANSACTIONS,
        };
        let assigned = match protocol.is_some_and(|name| name.eq_ignore_ascii_case("consumer")) {
            true => &[],
            false => CLASSIC,
        };
        let named = [("client.id", client_id)];
        let ours = [OURS, commits, assigned, &named].concat();
        let inner: BaseConsumer<Membership> = cluster
            .properties(&ours)
            .set("group.id", &config.group_id)
            .set("auto.offset.reset", reset)
            .create_with_context(context)
            .map_err(Error::Properties)?;
        let what = "subscribe to the topic";
        inner
            .subscribe(&[&topic])
            .map_err(|source| Error::Request { what, source })?;
        let _over = over.drop_guard();
        Ok(Self {
            _over,
            inner,
            topic,
        })
    }

    /// The topic.
    #[must_use]
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// The next record, waiting for it at most so long.
    ///
    /// # Errors
    /// [`Error::Fatal`] if the client cannot go on. What passes by itself is logged, and answers nothing.
    pub fn poll(&self, at_most: Duration) -> Result<Polled<'_>, Error> {
        match self.inner.poll(at_most) {
            None => Ok(Polled::Nothing),
            Some(Ok(message)) => Ok(Polled::Record(message.into())),
            Some(Err(KafkaError::PartitionEOF(partition))) => Ok(Polled::End(Partition(partition))),
            Some(Err(KafkaError::MessageConsumptionFatal(
                RDKafkaErrorCode::UnsupportedVersion,
            ))) => Err(Error::NoAssignor),
            Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => Err(Error::Fatal(error)),
            // Of a broker that is gone the producer tells, once; librdkafka repeats it every second.
            Some(Err(error)) if is_outage(&error) => {
                tracing::debug!(%error, "consuming is interrupted");
                Ok(Polled::Nothing)
            }
            Some(Err(error)) if self.inner.context().is_refused(&error) => Ok(Polled::Nothing),
            Some(Err(error))
                if error.rdkafka_error_code()
                    == Some(RDKafkaErrorCode::InconsistentGroupProtocol) =>
            {
                tracing::error!(
                    %error,
                    "the group's other members share partitions out in another way; set \
                     \"partition.assignment.strategy\" in [kafka.properties] to theirs, such as \"range\" or \"roundrobin\""
                );
                Ok(Polled::Nothing)
            }
            Some(Err(error)) => {
                tracing::warn!(%error, "consuming is interrupted");
                Ok(Polled::Nothing)
            }
        }
    }

    /// Stops fetching from a partition, until it is resumed or taken away; polling goes on.
    pub fn pause(&self, partition: Partition) {
        self.inner.context().paused(partition, true);
        self.warn("pause", partition, self.inner.pause(&self.only(partition)));
    }

    /// Fetches from a paused partition again.
    pub fn resume(&self, partition: Partition) {
        self.inner.context().paused(partition, false);
        self.warn(
            "resume",
            partition,
            self.inner.resume(&self.only(partition)),
        );
    }

    /// The partitions that are ours now.
    #[must_use]
    pub fn assignment(&self) -> Vec<Partition> {
        self.inner
            .assignment()
            .map(|list| partitions(&list))
            .unwrap_or_default()
    }

    pub(super) fn only(&self, partition: Partition) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(1);
        list.add_partition(&self.topic, partition.0);
        list
    }

    fn warn(&self, what: &str, partition: Partition, result: KafkaResult<()>) {
        if let Err(error) = result {
            tracing::warn!(%error, %partition, "cannot {what} the partition");
        }
    }
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

fn is_outage(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, Resolve};
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| matches!(code, AllBrokersDown | BrokerTransportFailure | Resolve))
}
