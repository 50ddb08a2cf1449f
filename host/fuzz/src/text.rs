//! Any text as the values of parameters and of commits.

use crate::{
    event::{CommitMetadata, Partitions, Timestamp, TopicId, ViewStart},
    store::Cursor,
};

/// Reads any text as a cursor, as partitions, as a time, and as what may be committed with an offset. What is written again
/// is the same.
///
/// # Panics
/// Panics if it is not.
pub fn text(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(cursor) = text.parse::<Cursor>() {
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
    }
    if let Ok(partitions) = text.parse::<Partitions>() {
        assert_eq!(partitions.to_string().parse(), Ok(partitions));
    }
    if let Ok(start) = text.parse::<ViewStart>() {
        assert_eq!(start.to_string().parse(), Ok(start));
    }
    if let Ok(id) = text.parse::<TopicId>() {
        assert_eq!(id.to_string().parse(), Ok(id));
    }
    let _ = Timestamp::read(text);
    let metadata = CommitMetadata::read(text);
    assert_eq!(CommitMetadata::read(&metadata.to_string()), metadata);
}
