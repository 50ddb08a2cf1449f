//! Why a record became a dead letter, and the headers that say so: those that Kafka Connect adds
//! (`DeadLetterQueueReporter`, KIP-298), and our own. Values are UTF-8 text.

use serde::{Deserialize, Serialize};

use super::{Header, Offset, Partition};

/// Why a record became a dead letter. Of a letter of another program some of it may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Failure {
    /// Where the record is.
    pub topic: String,
    /// Where the record is.
    pub partition: Option<Partition>,
    /// Where the record is.
    pub offset: Option<Offset>,
    /// Where it failed: `read`, `handle` or `emit`.
    pub stage: Option<String>,
    /// What kind of failure it was.
    pub class: Option<String>,
    /// What went wrong, for people.
    pub message: Option<String>,
    /// The guest's; empty where there is none.
    pub stacktrace: Option<String>,
    /// How often it was handed in.
    pub attempts: Option<u32>,
    /// The handler's name; none if the record never came to one.
    pub handler: Option<String>,
    /// The handler's digest.
    pub digest: Option<String>,
    /// What the letter does not hold of the record, for lack of room.
    pub left_out: Option<String>,
}

/// The header that comes first of those that a letter adds to its record's own.
pub(super) const FIRST: &str = "__connect.errors.topic";

/// The header for each field, in the order in which they are written.
const HEADERS: [(Field, &str); 11] = [
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
}

impl Failure {
    /// The headers that a letter adds, in their order; texts are cut at so many bytes.
    #[must_use]
    pub fn headers(&self, max_text: usize) -> Vec<(&'static str, String)> {
        let each = HEADERS.into_iter();
        each.filter_map(|(field, name)| Some((name, self.get(field, max_text)?)))
            .collect()
    }

    /// Reads the headers that a letter has added; what is not known is passed over.
    pub(super) fn read<'h>(headers: impl IntoIterator<Item = Header<'h>>) -> Self {
        let mut failure = Self::default();
        for Header { name, value } in headers {
            let known = HEADERS.into_iter().find(|(_, header)| *header == name);
            if let (Some((field, _)), Some(value)) = (known, value) {
                failure.set(field, &String::from_utf8_lossy(value));
            }
        }
        failure
    }

    /// The same, short, for the history of a record that is sent through again: a name for each field, and its text.
    pub(super) fn fields(&self, max_text: usize) -> Vec<(&'static str, String)> {
        let each = HEADERS.into_iter();
        each.filter_map(|(field, _)| Some((field.name(), self.get(field, max_text)?)))
            .collect()
    }

    /// Takes a field as [`Failure::fields`] gives it; answers whether there is one with this name.
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
