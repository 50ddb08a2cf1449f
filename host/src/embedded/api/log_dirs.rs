//! `DescribeLogDirs`: the one folder, what each partition takes there, and what is left of its disk.

use std::collections::HashMap;
use std::path::{self, Path};

use kafka_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use kafka_protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use kafka_protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse, TopicName};
use rustix::fs::statvfs;

use super::text;
use crate::embedded::Shared;
use crate::embedded::topics::Topic;

/// Stands for a number of bytes that nobody knows (`DescribeLogDirsResponse.UNKNOWN_VOLUME_BYTES`).
const UNKNOWN: i64 = -1;

/// All partitions, or of those asked for the ones that there are.
pub fn handle(shared: &Shared, request: DescribeLogDirsRequest) -> DescribeLogDirsResponse {
    let topics: Vec<_> = match request.topics {
        None => shared
            .topics
            .all()
            .iter()
            .map(|topic| describe(topic, None))
            .collect(),
        Some(asked) => of_each_once(&asked)
            .into_iter()
            .filter_map(|(name, partitions)| {
                Some(describe(&*shared.topics.get(name)?, Some(&partitions)))
            })
            .collect(),
    };
    let folder = shared.folder.path();
    let (total, usable) = volume(folder);
    // As the broker was told, but so that it says the same in another working folder.
    let shown = path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let result = DescribeLogDirsResult::default()
        .with_log_dir(text(shown.display().to_string()))
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

fn of_each_once(asked: &[DescribableLogDirTopic]) -> HashMap<&TopicName, Vec<i32>> {
    let mut topics: HashMap<_, Vec<i32>> = HashMap::new();
    for topic in asked {
        topics
            .entry(&topic.topic)
            .or_default()
            .extend(&topic.partitions);
    }
    topics
}

fn describe(topic: &Topic, asked: Option<&[i32]>) -> DescribeLogDirsTopic {
    let partitions = topic.partitions.iter().zip(0..);
    let wanted = partitions.filter(|(_, index)| asked.is_none_or(|asked| asked.contains(index)));
    let partitions = wanted.map(|(partition, index)| {
        DescribeLogDirsPartition::default()
            .with_partition_index(index)
            .with_partition_size(partition.size() as i64)
    });
    DescribeLogDirsTopic::default()
        .with_name(TopicName(text(&topic.name)))
        .with_partitions(partitions.collect())
}

/// Bytes of the disk that holds the folder: all, and those that this process may still take.
fn volume(folder: &Path) -> (i64, i64) {
    match statvfs(folder) {
        Ok(disk) => {
            let bytes = |blocks: u64| {
                i64::try_from(blocks.saturating_mul(disk.f_frsize)).unwrap_or(i64::MAX)
            };
            (bytes(disk.f_blocks), bytes(disk.f_bavail))
        }
        Err(error) => {
            tracing::warn!(folder = %folder.display(), %error, "cannot ask for the size of the disk");
            (UNKNOWN, UNKNOWN)
        }
    }
}
