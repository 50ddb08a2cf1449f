//! The selection of dead letters: by their properties, or by their positions in the dead-letter topic.
//!
//! A position is written `partition:offset`; several are separated by commas.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::event::{DeadLetterReason, EventoRef, Offset, Partition, Timestamp};

/// A request for dead letters.
#[derive(Clone, Debug)]
pub struct LetterQuery {
    /// The letters to select.
    pub selection: LetterSelection,
    /// Where to start reading: letters before this cursor are not selected.
    pub after: LetterCursor,
    /// Where to stop reading. By default this is the current end of the topic.
    pub before: Option<LetterCursor>,
    /// Maximum number of letters.
    pub limit: usize,
}

/// The letters to select from the dead-letter topic.
#[derive(Clone, Debug)]
pub enum LetterSelection {
    /// All letters that match the filter.
    Matching(LetterFilter),
    /// The letters at these positions.
    At(RecordPositions),
}

/// Properties that a letter must have. A property that is not set matches every letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterFilter {
    /// Name of the handler that failed on the record.
    pub handler: Option<String>,
    /// Class of the failure.
    pub class: Option<String>,
    /// Topic of the dead-lettered record.
    pub topic: Option<String>,
    /// Partition of the dead-lettered record.
    pub partition: Option<Partition>,
    /// Minimum offset of the dead-lettered record.
    pub from_offset: Option<Offset>,
    /// Maximum offset of the dead-lettered record.
    pub to_offset: Option<Offset>,
    /// Minimum timestamp of the dead-lettered record.
    pub since: Option<Timestamp>,
    /// Upper bound of the timestamp, exclusive.
    pub until: Option<Timestamp>,
    /// The `id` of the Evento in the record.
    pub id: Option<String>,
}

impl LetterFilter {
    /// Returns whether a letter has all the properties. A letter without a known failure has none of those of a
    /// failure.
    pub(super) fn matches(
        &self,
        failure: Option<&DeadLetterReason>,
        timestamp: Timestamp,
        value: Option<&[u8]>,
    ) -> bool {
        let equals = |wanted: &Option<String>, get: fn(&DeadLetterReason) -> Option<&str>| {
            wanted.is_none() || wanted.as_deref() == failure.and_then(get)
        };
        let offset = failure.and_then(|failure| failure.offset);
        let partition = failure.and_then(|failure| failure.partition);
        equals(&self.handler, |it| it.handler.as_deref())
            && equals(&self.class, |it| it.class.as_deref())
            && equals(&self.topic, |it| Some(&it.topic))
            && (self.partition.is_none() || self.partition == partition)
            && self
                .from_offset
                .is_none_or(|from| offset.is_some_and(|it| it >= from))
            && self
                .to_offset
                .is_none_or(|to| offset.is_some_and(|it| it <= to))
            && self.since.is_none_or(|since| timestamp >= since)
            && self.until.is_none_or(|until| timestamp < until)
            && self.id.as_deref().is_none_or(|id| has_id(value, id))
    }
}

fn has_id(value: Option<&[u8]>, id: &str) -> bool {
    let evento = value.map(EventoRef::parse);
    evento.is_some_and(|evento| evento.is_ok_and(|evento| evento.id.as_str() == id))
}

/// The position of a record in a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct RecordPosition {
    /// Partition of the record.
    pub partition: Partition,
    /// Offset of the record in its partition.
    pub offset: Offset,
}

/// A set of positions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecordPositions(pub BTreeSet<RecordPosition>);

/// The next offset to read in each partition. A partition that is missing is read from its beginning.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LetterCursor(BTreeMap<Partition, Offset>);

/// The text is not a list of positions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not PARTITION:OFFSET, or several of them separated by commas, such as 0:42,1:17")]
pub struct InvalidPositions(String);

impl LetterCursor {
    /// Returns the next offset to read in a partition.
    pub(super) fn get(&self, partition: Partition) -> Offset {
        self.0.get(&partition).copied().unwrap_or(Offset(0))
    }

    pub(super) fn set(&mut self, partition: Partition, next: Offset) {
        self.0.insert(partition, next);
    }
}

impl FromStr for RecordPositions {
    type Err = InvalidPositions;

    fn from_str(text: &str) -> Result<Self, InvalidPositions> {
        parse(text).map(|all| Self(all.collect()))
    }
}

impl FromStr for LetterCursor {
    type Err = InvalidPositions;

    /// `-` is the cursor at the beginning of every partition.
    fn from_str(text: &str) -> Result<Self, InvalidPositions> {
        if text == "-" {
            return Ok(Self::default());
        }
        let pairs = parse(text)?.map(|at| (at.partition, at.offset));
        Ok(Self(pairs.collect()))
    }
}

fn parse(text: &str) -> Result<impl Iterator<Item = RecordPosition>, InvalidPositions> {
    let one = |one: &str| {
        let (partition, offset) = one.split_once(':')?;
        let partition: u32 = partition.parse().ok()?;
        let offset: u64 = offset.parse().ok()?;
        Some(RecordPosition {
            partition: Partition(partition.try_into().ok()?),
            offset: Offset(offset.try_into().ok()?),
        })
    };
    let all: Option<Vec<_>> = text.split(',').map(one).collect();
    let all = all.ok_or_else(|| InvalidPositions(text.to_owned()))?;
    Ok(all.into_iter())
}

impl fmt::Display for RecordPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl fmt::Display for LetterCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        for (i, (&partition, &offset)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}", RecordPosition { partition, offset })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_obeyed_and_broken() {
        let failure = DeadLetterReason {
            topic: "eventos".to_owned(),
            partition: Some(Partition(1)),
            offset: Some(Offset(5)),
            class: Some("eventos.Trap".to_owned()),
            handler: Some("probe".to_owned()),
            ..DeadLetterReason::default()
        };
        let value = br#"{"id":7,"tipo":"t"}"#;
        let with = |set: fn(&mut LetterFilter)| {
            let mut filter = LetterFilter::default();
            set(&mut filter);
            filter
        };
        let matches =
            |filter: &LetterFilter| filter.matches(Some(&failure), Timestamp(9), Some(value));
        for filter in [
            with(|it| it.handler = Some("probe".to_owned())),
            with(|it| it.class = Some("eventos.Trap".to_owned())),
            with(|it| it.topic = Some("eventos".to_owned())),
            with(|it| it.partition = Some(Partition(1))),
            with(|it| it.from_offset = Some(Offset(5))),
            with(|it| it.to_offset = Some(Offset(5))),
            with(|it| it.since = Some(Timestamp(9))),
            with(|it| it.until = Some(Timestamp(10))),
            with(|it| it.id = Some("7".to_owned())),
        ] {
            assert!(matches(&filter), "{filter:?}");
        }
        for filter in [
            with(|it| it.handler = Some("other".to_owned())),
            with(|it| it.class = Some("eventos.Reject".to_owned())),
            with(|it| it.topic = Some("other".to_owned())),
            with(|it| it.partition = Some(Partition(0))),
            with(|it| it.from_offset = Some(Offset(6))),
            with(|it| it.to_offset = Some(Offset(4))),
            with(|it| it.since = Some(Timestamp(10))),
            with(|it| it.until = Some(Timestamp(9))),
            with(|it| it.id = Some("8".to_owned())),
        ] {
            assert!(!matches(&filter), "{filter:?}");
        }
        assert!(LetterFilter::default().matches(None, Timestamp::NONE, None));
        let handler = with(|it| it.handler = Some("probe".to_owned()));
        assert!(!handler.matches(None, Timestamp::NONE, None));
    }

    #[test]
    fn a_cursor_comes_back_from_its_text() {
        for text in ["-", "0:0", "0:42,3:17"] {
            let cursor: LetterCursor = text.parse().expect("a cursor");
            assert_eq!(cursor.to_string(), text);
        }
        let cursor: LetterCursor = "1:7".parse().expect("a cursor");
        assert_eq!(
            [cursor.get(Partition(0)), cursor.get(Partition(1))].map(|it| it.0),
            [0, 7]
        );
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in [
            "",
            "1",
            "1:",
            ":1",
            "-1:0",
            "0:-1",
            "0:1,",
            "0:1;1:1",
            "4294967295:0",
        ] {
            assert!(text.parse::<RecordPositions>().is_err(), "{text}");
        }
        let twice: RecordPositions = "1:2,0:1,1:2".parse().expect("positions");
        assert_eq!(twice.0.len(), 2);
    }
}
