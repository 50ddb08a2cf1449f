//! `DescribeLogDirs`: the data folder, the size of each partition in it, and the free space of its disk.

use std::{
    collections::{BTreeMap, HashSet},
    path::{self, Path},
};

use kafka_protocol::messages::{
    DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName,
    describe_log_dirs_request::DescribableLogDirTopic,
    describe_log_dirs_response::{
        DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
    },
};
use rustix::fs::statvfs;

use super::text;
use crate::{shared::Shared, topics::Topic};

/// Stands for an unknown number of bytes (`DescribeLogDirsResponse.UNKNOWN_VOLUME_BYTES`).
const UNKNOWN: i64 = -1;

/// Describes all partitions, or those of the requested ones that exist.
pub(crate) fn handle(shared: &Shared, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let topics: Vec<_> = match request.topics {
        None => shared
            .topics
            .all()
            .iter()
            .map(|topic| describe(topic, None))
            .collect(),
        Some(requested) => by_topic(&requested)
            .into_iter()
            .filter_map(|(name, partitions)| {
                Some(describe(&*shared.topics.get(name)?, Some(&partitions)))
            })
            .collect(),
    };
    let folder = shared.folder.path();
    let (total, usable) = disk_space(folder);
    // The configured path may be relative to the working directory.
    let absolute = path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let result = DescribeLogDirsResult::default()
        .with_log_dir(text(absolute.display().to_string()))
        .with_topics(
            topics
                .into_iter()
                .filter(|topic| !topic.partitions.is_empty())
                .collect(),
        )
        .with_total_bytes(total)
        .with_usable_bytes(usable);
    DescribeLogDirsResponse::default().with_results(vec![result])
}

fn by_topic(requested: &[DescribableLogDirTopic]) -> BTreeMap<&str, HashSet<i32>> {
    let mut topics: BTreeMap<_, HashSet<i32>> = BTreeMap::new();
    for topic in requested {
        topics
            .entry(topic.topic.as_str())
            .or_default()
            .extend(&topic.partitions);
    }
    topics
}

fn describe(topic: &Topic, requested: Option<&HashSet<i32>>) -> DescribeLogDirsTopic {
    let partitions = topic.partitions.iter().zip(0..);
    let wanted = partitions.filter(|(_, index)| requested.is_none_or(|ids| ids.contains(index)));
    let partitions = wanted.map(|(partition, index)| {
        DescribeLogDirsPartition::default()
            .with_partition_index(index)
            .with_partition_size(partition.size() as i64)
    });
    DescribeLogDirsTopic::default()
        .with_name(TopicName(text(&topic.name)))
        .with_partitions(partitions.collect())
}

/// Returns the size of the disk that holds the folder, and the space that is left for this process, in bytes.
fn disk_space(folder: &Path) -> (i64, i64) {
    match statvfs(folder) {
        Ok(disk) => {
            let bytes = |blocks: u64| {
                i64::try_from(blocks.saturating_mul(disk.f_frsize)).unwrap_or(i64::MAX)
            };
            (bytes(disk.f_blocks), bytes(disk.f_bavail))
        }
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "cannot determine the size of the disk");
            (UNKNOWN, UNKNOWN)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        record::batch::{self, tests::Sample},
        testing::broker,
    };

    fn ask(shared: &Shared, topics: Option<&[(&str, &[i32])]>) -> DescribeLogDirsResult {
        let topics = topics.map(|topics| {
            let topic = |(name, partitions): &(&str, &[i32])| {
                DescribableLogDirTopic::default()
                    .with_topic(TopicName(text(*name)))
                    .with_partitions(partitions.to_vec())
            };
            topics.iter().map(topic).collect()
        });
        let request = DescribeLogDirsRequest::default().with_topics(topics);
        handle(shared, request).results.remove(0)
    }

    #[tokio::test]
    async fn sizes_are_those_of_the_batches_and_of_the_disk() {
        let (dir, broker) = broker().await;
        let shared = &broker.shared;
        let topic = shared.topics.get_or_create("t").unwrap();
        let bytes = batch::tests::sample(&Sample::default());
        let header = batch::verify(&bytes).unwrap();
        topic.partitions[2].append(&header, &bytes).unwrap();
        let all = ask(shared, None);
        let sizes = all.topics[0].partitions.iter().map(|p| p.partition_size);
        assert_eq!(sizes.collect::<Vec<_>>(), [0, 0, bytes.len() as i64, 0]);
        assert_eq!(Path::new(all.log_dir.as_str()), dir.path());
        assert!(all.usable_bytes > 0 && all.total_bytes > all.usable_bytes);
    }

    #[tokio::test]
    async fn only_what_was_asked_for_and_is_there_is_told_of_and_once() {
        let (_dir, broker) = broker().await;
        let shared = &broker.shared;
        shared.topics.get_or_create("t").unwrap();
        let requested: &[(&str, &[i32])] = &[("t", &[1, 9]), ("none", &[0]), ("t", &[1, 3])];
        let told = ask(shared, Some(requested));
        assert_eq!(told.topics.len(), 1);
        let indexes = told.topics[0].partitions.iter().map(|p| p.partition_index);
        assert_eq!(indexes.collect::<Vec<_>>(), [1, 3]);
        assert_eq!(ask(shared, Some(&[])).topics, []);
    }
}
