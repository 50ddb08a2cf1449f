//! Which letters are meant: by what they are like, or by their places in the dead-letter topic. As texts those are
//! `partition:offset`, several with commas between.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::event::{EventoRef, Failure, Offset, Partition, Timestamp};

/// Which letters are meant, and how many of them at most.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Which of all.
    pub which: Which,
    /// Only what it has not read yet.
    pub after: Cursor,
    /// Only what it has read; what there is now, if it is not said.
    pub before: Option<Cursor>,
    /// Letters, at most.
    pub limit: usize,
}

/// Which of all letters.
#[derive(Clone, Debug)]
pub enum Which {
    /// Those that match.
    Matching(Filter),
    /// Those at these positions.
    At(Positions),
}

/// What a letter has to be like. What is not said does not matter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The name of the handler that failed on it.
    pub handler: Option<String>,
    /// The class of the failure.
    pub class: Option<String>,
    /// The topic that its record is from.
    pub topic: Option<String>,
    /// The partition that its record is from.
    pub partition: Option<Partition>,
    /// The least offset of its record.
    pub from_offset: Option<Offset>,
    /// The greatest offset of its record.
    pub to_offset: Option<Offset>,
    /// The least timestamp; a letter has that of its record.
    pub since: Option<Timestamp>,
    /// The first timestamp that is too late.
    pub until: Option<Timestamp>,
    /// The `id` of the Evento that it holds.
    pub id: Option<String>,
}

impl Filter {
    /// Whether a letter is like that.
    pub(super) fn matches(
        &self,
        failure: Option<&Failure>,
        timestamp: Timestamp,
        value: Option<&[u8]>,
    ) -> bool {
        let is = |asked: &Option<String>, has: fn(&Failure) -> Option<&str>| {
            asked.is_none() || asked.as_deref() == failure.and_then(has)
        };
        let offset = failure.and_then(|failure| failure.offset);
        let partition = failure.and_then(|failure| failure.partition);
        is(&self.handler, |it| it.handler.as_deref())
            && is(&self.class, |it| it.class.as_deref())
            && is(&self.topic, |it| Some(&it.topic))
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

/// Where a letter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
pub struct Position {
    /// The partition.
    pub partition: Partition,
    /// The offset in it.
    pub offset: Offset,
}

/// Some letters, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Positions(pub BTreeSet<Position>);

/// How far each partition has been read: the next offset. One that it does not name has not been.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor(BTreeMap<Partition, Offset>);

/// A text that is no list of positions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not PARTITION:OFFSET, or several with commas between, such as 0:42,1:17")]
pub struct NotPositions(String);

impl Cursor {
    /// Where to go on.
    pub(super) fn get(&self, partition: Partition) -> Offset {
        self.0.get(&partition).copied().unwrap_or(Offset(0))
    }

    pub(super) fn set(&mut self, partition: Partition, next: Offset) {
        self.0.insert(partition, next);
    }
}

impl FromStr for Positions {
    type Err = NotPositions;

    fn from_str(text: &str) -> Result<Self, NotPositions> {
        parse(text).map(|all| Self(all.collect()))
    }
}

impl FromStr for Cursor {
    type Err = NotPositions;

    /// `-` is the beginning.
    fn from_str(text: &str) -> Result<Self, NotPositions> {
        if text == "-" {
            return Ok(Self::default());
        }
        let pairs = parse(text)?.map(|at| (at.partition, at.offset));
        Ok(Self(pairs.collect()))
    }
}

fn parse(text: &str) -> Result<impl Iterator<Item = Position>, NotPositions> {
    let one = |one: &str| {
        let (partition, offset) = one.split_once(':')?;
        let partition: u32 = partition.parse().ok()?;
        let offset: u64 = offset.parse().ok()?;
        Some(Position {
            partition: Partition(partition.try_into().ok()?),
            offset: Offset(offset.try_into().ok()?),
        })
    };
    let all: Option<Vec<_>> = text.split(',').map(one).collect();
    let all = all.ok_or_else(|| NotPositions(text.to_owned()))?;
    Ok(all.into_iter())
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.partition, self.offset)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("-");
        }
        for (i, (&partition, &offset)) in self.0.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{}", Position { partition, offset })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_condition_is_obeyed_and_broken() {
        let failure = Failure {
            topic: "eventos".to_owned(),
            partition: Some(Partition(1)),
            offset: Some(Offset(5)),
            class: Some("eventos.Trap".to_owned()),
            handler: Some("probe".to_owned()),
            ..Failure::default()
        };
        let value = br#"{"id":7,"tipo":"t"}"#;
        let with = |set: fn(&mut Filter)| {
            let mut filter = Filter::default();
            set(&mut filter);
            filter
        };
        let matches = |filter: &Filter| filter.matches(Some(&failure), Timestamp(9), Some(value));
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
        assert!(Filter::default().matches(None, Timestamp::NONE, None));
        let handler = with(|it| it.handler = Some("probe".to_owned()));
        assert!(!handler.matches(None, Timestamp::NONE, None));
    }

    #[test]
    fn a_cursor_comes_back_from_its_text() {
        for text in ["-", "0:0", "0:42,3:17"] {
            let cursor: Cursor = text.parse().expect("a cursor");
            assert_eq!(cursor.to_string(), text);
        }
        let cursor: Cursor = "1:7".parse().expect("a cursor");
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
            assert!(text.parse::<Positions>().is_err(), "{text}");
        }
        let twice: Positions = "1:2,0:1,1:2".parse().expect("positions");
        assert_eq!(twice.0.len(), 2);
    }
}
