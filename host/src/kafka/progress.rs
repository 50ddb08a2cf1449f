//! Where the group stands in each partition, as the broker knows it.

use std::time::Duration;

use rdkafka::{
    Offset as KafkaOffset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer as _},
    error::{KafkaError, KafkaResult},
};

use super::{
    Config, Error,
    client::{Logged, properties},
};
use crate::event::{Offset, Partition, Timestamp};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where the group stands in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The partition.
    pub partition: Partition,
    /// The oldest offset that the broker has.
    pub oldest: Offset,
    /// The next offset to handle: what is committed, or the oldest.
    pub next: Offset,
    /// The offset of the first record that is not older than what was asked for, if there is one.
    pub at_time: Option<Offset>,
}

/// Asks for every partition of the topic of Eventos, by number ascending. It blocks.
///
/// # Errors
/// [`Error::Properties`], or [`Error::Request`] if no broker answers.
pub fn progress(
    config: &Config,
    servers: &str,
    at: Option<Timestamp>,
) -> Result<Vec<Progress>, Error> {
    let ours = [
        ("group.id", config.group_id.as_str()),
        ("allow.auto.create.topics", "false"),
    ];
    let client: BaseConsumer<Logged> = properties(config, servers, &ours)
        .create_with_context(Logged)
        .map_err(Error::Properties)?;
    ask(&client, &config.topic, at).map_err(|source| {
        let what = "say where the group stands";
        Error::Request { what, source }
    })
}

fn ask(
    client: &BaseConsumer<Logged>,
    topic: &str,
    at: Option<Timestamp>,
) -> Result<Vec<Progress>, KafkaError> {
    let metadata = client.fetch_metadata(Some(topic), PATIENCE)?;
    let described = metadata.topics().iter().flat_map(|it| it.partitions());
    let mut partitions: Vec<_> = described.map(|partition| partition.id()).collect();
    partitions.sort_unstable();
    let mut all = TopicPartitionList::new();
    for &partition in &partitions {
        all.add_partition(topic, partition);
    }
    let committed = client.committed_offsets(all.clone(), PATIENCE)?;
    let at_time = match at {
        None => None,
        Some(Timestamp(at)) => {
            all.set_all_offsets(KafkaOffset::Offset(at))?;
            Some(client.offsets_for_times(all, PATIENCE)?)
        }
    };
    let each = partitions.into_iter().map(|partition| {
        let (low, _) = client.fetch_watermarks(topic, partition, PATIENCE)?;
        let at_time = match &at_time {
            Some(found) => offset_in(found, topic, partition)?.map(Offset),
            None => None,
        };
        let committed = offset_in(&committed, topic, partition)?;
        Ok(Progress {
            partition: Partition(partition),
            oldest: Offset(low),
            next: Offset(committed.unwrap_or(low).max(low)),
            at_time,
        })
    });
    each.collect()
}

/// The offset that a list names for a partition, if it is one. An answer about many may say of one alone that it could not
/// be found out, which is not that there is none.
pub(super) fn offset_in(
    list: &TopicPartitionList,
    topic: &str,
    partition: i32,
) -> KafkaResult<Option<i64>> {
    let Some(one) = list.find_partition(topic, partition) else {
        return Ok(None);
    };
    one.error()?;
    Ok(match one.offset() {
        KafkaOffset::Offset(offset) => Some(offset),
        _ => None,
    })
}
