//! What is printed of each record: one line of JSON.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    event::{DeadLetterReason, Outcome, RecordRef, Timestamp},
    json_bytes::Bytes,
    pipeline::{RecordEnd, RecordReport},
    telemetry::capture,
};

/// A line of the output; `eventos test --help` describes it.
#[derive(Serialize)]
pub(super) struct Told {
    line: usize,
    /// A text or an integer, as the Evento has it; null where there is none.
    id: Option<Box<RawValue>>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "is_usual")]
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<Record>>,
    stored: Vec<Option<Box<RawValue>>>,
    emitted: Vec<Record>,
    log: Vec<Line>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Fault>,
}

#[derive(Serialize)]
struct Record {
    /// Of what is emitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    key: Option<Bytes>,
    #[serde(flatten)]
    value: Value,
    headers: Vec<(String, Option<Bytes>)>,
    /// Milliseconds since 1970-01-01 UTC; null where the time of producing would be.
    timestamp: Option<i64>,
}

/// Nearly every value is JSON, and comes as it is; null in a tombstone.
#[derive(Serialize)]
enum Value {
    #[serde(rename = "value")]
    Json(Option<Box<RawValue>>),
    #[serde(rename = "value_bytes")]
    Other(Bytes),
}

#[derive(Serialize)]
struct Line {
    level: String,
    message: String,
}

#[derive(Serialize)]
struct Fault {
    /// None if it is not even a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    backtrace: String,
}

/// How a record ended, in one word.
pub(super) fn word(end: RecordEnd) -> &'static str {
    match end {
        RecordEnd::Answered(outcome) => outcome.name(),
        RecordEnd::Failed => "failed",
        RecordEnd::Unreadable => "unreadable",
    }
}

impl Told {
    pub(super) fn new(line: usize, account: RecordReport) -> Self {
        let records = matches!(account.end, RecordEnd::Answered(Outcome::Replace));
        let records = records.then(|| account.records.iter().map(Record::new).collect());
        let emitted = account.emitted.iter().flat_map(|(topic, records)| {
            let topic = Some(topic.clone());
            records.iter().map(move |record| Record {
                topic: topic.clone(),
                ..Record::new(record)
            })
        });
        Self {
            line,
            id: id(&account),
            outcome: word(account.end),
            attempts: account.attempts,
            records,
            stored: account.stored.iter().map(|it| json(it.value?)).collect(),
            emitted: emitted.collect(),
            log: account.log.into_iter().map(Line::from).collect(),
            error: account.reason.map(Fault::from),
        }
    }

    /// A line of the input that says no record.
    pub(super) fn no_record(line: usize, message: String) -> Self {
        Self {
            line,
            id: None,
            outcome: word(RecordEnd::Unreadable),
            attempts: 0,
            records: None,
            stored: Vec::new(),
            emitted: Vec::new(),
            log: Vec::new(),
            error: Some(Fault {
                class: None,
                message,
                backtrace: String::new(),
            }),
        }
    }
}

impl Record {
    fn new(record: RecordRef<'_>) -> Self {
        let owned = |bytes: Option<&[u8]>| bytes.map(|bytes| Bytes(bytes.to_vec()));
        let value = match record.value {
            None => Value::Json(None),
            Some(bytes) => match json(bytes) {
                None => Value::Other(Bytes(bytes.to_vec())),
                some => Value::Json(some),
            },
        };
        let timestamp = Some(record.timestamp).filter(|&time| time != Timestamp::NONE);
        Self {
            topic: None,
            key: owned(record.key),
            value,
            headers: record
                .headers
                .map(|header| (header.name.to_owned(), owned(header.value)))
                .collect(),
            timestamp: timestamp.map(|Timestamp(time)| time),
        }
    }
}

impl From<capture::HandlerLine> for Line {
    fn from(line: capture::HandlerLine) -> Self {
        Self {
            level: line.level.as_str().to_ascii_lowercase(),
            message: line.message,
        }
    }
}

impl From<DeadLetterReason> for Fault {
    fn from(reason: DeadLetterReason) -> Self {
        Self {
            class: reason.class,
            message: reason.message.unwrap_or_default(),
            backtrace: reason.stacktrace.unwrap_or_default(),
        }
    }
}

/// Once, or never because it was not read: nothing to speak of.
fn is_usual(attempts: &u32) -> bool {
    *attempts < 2
}

fn id(account: &RecordReport) -> Option<Box<RawValue>> {
    let text = match account.id_is_integer {
        _ if account.id.is_empty() => return None,
        true => account.id.clone(),
        false => serde_json::to_string(&account.id).ok()?,
    };
    RawValue::from_string(text).ok()
}

/// The bytes as they are, if they are JSON; the ends of lines between its tokens become spaces, for a line must stay one.
fn json(bytes: &[u8]) -> Option<Box<RawValue>> {
    let text = str::from_utf8(bytes).ok()?;
    RawValue::from_string(text.replace(['\n', '\r'], " ")).ok()
}
