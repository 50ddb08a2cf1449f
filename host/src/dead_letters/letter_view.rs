//! A letter as JSON: what the daemon answers and the command line reads.

use serde::{Deserialize, Serialize};

use super::Position;
use crate::{
    event::{Failure, Letter, RecordRef, Timestamp},
    json_bytes::Bytes,
};

/// A letter. Keys, values and headers' values are texts, `{"base64":"…"}` where they are no UTF-8, or null.
#[derive(Debug, Deserialize, Serialize)]
pub struct Shown {
    /// Where it is.
    #[serde(flatten)]
    pub position: Position,
    /// That of its record, in ms.
    pub timestamp: Option<i64>,
    /// Its record's.
    pub key: Option<Bytes>,
    /// Its record's.
    pub value: Option<Bytes>,
    /// Its record's, without what the letter added and without a history.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Why it is here; null if it is no dead letter.
    pub reason: Option<Failure>,
    /// How often its record was sent through again.
    pub redriven: u32,
    /// How it failed before; of many, the first and the latest.
    pub history: Vec<Past>,
}

/// An earlier failure of the same record.
#[derive(Debug, Deserialize, Serialize)]
pub struct Past {
    /// Which one it was, from 1.
    pub n: u32,
    /// Why.
    #[serde(flatten)]
    pub failure: Failure,
}

impl Shown {
    /// Shows the letter that this record is.
    #[must_use]
    pub fn new(position: Position, record: RecordRef<'_>) -> Self {
        let letter = Letter::read(record.headers);
        let bytes = |bytes: &[u8]| Bytes(bytes.to_vec());
        let headers = letter.original.iter();
        let history = letter.history.into_iter();
        Self {
            position,
            timestamp: (record.timestamp != Timestamp::NONE).then_some(record.timestamp.0),
            key: record.key.map(bytes),
            value: record.value.map(bytes),
            headers: headers
                .map(|header| (header.name.to_owned(), header.value.map(bytes)))
                .collect(),
            reason: letter.failure,
            redriven: letter.redriven,
            history: history.map(|(n, failure)| Past { n, failure }).collect(),
        }
    }
}
