//! Places between one effect and the next at which the tests end the daemon as suddenly as `kill -9` would, or hold it up:
//! `FAILPOINTS='acknowledged=2*off->return'`, say. Only what the tests build has them; elsewhere a call of this is nothing.

/// Where the pipeline can be struck, in the order in which a batch gets there.
#[derive(Clone, Copy)]
pub(super) enum Point {
    /// The chain has handled a batch; nothing has come of it yet.
    Handled,
    /// Its records are on their way; none needs to have been acknowledged.
    Produced,
    /// All of them are acknowledged.
    Acknowledged,
    /// What is stored is shown; the offset is not stored yet, or not committed.
    Shown,
    /// At least once: the offset is stored, and will be committed in the background.
    OffsetStored,
    /// Exactly once: a transaction is begun.
    Begun,
    /// Exactly once: the offset is part of the transaction.
    OffsetSent,
    /// Exactly once: the transaction is committed; the pipeline does not know it yet.
    Committed,
}

/// The batch has come so far.
pub(super) fn reached(point: Point) {
    let name = match point {
        Point::Handled => "handled",
        Point::Produced => "produced",
        Point::Acknowledged => "acknowledged",
        Point::Shown => "shown",
        Point::OffsetStored => "offset-stored",
        Point::Begun => "begun",
        Point::OffsetSent => "offset-sent",
        Point::Committed => "committed",
    };
    strike(name);
}

#[allow(unused_variables, reason = "without fail's feature there is no point")]
fn strike(name: &str) {
    fail::fail_point!(name, |_| std::process::abort());
}
