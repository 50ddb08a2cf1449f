//! A dead letter in parts: the headers of its record, why it failed, and how it failed before if it was redriven.
//!
//! The headers that a letter adds follow those of its record, and the history of a redriven record follows its
//! original headers. Their place distinguishes them from headers of the same names that a producer set.

use std::collections::BTreeMap;

use super::{DeadLetterReason, Header, Timestamp, dead_letter_reason::FIRST};

/// The header that begins the history of a record: how often it was redriven.
const REDRIVEN: &str = "eventos.redriven";

/// The prefix of `eventos.history.N.FIELD`, which describes the Nth failure, counted from 1.
const HISTORY: &str = "eventos.history.";

/// Maximum number of failures in a history: the first one, and the latest of the others.
const MAX_HISTORY: usize = 5;

/// Maximum bytes of a text in a history, so that the record hardly grows; its dead letter has the full text.
const MAX_TEXT: usize = 1 << 10;

/// A dead letter with its headers in parts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter<'a> {
    /// The headers that the record had when it was first produced, in order.
    pub original: Vec<Header<'a>>,
    /// How often the record was redriven.
    pub redriven: u32,
    /// Earlier failures by their number, counted from 1; a long history is not complete.
    pub history: BTreeMap<u32, DeadLetterReason>,
    /// Why the record failed; `None` if the record is not a dead letter.
    pub failure: Option<DeadLetterReason>,
}

impl<'a> Letter<'a> {
    /// Splits the headers of a record of the dead-letter topic.
    #[must_use]
    pub fn read(headers: impl IntoIterator<Item = Header<'a>>) -> Self {
        let mut original: Vec<_> = headers.into_iter().collect();
        let first = original
            .iter()
            .rposition(|header| header.name == FIRST.as_bytes());
        let failure = first.map(|at| DeadLetterReason::read(original.drain(at..)));
        let begins = original
            .iter()
            .rposition(|header| header.name == REDRIVEN.as_bytes());
        let history = begins.and_then(|at| Some((at, read_history(&original[at..])?)));
        let (redriven, history) = match history {
            None => (0, BTreeMap::new()),
            Some((at, history)) => {
                original.truncate(at);
                history
            }
        };
        Self {
            original,
            redriven,
            history,
            failure,
        }
    }

    /// Returns the timestamp of the dead-lettered record: that of the letter, unless a header has it.
    #[must_use]
    pub fn timestamp(&self, of_letter: Timestamp) -> Timestamp {
        let header = self.failure.as_ref().and_then(|failure| failure.timestamp);
        header.map_or(of_letter, Timestamp)
    }

    /// Returns the history that the record has after it is redriven again, as headers to append to the original ones.
    #[must_use]
    pub fn history_headers(&self) -> Vec<(String, String)> {
        let now = self.redriven.saturating_add(1);
        let before = self.history.iter().map(|(&n, failure)| (n, failure));
        let mut all: Vec<_> = before
            .chain(self.failure.iter().map(|failure| (now, failure)))
            .collect();
        while all.len() > MAX_HISTORY {
            all.remove(1);
        }
        let fields = all.into_iter().flat_map(|(n, failure)| {
            let fields = failure.fields(MAX_TEXT).into_iter();
            fields.map(move |(field, text)| (format!("{HISTORY}{n}.{field}"), text))
        });
        let count = (REDRIVEN.to_owned(), now.to_string());
        std::iter::once(count).chain(fields).collect()
    }
}

/// Returns the count and the failures, or `None` if these headers are not a history.
fn read_history(headers: &[Header<'_>]) -> Option<(u32, BTreeMap<u32, DeadLetterReason>)> {
    let (count, entries) = headers.split_first()?;
    let count = text(count)?.parse().ok()?;
    let mut history = BTreeMap::<u32, DeadLetterReason>::new();
    for entry in entries {
        let name = str::from_utf8(entry.name).ok()?;
        let (n, field) = name.strip_prefix(HISTORY)?.split_once('.')?;
        let failure = history.entry(n.parse().ok()?).or_default();
        failure.set_named(field, text(entry)?).then_some(())?;
    }
    Some((count, history))
}

fn text<'a>(header: &Header<'a>) -> Option<&'a str> {
    str::from_utf8(header.value?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Offset, Partition};

    type Owned = Vec<(String, Option<Vec<u8>>)>;

    fn borrowed(headers: &Owned) -> impl Iterator<Item = Header<'_>> {
        headers.iter().map(|(name, value)| Header {
            name: name.as_bytes(),
            value: value.as_deref(),
        })
    }

    fn failure(offset: i64) -> DeadLetterReason {
        DeadLetterReason {
            topic: "eventos".to_owned(),
            partition: Some(Partition(3)),
            offset: Some(Offset(offset)),
            stage: Some("handle".to_owned()),
            class: Some("eventos.Trap".to_owned()),
            message: Some("é".repeat(MAX_TEXT)),
            stacktrace: Some(String::new()),
            attempts: Some(1),
            handler: Some("probe".to_owned()),
            digest: Some("abc".to_owned()),
            left_out: None,
            timestamp: None,
        }
    }

    /// Adds the headers that the pipeline adds to a record that fails.
    fn die(record: &Owned, failure: &DeadLetterReason) -> Owned {
        let added = failure.headers(8 << 10).into_iter();
        let added = added.map(|(name, text)| (name.to_owned(), Some(text.into_bytes())));
        record.iter().cloned().chain(added).collect()
    }

    fn redrive(letter: &Letter<'_>) -> Owned {
        let original = letter.original.iter();
        let original = original.map(|it| (it.name().into_owned(), it.value.map(<[u8]>::to_vec)));
        let history = letter.history_headers().into_iter();
        let history = history.map(|(name, text)| (name, Some(text.into_bytes())));
        original.chain(history).collect()
    }

    #[test]
    fn what_the_record_had_and_what_the_letter_added_are_told_apart_by_their_place() {
        // Each of these names has a meaning further behind.
        let tricks = [FIRST, REDRIVEN, "eventos.history.1.topic", "a", "a"];
        let mut record: Owned = tricks
            .map(|name| (name.to_owned(), Some(b"7".to_vec())))
            .into();
        record.push(("null".to_owned(), None));
        let letter = die(&record, &failure(7));
        let letter = Letter::read(borrowed(&letter));
        assert!(
            letter
                .original
                .iter()
                .eq(&borrowed(&record).collect::<Vec<_>>())
        );
        assert_eq!((letter.redriven, letter.history.len()), (0, 0));
        assert_eq!(letter.failure, Some(failure(7)));

        let foreign: Owned = vec![("a".to_owned(), None)];
        let foreign = Letter::read(borrowed(&foreign));
        assert_eq!((foreign.original.len(), foreign.failure), (1, None));
    }

    #[test]
    fn a_history_keeps_the_first_failure_and_the_latest() {
        let original: Owned = vec![(FIRST.to_owned(), Some(b"of its own".to_vec()))];
        let mut record = original.clone();
        for n in 1..=7 {
            let dead = die(&record, &failure(n));
            record = redrive(&Letter::read(borrowed(&dead)));
        }
        let dead = die(&record, &failure(8));
        let letter = Letter::read(borrowed(&dead));
        assert!(
            letter
                .original
                .iter()
                .eq(&borrowed(&original).collect::<Vec<_>>())
        );
        assert_eq!(letter.redriven, 7);
        assert_eq!(
            letter.history.keys().copied().collect::<Vec<_>>(),
            [1, 4, 5, 6, 7]
        );
        let first = &letter.history[&1];
        assert_eq!(first.offset, Some(Offset(1)));
        assert_eq!(first.message.as_ref().map(String::len), Some(MAX_TEXT));
        assert_eq!(letter.failure, Some(failure(8)));
    }
}
