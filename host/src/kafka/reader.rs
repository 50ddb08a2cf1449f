//! Reading a topic once, from anywhere to where it ends now, as no member of any group.

use std::{
    collections::VecDeque,
    ops::Range,
    time::{Duration, Instant},
};

use rdkafka::{
    Message as _, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, RDKafkaErrorCode},
};

use super::{Cluster, Consumed, Error, client::Logged, permissions::Permission};
use crate::event::{Offset, Partition};

/// What is read is passed on at once, so little is fetched ahead.
const OURS: &[(&str, &str)] = &[
    ("enable.auto.commit", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "earliest"),
    ("isolation.level", "read_committed"),
    ("fetch.queue.backoff.ms", "2"),
    ("queued.max.messages.kbytes", "4096"),
    ("allow.auto.create.topics", "false"),
];

/// How long one request, or the next record, may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Reads stretches of a topic one after the other. Its calls block: they are for a thread that may.
pub struct Reader {
    inner: BaseConsumer<Logged>,
    topic: String,
    stretches: VecDeque<Stretch>,
}

struct Stretch {
    partition: Partition,
    left: Range<i64>,
    is_assigned: bool,
}

impl Reader {
    /// Looks up what each partition holds now, and asks for each, by number ascending, what of that to read. What is
    /// chosen beyond it is left out. A topic that is not there holds nothing.
    ///
    /// # Errors
    /// [`Error::Properties`], or [`Error::Request`] if no broker answers.
    pub fn open<R: IntoIterator<Item = Range<Offset>>>(
        cluster: &Cluster,
        topic: &str,
        mut choose: impl FnMut(Partition, Range<Offset>) -> R,
    ) -> Result<Self, Error> {
        let inner: BaseConsumer<Logged> = cluster
            .properties(OURS)
            // librdkafka assigns nothing to a client without a group; this one never joins it.
            .set("group.id", &cluster.config().group_id)
            .create_with_context(Logged)
            .map_err(Error::Properties)?;
        let what = "describe the topic that is to be read";
        let failed = |source| Error::Request { what, source };
        let metadata = inner
            .fetch_metadata(Some(topic), PATIENCE)
            .map_err(failed)?;
        let described = metadata.topics().iter().flat_map(|it| it.partitions());
        let mut partitions: Vec<_> = described.map(|it| Partition(it.id())).collect();
        partitions.sort_unstable();
        let mut stretches = VecDeque::new();
        for partition in partitions {
            let (low, high) = inner
                .fetch_watermarks(topic, partition.0, PATIENCE)
                .map_err(failed)?;
            let chosen = choose(partition, Offset(low)..Offset(high)).into_iter();
            let left = chosen.map(|of| of.start.0.max(low)..of.end.0.min(high));
            let left = left.filter(|of| !of.is_empty());
            stretches.extend(left.map(|left| Stretch {
                partition,
                left,
                is_assigned: false,
            }));
        }
        Ok(Self {
            inner,
            topic: topic.to_owned(),
            stretches,
        })
    }

    /// The next record; none at the end. What belongs to a transaction that is open or was aborted is not there.
    ///
    /// # Errors
    /// [`Error::Request`], if the broker does not give it.
    pub fn read(&mut self) -> Result<Option<Consumed<'_>>, Error> {
        let deadline = Instant::now() + PATIENCE;
        while let Some(stretch) = self.stretches.front_mut() {
            if stretch.left.is_empty() {
                self.stretches.pop_front();
                continue;
            }
            if !stretch.is_assigned {
                assign(&self.inner, &self.topic, stretch)?;
            }
            let wait = deadline.saturating_duration_since(Instant::now());
            match self.inner.poll(wait) {
                None => return Err(unread(KafkaError::NoMessageReceived)),
                Some(Ok(message)) if message.offset() < stretch.left.end => {
                    stretch.left.start = message.offset() + 1;
                    return Ok(Some(Consumed::from(message)));
                }
                // Beyond what was there when it was opened.
                Some(Ok(_)) | Some(Err(KafkaError::PartitionEOF(_))) => {
                    self.stretches.pop_front();
                }
                Some(Err(error)) if not_permitted_to_read(&error) => {
                    let permission = Permission::Read(self.topic.clone());
                    return Err(Error::NotPermitted(permission));
                }
                Some(Err(error)) if wait.is_zero() => return Err(unread(error)),
                Some(Err(error)) => tracing::debug!(%error, "reading is interrupted"),
            }
        }
        Ok(None)
    }

    /// Whether there may be more.
    #[must_use]
    pub fn has_more(&self) -> bool {
        let mut stretches = self.stretches.iter();
        stretches.any(|stretch| !stretch.left.is_empty())
    }
}

fn assign(inner: &BaseConsumer<Logged>, topic: &str, stretch: &mut Stretch) -> Result<(), Error> {
    let mut list = TopicPartitionList::with_capacity(1);
    let offset = rdkafka::Offset::Offset(stretch.left.start);
    list.add_partition_offset(topic, stretch.partition.0, offset)
        .and_then(|()| inner.assign(&list))
        .map_err(unread)?;
    stretch.is_assigned = true;
    Ok(())
}

fn not_permitted_to_read(error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::TopicAuthorizationFailed)
}

fn unread(source: KafkaError) -> Error {
    let what = "read a topic";
    Error::Request { what, source }
}
