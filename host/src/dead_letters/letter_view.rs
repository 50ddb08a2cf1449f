//! A dead letter as JSON: written by the daemon, and read by the command line.

use serde::{Deserialize, Serialize};

use super::RecordPosition;
use crate::event::{DeadLetterReason, JsonBytes, Letter, RecordRef, Timestamp};

/// A dead letter. Keys, values, and the names and values of headers are strings, `{"base64":"…"}` if they are not UTF-8, or null.
#[derive(Debug, Deserialize, Serialize)]
pub struct LetterView {
    /// Position of the letter in the dead-letter topic.
    #[serde(flatten)]
    pub position: RecordPosition,
    /// Timestamp of the dead-lettered record, in ms.
    pub timestamp: Option<i64>,
    /// Key of the dead-lettered record, if it has one.
    pub key: Option<JsonBytes>,
    /// Value of the dead-lettered record, if it has one.
    pub value: Option<JsonBytes>,
    /// Headers of the dead-lettered record, without those that describe its failures.
    pub headers: Vec<(JsonBytes, Option<JsonBytes>)>,
    /// Why the record was dead-lettered. Null if this record of the topic is not a dead letter.
    pub reason: Option<DeadLetterReason>,
    /// Number of times that the record was redriven.
    pub redriven: u32,
    /// Earlier failures of the record. Of many, only the first and the latest are kept.
    pub history: Vec<PastFailure>,
}

/// An earlier failure of a record that was redriven since.
#[derive(Debug, Deserialize, Serialize)]
pub struct PastFailure {
    /// Number of the failure, from 1.
    pub n: u32,
    /// The failure.
    #[serde(flatten)]
    pub failure: DeadLetterReason,
}

impl LetterView {
    /// Makes the view of a record of the dead-letter topic.
    #[must_use]
    pub fn new(position: RecordPosition, record: RecordRef<'_>) -> Self {
        let letter = Letter::read(record.headers);
        let bytes = |bytes: &[u8]| JsonBytes(bytes.to_vec());
        let timestamp = letter.timestamp(record.timestamp);
        let headers = letter.original.iter();
        let history = letter.history.into_iter();
        Self {
            position,
            timestamp: (timestamp != Timestamp::NONE).then_some(timestamp.0),
            key: record.key.map(bytes),
            value: record.value.map(bytes),
            headers: headers
                .map(|header| (bytes(header.name), header.value.map(bytes)))
                .collect(),
            reason: letter.failure,
            redriven: letter.redriven,
            history: history
                .map(|(n, failure)| PastFailure { n, failure })
                .collect(),
        }
    }
}
