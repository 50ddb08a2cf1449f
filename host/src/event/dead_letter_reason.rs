//! The reason of a dead letter, and the headers that carry it: those that Kafka Connect adds (`DeadLetterQueueReporter`,
//! KIP-298), and our own. Their values are UTF-8 text.

use std::{error::Error, fmt};

use serde::{Deserialize, Serialize};

use super::{Header, Offset, Partition};

/// Why a record became a dead letter. A letter of another program may lack some of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct DeadLetterReason {
    /// The topic of the record.
    pub topic: String,
    /// The partition of the record.
    pub partition: Option<Partition>,
    /// The offset of the record.
    pub offset: Option<Offset>,
    /// Where it failed: `read`, `handle`, `emit` or `output`.
    pub stage: Option<String>,
    /// The kind of failure: the [class](FailureKind::class) of a [`FailureKind`].
    pub class: Option<String>,
    /// What went wrong, in one line.
    pub message: Option<String>,
    /// The stack of the handler, innermost frame first, one frame per line; empty if there is none.
    pub stacktrace: Option<String>,
    /// How often the record was handed to the handler.
    pub attempts: Option<u32>,
    /// The name of the handler; none if no handler got the record.
    pub handler: Option<String>,
    /// The digest of the handler.
    pub digest: Option<String>,
    /// The parts of the record that the letter leaves out, since it would be too large with them.
    pub left_out: Option<String>,
    /// The timestamp of the record in ms, if the dead-letter topic rejects it. The letter has the time at which it was
    /// written instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<i64>,
}

/// The kind of failure that makes a record a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The record is not JSON.
    MalformedJson,
    /// The record is JSON, but not a valid Evento.
    InvalidEvento,
    /// The name of a header is not UTF-8.
    InvalidHeader,
    /// The batch of the record cannot be decompressed or parsed.
    UnreadableBatch,
    /// The handler trapped, most often by a panic.
    Trap,
    /// A call ran longer than it may.
    Timeout,
    /// The handler asked for more memory than it may have.
    Memory,
    /// The handler recursed deeper than its stack.
    Stack,
    /// A call answered, stored or emitted more than it may at once.
    Output,
    /// The handler broke its contract: its answer does not fit the batch, or it misused an import.
    Invalid,
    /// The handler asked for a retry more often than it is given one.
    Retry,
    /// The handler rejected the record.
    Reject,
    /// A topic refuses what the handler emitted.
    Emit,
    /// The output topic refuses what left the handler chain.
    OutputTopic,
}

impl FailureKind {
    /// Every kind.
    const ALL: [Self; 14] = [
        Self::MalformedJson,
        Self::InvalidEvento,
        Self::InvalidHeader,
        Self::UnreadableBatch,
        Self::Trap,
        Self::Timeout,
        Self::Memory,
        Self::Stack,
        Self::Output,
        Self::Invalid,
        Self::Retry,
        Self::Reject,
        Self::Emit,
        Self::OutputTopic,
    ];

    /// The name in metrics and logs.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::MalformedJson => "malformed_json",
            Self::InvalidEvento => "invalid_evento",
            Self::InvalidHeader => "invalid_header",
            Self::UnreadableBatch => "unreadable_batch",
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Stack => "stack",
            Self::Output => "output",
            Self::Invalid => "invalid",
            Self::Retry => "retry",
            Self::Reject => "reject",
            Self::Emit => "emit",
            Self::OutputTopic => "output_topic",
        }
    }

    /// The name in the header `__connect.errors.exception.class.name`.
    #[must_use]
    pub fn class(self) -> &'static str {
        match self {
            Self::MalformedJson => "eventos.MalformedJson",
            Self::InvalidEvento => "eventos.InvalidEvento",
            Self::InvalidHeader => "eventos.InvalidHeader",
            Self::UnreadableBatch => "eventos.UnreadableBatch",
            Self::Trap => "eventos.Trap",
            Self::Timeout => "eventos.Timeout",
            Self::Memory => "eventos.Memory",
            Self::Stack => "eventos.Stack",
            Self::Output => "eventos.Output",
            Self::Invalid => "eventos.Invalid",
            Self::Retry => "eventos.Retry",
            Self::Reject => "eventos.Reject",
            Self::Emit => "eventos.Emit",
            Self::OutputTopic => "eventos.OutputTopic",
        }
    }

    /// Where records fail with this kind of failure.
    fn stage(self) -> &'static str {
        match self {
            Self::MalformedJson
            | Self::InvalidEvento
            | Self::InvalidHeader
            | Self::UnreadableBatch => "read",
            Self::Emit => "emit",
            Self::OutputTopic => "output",
            _ => "handle",
        }
    }
}

/// The first of the headers that a dead letter adds to those of its record.
pub(super) const FIRST: &str = "__connect.errors.topic";

/// The header of each field, in the order in which they are written.
const HEADERS: [(Field, &str); 12] = [
    (Field::Topic, FIRST),
    (Field::Partition, "__connect.errors.partition"),
    (Field::Offset, "__connect.errors.offset"),
    (Field::Stage, "__connect.errors.stage"),
    (Field::Class, "__connect.errors.exception.class.name"),
    (Field::Message, "__connect.errors.exception.message"),
    (Field::Stacktrace, "__connect.errors.exception.stacktrace"),
    (Field::Attempts, "eventos.attempts"),
    (Field::Handler, "eventos.handler"),
    (Field::Digest, "eventos.handler.digest"),
    (Field::LeftOut, "eventos.left_out"),
    (Field::Timestamp, "eventos.timestamp"),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Topic,
    Partition,
    Offset,
    Stage,
    Class,
    Message,
    Stacktrace,
    Attempts,
    Handler,
    Digest,
    LeftOut,
    Timestamp,
}

impl fmt::Display for DeadLetterReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message.as_deref().unwrap_or_default())
    }
}

impl Error for DeadLetterReason {}

impl DeadLetterReason {
    /// Makes a reason that does not say yet which record and which handler it is about.
    #[must_use]
    pub fn new(kind: FailureKind, message: String) -> Self {
        Self {
            stage: Some(kind.stage().to_owned()),
            class: Some(kind.class().to_owned()),
            message: Some(message),
            stacktrace: Some(String::new()),
            attempts: Some(0),
            ..Self::default()
        }
    }

    /// Returns the kind of failure, if it is one of ours.
    #[must_use]
    pub fn kind(&self) -> Option<FailureKind> {
        let class = self.class.as_deref()?;
        FailureKind::ALL
            .into_iter()
            .find(|kind| kind.class() == class)
    }

    /// Returns the headers that a dead letter adds, in their order. Long texts are cut at this many bytes.
    #[must_use]
    pub fn headers(&self, max_text: usize) -> Vec<(&'static str, String)> {
        let each = HEADERS.into_iter();
        each.filter_map(|(field, name)| Some((name, self.get(field, max_text)?)))
            .collect()
    }

    /// Reads the headers that a dead letter has added. Unknown headers are skipped.
    pub(super) fn read<'h>(headers: impl IntoIterator<Item = Header<'h>>) -> Self {
        let mut reason = Self::default();
        for Header { name, value } in headers {
            let known = HEADERS
                .into_iter()
                .find(|(_, header)| header.as_bytes() == name);
            if let (Some((field, _)), Some(value)) = (known, value) {
                reason.set(field, &String::from_utf8_lossy(value));
            }
        }
        reason
    }

    /// Returns the name and the text of each field, cut at this many bytes, for the history of a redriven record.
    pub(super) fn fields(&self, max_text: usize) -> Vec<(&'static str, String)> {
        let each = HEADERS.into_iter();
        each.filter_map(|(field, _)| Some((field.name(), self.get(field, max_text)?)))
            .collect()
    }

    /// Sets a field that [`DeadLetterReason::fields`] returned. Returns whether there is one with this name.
    pub(super) fn set_named(&mut self, name: &str, text: &str) -> bool {
        let known = HEADERS.into_iter().find(|(field, _)| field.name() == name);
        if let Some((field, _)) = known {
            self.set(field, text);
        }
        known.is_some()
    }

    fn get(&self, field: Field, max_text: usize) -> Option<String> {
        let short = |text: &Option<String>| text.as_deref().map(|text| cut(text, max_text));
        match field {
            Field::Topic => Some(self.topic.clone()),
            Field::Partition => self.partition.map(|it| it.to_string()),
            Field::Offset => self.offset.map(|it| it.to_string()),
            Field::Stage => self.stage.clone(),
            Field::Class => self.class.clone(),
            Field::Message => short(&self.message),
            Field::Stacktrace => short(&self.stacktrace),
            Field::Attempts => self.attempts.map(|it| it.to_string()),
            Field::Handler => self.handler.clone(),
            Field::Digest => self.digest.clone(),
            Field::LeftOut => self.left_out.clone(),
            Field::Timestamp => self.timestamp.map(|it| it.to_string()),
        }
    }

    fn set(&mut self, field: Field, text: &str) {
        let owned = Some(text.to_owned());
        match field {
            Field::Topic => text.clone_into(&mut self.topic),
            Field::Partition => self.partition = text.parse().ok().map(Partition),
            Field::Offset => self.offset = text.parse().ok().map(Offset),
            Field::Stage => self.stage = owned,
            Field::Class => self.class = owned,
            Field::Message => self.message = owned,
            Field::Stacktrace => self.stacktrace = owned,
            Field::Attempts => self.attempts = text.parse().ok(),
            Field::Handler => self.handler = owned,
            Field::Digest => self.digest = owned,
            Field::LeftOut => self.left_out = owned,
            Field::Timestamp => self.timestamp = text.parse().ok(),
        }
    }
}

impl Field {
    fn name(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Partition => "partition",
            Self::Offset => "offset",
            Self::Stage => "stage",
            Self::Class => "class",
            Self::Message => "message",
            Self::Stacktrace => "stacktrace",
            Self::Attempts => "attempts",
            Self::Handler => "handler",
            Self::Digest => "digest",
            Self::LeftOut => "left_out",
            Self::Timestamp => "timestamp",
        }
    }
}

fn cut(text: &str, max: usize) -> String {
    text[..text.floor_char_boundary(max)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_between_characters() {
        assert_eq!(cut("short", 8), "short");
        let long = format!("a{}", "é".repeat(8));
        assert_eq!(cut(&long, 8), "aééé");
    }
}
