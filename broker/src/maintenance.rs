//! What has to be done as time goes by, whether or not anybody asks for anything.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::Shared;
use crate::clock::now_ms;
use crate::flush::{Flush, flush};
use crate::coordinator::group;
use crate::log::Partition;

/// How often transactions are looked at: they time out up to this much late. Kafka looks every ten seconds.
const TRANSACTIONS: Duration = Duration::from_millis(500);
/// How often expired offsets are looked for; Kafka's default of `offsets.retention.check.interval.ms` is ten times that.
const OFFSETS: Duration = Duration::from_secs(60);
/// How often closed segments are sealed, old ones removed and compacted topics looked at. Kafka removes every five
/// minutes and compacts every fifteen seconds.
const UPKEEP: Duration = Duration::from_secs(2);

/// Goes on for ever.
pub async fn run(shared: &Arc<Shared>) {
    tokio::join!(tick(shared), flush_as_set(shared), upkeep(shared));
}

fn every(period: Duration) -> Interval {
    let mut interval = interval(period);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

async fn tick(shared: &Shared) {
    let [mut groups, mut transactions, mut offsets] =
        [group::TICK, TRANSACTIONS, OFFSETS].map(every);
    // At the start no member has come back yet.
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
    let has_members = |group: &str| shared.groups.describe(group).is_some();
    match shared.offsets.expire(now_ms(), has_members) {
        Ok(0) => {}
        Ok(gone) => tracing::info!(offsets = gone, "offsets of abandoned groups expired"),
        Err(error) => tracing::error!(%error, "cannot expire offsets"),
    }
}

async fn flush_as_set(shared: &Arc<Shared>) {
    let Flush::Every(period) = shared.flush else {
        return;
    };
    let mut period = every(period);
    loop {
        period.tick().await;
        if let Err(error) = flush(shared).await {
            tracing::error!(%error, "cannot sync: acknowledged records may be lost in a power cut");
        }
    }
}

/// On a thread of its own, for it waits for the disk.
async fn upkeep(shared: &Arc<Shared>) {
    let mut period = every(UPKEEP);
    loop {
        period.tick().await;
        let shared = Arc::clone(shared);
        let done = tokio::task::spawn_blocking(move || {
            for topic in shared.topics.all() {
                for (id, log) in topic.partitions.iter().enumerate() {
                    keep_up(&topic.name, id, log);
                }
            }
        });
        if let Err(error) = done.await {
            tracing::error!(%error, "a chore ended in a bug");
        }
    }
}

fn keep_up(topic: &str, partition: usize, log: &Partition) {
    let now = now_ms();
    if let Err(error) = log.seal() {
        tracing::error!(topic, partition, %error, "cannot sync a closed segment");
    }
    if let Err(error) = log.retain(now) {
        tracing::error!(topic, partition, %error, "cannot remove what is too old");
    }
    match log.compact_if_due(now) {
        Ok(None) => {}
        Ok(Some(done)) => {
            tracing::info!(
                topic,
                partition,
                bytes_before = done.before,
                bytes_after = done.after,
                "compacted"
            );
        }
        Err(error) => tracing::error!(topic, partition, %error, "cannot compact"),
    }
}
