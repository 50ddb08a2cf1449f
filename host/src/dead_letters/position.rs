//! Places in the dead-letter topic, as texts: `partition:offset`, several with commas between.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::event::{Offset, Partition};

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
