//! Where that goes which leaves the chain.

use crate::event::{Partition, RecordRef};

/// The topic to which that goes which leaves the chain.
#[derive(Clone, Debug)]
pub struct Output {
    /// Its name.
    pub topic: String,
    /// How many partitions it has, at least 1.
    pub partitions: i32,
}

impl Output {
    /// A record with a key goes where the key puts it, as with any producer (none is chosen). One without stays in
    /// the partition that it came from, or where the output has fewer, in the one of that number modulo theirs: so
    /// those keep their order too.
    pub(super) fn partition(&self, from: Partition, record: &RecordRef<'_>) -> Option<Partition> {
        let same = || Partition(from.0 % self.partitions.max(1));
        record.key.is_none().then(same)
    }
}
