//! The output of `eventos test`: one line of JSON per record.

use serde::Serialize;
use serde_json::value::RawValue;

use crate::{
    event::{DeadLetterReason, JsonBytes, Outcome, RecordRef, Timestamp},
    pipeline::{RecordEnd, RecordReport},
    telemetry::capture,
};

/// A line of the output; `eventos test --help` describes it.
#[derive(Serialize)]
pub(super) struct OutputLine {
    line: usize,
    /// The id as in the Evento, a string or an integer; null without an Evento.
    id: Option<Box<RawValue>>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "is_one_or_none")]
    attempts: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    records: Option<Vec<OutputRecord>>,
    stored: Vec<Option<Box<RawValue>>>,
    emitted: Vec<OutputRecord>,
    log: Vec<LogLine>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<OutputError>,
}

#[derive(Serialize)]
struct OutputRecord {
    /// The topic of an emitted record.
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    key: Option<JsonBytes>,
    #[serde(flatten)]
    value: Value,
    headers: Vec<(String, Option<JsonBytes>)>,
    /// Milliseconds since 1970-01-01 UTC; null for the time at which the record would be produced.
    timestamp: Option<i64>,
}

/// A value; JSON is printed unchanged, and a tombstone is null.
#[derive(Serialize)]
enum Value {
    #[serde(rename = "value")]
    Json(Option<Box<RawValue>>),
    #[serde(rename = "value_bytes")]
    Other(JsonBytes),
}

#[derive(Serialize)]
struct LogLine {
    level: String,
    message: String,
}

#[derive(Serialize)]
struct OutputError {
    /// None if the line is not a record.
    #[serde(skip_serializing_if = "Option::is_none")]
    class: Option<String>,
    message: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    backtrace: String,
}

/// Returns the name of an outcome.
pub(super) fn outcome_name(end: RecordEnd) -> &'static str {
    match end {
        RecordEnd::Answered(outcome) => outcome.name(),
        RecordEnd::Failed => "failed",
        RecordEnd::Unreadable => "unreadable",
    }
}

impl OutputLine {
    pub(super) fn new(line: usize, report: RecordReport) -> Self {
        let records = matches!(report.end, RecordEnd::Answered(Outcome::Replace));
        let records = records.then(|| report.records.iter().map(OutputRecord::new).collect());
        let emitted = report.emitted.iter().flat_map(|(topic, records)| {
            let topic = Some(topic.clone());
            records.iter().map(move |record| OutputRecord {
                topic: topic.clone(),
                ..OutputRecord::new(record)
            })
        });
        Self {
            line,
            id: id(&report),
            outcome: outcome_name(report.end),
            attempts: report.attempts,
            records,
            stored: report.stored.iter().map(|it| json(it.value?)).collect(),
            emitted: emitted.collect(),
            log: report.log.into_iter().map(LogLine::from).collect(),
            error: report.reason.map(OutputError::from),
        }
    }

    /// Returns the output for a line of the input that is not a record.
    pub(super) fn unreadable(line: usize, message: String) -> Self {
        Self {
            line,
            id: None,
            outcome: outcome_name(RecordEnd::Unreadable),
            attempts: 0,
            records: None,
            stored: Vec::new(),
            emitted: Vec::new(),
            log: Vec::new(),
            error: Some(OutputError {
                class: None,
                message,
                backtrace: String::new(),
            }),
        }
    }
}

impl OutputRecord {
    fn new(record: RecordRef<'_>) -> Self {
        let owned = |bytes: Option<&[u8]>| bytes.map(|bytes| JsonBytes(bytes.to_vec()));
        let value = match record.value {
            None => Value::Json(None),
            Some(bytes) => match json(bytes) {
                None => Value::Other(JsonBytes(bytes.to_vec())),
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
                .map(|header| (header.name().into_owned(), owned(header.value)))
                .collect(),
            timestamp: timestamp.map(|Timestamp(time)| time),
        }
    }
}

impl From<capture::HandlerLine> for LogLine {
    fn from(line: capture::HandlerLine) -> Self {
        Self {
            level: line.level.as_str().to_ascii_lowercase(),
            message: line.message,
        }
    }
}

impl From<DeadLetterReason> for OutputError {
    fn from(reason: DeadLetterReason) -> Self {
        Self {
            class: reason.class,
            message: reason.message.unwrap_or_default(),
            backtrace: reason.stacktrace.unwrap_or_default(),
        }
    }
}

/// Whether the handler was called once, or never because the line was unreadable.
fn is_one_or_none(attempts: &u32) -> bool {
    *attempts < 2
}

fn id(report: &RecordReport) -> Option<Box<RawValue>> {
    let text = match report.id_is_integer {
        _ if report.id.is_empty() => return None,
        true => report.id.clone(),
        false => serde_json::to_string(&report.id).ok()?,
    };
    RawValue::from_string(text).ok()
}

/// Returns the bytes unchanged, if they are JSON. Line breaks between tokens become spaces, to keep the output on one
/// line.
fn json(bytes: &[u8]) -> Option<Box<RawValue>> {
    let text = str::from_utf8(bytes).ok()?;
    RawValue::from_string(text.replace(['\n', '\r'], " ")).ok()
}
