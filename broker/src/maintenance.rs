//! Background work that depends on time and not on requests: expiry, periodic syncing, retention and cleaning.

use std::{sync::Arc, time::Duration};

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::{
    clock::now_ms,
    coordinator::group,
    flush::{Flush, flush},
    log::PartitionLog,
    shared::Shared,
};

/// How often transactions are checked for their timeout, which may pass by this much. Kafka checks every ten seconds.
const TRANSACTION_INTERVAL: Duration = Duration::from_millis(500);
/// How often expired offsets are looked for, a tenth of Kafka's default `offsets.retention.check.interval.ms`.
const OFFSET_INTERVAL: Duration = Duration::from_secs(60);
/// How often closed segments are sealed, expired segments deleted and compacted topics cleaned. Kafka deletes every
/// five minutes and cleans every fifteen seconds.
const LOG_INTERVAL: Duration = Duration::from_secs(2);

/// Runs all background work; never returns.
pub(crate) async fn run(shared: &Arc<Shared>) {
    tokio::join!(
        expire(shared),
        flush_periodically(shared),
        maintain_logs(shared)
    );
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn expire(shared: &Shared) {
    let [mut groups, mut transactions, mut offsets] =
        [group::TICK, TRANSACTION_INTERVAL, OFFSET_INTERVAL].map(every);
    // The first tick comes at once, when no member has had time to join again.
    offsets.tick().await;
    loop {
        tokio::select! {
            _ = groups.tick() => shared.groups.tick(),
            _ = transactions.tick() => shared.transactions.expire(shared.stores()),
            _ = offsets.tick() => expire_offsets(shared),
        }
    }
}

fn expire_offsets(shared: &Shared) {
    match shared
        .offsets
        .expire(now_ms(), |group| shared.groups.has_members(group))
    {
        Ok(0) => {}
        Ok(count) => tracing::info!(count, "expired committed offsets of abandoned groups"),
        Err(error) => tracing::error!(%error, "cannot expire committed offsets"),
    }
    shared
        .groups
        .remove_abandoned(|group| shared.offsets.has_group(group));
}

async fn flush_periodically(shared: &Arc<Shared>) {
    let Flush::Every(period) = shared.flush else {
        return;
    };
    let mut period = every(period);
    loop {
        period.tick().await;
        if let Err(error) = flush(shared).await {
            tracing::error!(%error, "cannot sync to disk: a power cut may lose acknowledged records");
        }
    }
}

/// Maintains all logs on a blocking thread, because this waits for the disk.
async fn maintain_logs(shared: &Arc<Shared>) {
    let mut period = every(LOG_INTERVAL);
    loop {
        period.tick().await;
        let shared = Arc::clone(shared);
        let done = tokio::task::spawn_blocking(move || {
            for topic in shared.topics.all() {
                for (id, log) in topic.partitions.iter().enumerate() {
                    maintain(&topic.name, id, log);
                }
            }
        });
        if let Err(error) = done.await {
            tracing::error!(%error, "log maintenance panicked");
        }
    }
}

fn maintain(topic: &str, partition: usize, log: &PartitionLog) {
    let now = now_ms();
    if let Err(error) = log.seal() {
        tracing::error!(topic, partition, %error, "cannot sync a closed segment");
    }
    if let Err(error) = log.apply_retention(now) {
        tracing::error!(topic, partition, %error, "cannot delete expired segments");
    }
    match log.clean_if_due(now) {
        Ok(None) => {}
        Ok(Some(stats)) => {
            tracing::info!(
                topic,
                partition,
                bytes_before = stats.bytes_before,
                bytes_after = stats.bytes_after,
                "compacted a partition"
            );
        }
        Err(error) => tracing::error!(topic, partition, %error, "cannot compact a partition"),
    }
}
