//! How far a reader has come: a position in every partition.

use std::{collections::BTreeMap, fmt, str::FromStr};

use crate::event::{Offset, Partition};

/// A place between two stored Eventos of one partition, in front of those that are at or above it.
///
/// `n` distinguishes Eventos with the same offset, since replacements keep the offset of their source.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The offset of the next Evento, or any offset between it and the one before.
    pub offset: Offset,
    /// The number of stored Eventos with this offset that lie before the position.
    pub n: u32,
}

/// A position in every partition. In a partition that it does not name, it stands at the very beginning.
///
/// As text: `partition:offset` or `partition:offset.n`, joined by commas, with partitions in ascending order; `-` if
/// no partition is named. It does not depend on the process that created it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    positions: BTreeMap<Partition, Position>,
}

/// A text that is not a cursor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a cursor such as 0:42,1:17.1")]
pub struct NotACursor(String);

impl Position {
    /// In front of everything: Kafka's offsets begin at 0.
    pub const START: Self = Self {
        offset: Offset(0),
        n: 0,
    };

    /// Behind everything.
    pub const END: Self = Self {
        offset: Offset(i64::MAX),
        n: u32::MAX,
    };

    /// Returns the position in front of the first Evento with this offset.
    #[must_use]
    pub fn before(offset: Offset) -> Self {
        Self { offset, n: 0 }
    }
}

impl Cursor {
    /// Returns the position in a partition.
    #[must_use]
    pub fn get(&self, partition: Partition) -> Position {
        let named = self.positions.get(&partition);
        named.copied().unwrap_or(Position::START)
    }

    /// Returns whether the cursor names a partition.
    #[must_use]
    pub fn names(&self, partition: Partition) -> bool {
        self.positions.contains_key(&partition)
    }

    /// Returns the partitions that the cursor names, in ascending order, with their positions.
    pub fn iter(&self) -> impl Iterator<Item = (Partition, Position)> {
        self.positions
            .iter()
            .map(|(&partition, &at)| (partition, at))
    }

    /// Sets the position in a partition.
    pub fn set(&mut self, partition: Partition, position: Position) {
        self.positions.insert(partition, position);
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.positions.is_empty() {
            return f.write_str("-");
        }
        for (i, (partition, position)) in self.positions.iter().enumerate() {
            let comma = if i == 0 { "" } else { "," };
            write!(f, "{comma}{partition}:{}", position.offset)?;
            if position.n > 0 {
                write!(f, ".{}", position.n)?;
            }
        }
        Ok(())
    }
}

impl FromStr for Cursor {
    type Err = NotACursor;

    fn from_str(text: &str) -> Result<Self, NotACursor> {
        let mut cursor = Self::default();
        if text == "-" {
            return Ok(cursor);
        }
        let fault = || NotACursor(text.to_owned());
        for part in text.split(',') {
            let (partition, position) = parse_part(part).ok_or_else(fault)?;
            if cursor.positions.insert(partition, position).is_some() {
                return Err(fault());
            }
        }
        Ok(cursor)
    }
}

fn parse_part(part: &str) -> Option<(Partition, Position)> {
    let (partition, position) = part.split_once(':')?;
    let (offset, n) = position.split_once('.').unwrap_or((position, "0"));
    let (partition, offset) = (Partition(digits(partition)?), Offset(digits(offset)?));
    let n = digits(n)?;
    Some((partition, Position { offset, n }))
}

/// Parses a number without a sign: `+1` is not accepted.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_readable_and_comes_back() {
        for text in ["-", "0:42", "0:42,1:17.1,12:9223372036854775807.4294967295"] {
            let cursor: Cursor = text.parse().expect(text);
            assert_eq!(cursor.to_string(), text);
        }
        let cursor: Cursor = "1:17.1".parse().expect("valid");
        assert_eq!(
            (cursor.get(Partition(1)).offset, cursor.get(Partition(1)).n),
            (Offset(17), 1)
        );
        assert_eq!(cursor.get(Partition(0)), Position::START);
    }

    #[test]
    fn what_is_no_cursor_is_refused_by_its_text() {
        for text in [
            "",
            "0",
            "0:",
            ":1",
            "0:1,",
            "0:-1",
            "0:+1",
            "a:1",
            "0:1.",
            "0:1,0:2",
            "0:9223372036854775808",
        ] {
            let refused = text.parse::<Cursor>().expect_err(text);
            assert!(
                refused.to_string().contains(&format!("{text:?}")),
                "{refused}"
            );
        }
    }
}
