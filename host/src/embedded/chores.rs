//! What has to be done as time goes by, whether or not anybody asks for anything.

use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::Shared;
use super::groups;
use super::offsets::now_ms;

/// How often transactions are looked at: they time out up to this much late. Kafka looks every ten seconds.
const TRANSACTIONS: Duration = Duration::from_millis(500);
/// How often expired offsets are looked for; Kafka's default of `offsets.retention.check.interval.ms` is ten times that.
const OFFSETS: Duration = Duration::from_secs(60);

/// Goes on for ever.
pub async fn run(shared: &Shared) {
    let [mut groups, mut transactions, mut offsets] =
        [groups::TICK, TRANSACTIONS, OFFSETS].map(interval);
    for chore in [&mut groups, &mut transactions, &mut offsets] {
        chore.set_missed_tick_behavior(MissedTickBehavior::Delay);
    }
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
