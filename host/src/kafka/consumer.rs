//! Consuming the topic of Eventos as a member of a group.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};

use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    AutoOffsetReset, Beginning, Config, Consumed, Error,
    client::properties,
    membership::Membership,
    rebalance::{Restore, partitions},
};
use crate::{event::Partition, refusals::Refusals};

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

/// What the group, or the client, has to say between records. It is told from inside
/// [`Consumer::poll`].
#[derive(Clone, Debug)]
pub enum Notice {
    /// These partitions are ours now, too.
    Assigned(Vec<Beginning>),
    /// These partitions are about to be taken away: whoever works on them has until this notice
    /// returns to store the last offsets.
    Revoking(Vec<Partition>),
    /// These partitions were taken away, for the group took this member for dead: whoever works on them may stop, for
    /// nothing of it can be committed any more.
    Lost(Vec<Partition>),
    /// How many records of a partition are yet to be handled.
    Lag(Partition, i64),
}

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
        config: &Config,
        servers: &str,
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
        let inner: BaseConsumer<Membership> = properties(config, servers, &ours)
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

fn is_outage(error: &KafkaError) -> bool {
    use RDKafkaErrorCode::{AllBrokersDown, BrokerTransportFailure, Resolve};
    let code = error.rdkafka_error_code();
    code.is_some_and(|code| matches!(code, AllBrokersDown | BrokerTransportFailure | Resolve))
}
