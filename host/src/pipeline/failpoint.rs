//! Named points between one effect and the next, at which tests kill the daemon as suddenly as `kill -9` would, let a
//! worker panic, or hold the daemon up: for example `FAILPOINTS='acknowledged=2*off->return'`. Only test builds have them.

/// A point that a batch passes, in this order.
#[derive(Clone, Copy)]
pub(super) enum Failpoint {
    /// The chain has handled a batch; none of its effects has happened yet.
    Handled,
    /// Its records are sent; the broker may not have acknowledged any of them.
    Produced,
    /// The broker has acknowledged all of its records.
    Acknowledged,
    /// What it stores is in the store; its offset is neither stored nor committed.
    Shown,
    /// At least once: its offset is stored, and will be committed in the background.
    OffsetStored,
    /// Exactly once: a transaction has begun.
    Begun,
    /// Exactly once: the offset is part of the transaction.
    OffsetSent,
    /// Exactly once: the transaction is committed; the pipeline does not know yet.
    Committed,
}

/// Marks that a batch has reached this point.
pub(super) fn reached(point: Failpoint) {
    let name = match point {
        Failpoint::Handled => "handled",
        Failpoint::Produced => "produced",
        Failpoint::Acknowledged => "acknowledged",
        Failpoint::Shown => "shown",
        Failpoint::OffsetStored => "offset-stored",
        Failpoint::Begun => "begun",
        Failpoint::OffsetSent => "offset-sent",
        Failpoint::Committed => "committed",
    };
    strike(name);
}

#[allow(
    unused_variables,
    reason = "without the feature of the crate `fail` there are no failpoints"
)]
fn strike(name: &str) {
    fail::fail_point!(name, |_| std::process::abort());
}
