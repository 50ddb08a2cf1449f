//! Bounds of what an Evento may contain. JSON has none, but the programs that read a page of Eventos have: one Evento that they
//! cannot read makes the whole page unreadable for them.

use serde::{Deserialize, Serialize};

/// The `[evento]` table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct EventoLimits {
    /// How deep objects and arrays may be nested, from 1 to 10,000. The Evento itself is the first level.
    pub max_depth: u32,
    /// How many characters a number may have, from 1 to 1,000,000.
    pub max_number_length: u32,
    /// Whether an escaped surrogate without its counterpart, such as `\ud800`, is refused: it stands for no character, and
    /// cannot be encoded in UTF-8.
    pub refuse_lone_surrogates: bool,
}

impl EventoLimits {
    /// Whatever JSON permits.
    pub const NONE: Self = Self {
        max_depth: u32::MAX,
        max_number_length: u32::MAX,
        refuse_lone_surrogates: false,
    };

    /// Returns the invalid values: each key, relative to this table, with what was expected.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let keys = [
            ("max_depth", self.max_depth, 10_000),
            ("max_number_length", self.max_number_length, 1_000_000),
        ];
        keys.into_iter()
            .filter(|&(_, value, most)| !(1..=most).contains(&value))
            .map(|(key, _, most)| {
                (
                    key.to_owned(),
                    format!("expected a number from 1 to {most}"),
                )
            })
            .collect()
    }

    /// Returns whether a JSON text may exceed a limit. This costs very little, and errs on the safe side: most texts are seen to
    /// be within all limits at once, and only the others have to be scanned.
    pub(super) fn may_be_exceeded(&self, text: &str) -> bool {
        let text = text.as_bytes();
        (self.may_be_too_deep(text) && self.is_too_deep(text))
            || self.may_have_long_number(text)
            || (self.refuse_lone_surrogates && may_have_surrogate(text))
    }

    /// Looks for more opening brackets than levels. Each takes a closing one, so short texts need no look.
    fn may_be_too_deep(&self, text: &[u8]) -> bool {
        let max = self.max_depth as usize;
        if text.len() / 2 <= max {
            return false;
        }
        // `[` and `{` differ in one bit. The sum of a chunk fits into a byte, so that it is made with vector instructions.
        let opening = |chunk: &[u8]| {
            let each = chunk.iter().map(|&byte| u8::from(byte | 0x20 == b'{'));
            usize::from(each.sum::<u8>())
        };
        text.chunks(240).map(opening).sum::<usize>() > max
    }

    /// Follows the brackets outside of strings.
    fn is_too_deep(&self, text: &[u8]) -> bool {
        let (mut at, mut depth) = (0, 0);
        while let Some(byte) = text.get(at) {
            at = match byte {
                b'"' => end_of_string(text, at),
                _ => at + 1,
            };
            match byte {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                _ => {}
            }
            if depth > i64::from(self.max_depth) {
                return true;
            }
        }
        false
    }

    /// Looks at places that are so close to one another that no number that is too long fits in between.
    fn may_have_long_number(&self, text: &[u8]) -> bool {
        let max = self.max_number_length as usize;
        if text.len() <= max {
            return false;
        }
        let mut places = (max..text.len()).step_by(max + 1);
        places.any(|at| {
            let is_part = |byte: &&u8| is_of_number(**byte);
            let before = || text[..at].iter().rev().take(max).take_while(is_part);
            let after = || text[at..].iter().take(max + 1).take_while(is_part);
            is_of_number(text[at]) && before().count() + after().count() > max
        })
    }
}

impl Default for EventoLimits {
    fn default() -> Self {
        Self {
            max_depth: 128,
            max_number_length: 400,
            refuse_lone_surrogates: true,
        }
    }
}

/// Looks for `\ud8` to `\udf`, from the first backslash on. It does not stop when it finds some, so that it is made with vector
/// instructions.
fn may_have_surrogate(text: &[u8]) -> bool {
    let Some(first) = memchr::memchr(b'\\', text) else {
        return false;
    };
    let text = &text[first..];
    let from = |index| text.get(index..).unwrap_or_default();
    let fours = text.iter().zip(from(1)).zip(from(2)).zip(from(3));
    let found = fours.fold(0, |found, (((a, b), c), d)| {
        let is_escape = u8::from(*a == b'\\') & u8::from(*b == b'u');
        // In hexadecimal, what follows 7 is above it.
        found | (is_escape & u8::from(c | 0x20 == b'd') & u8::from(*d > b'7'))
    });
    found != 0
}

/// Returns where the string ends that begins at `start`, quotes included.
pub(super) fn end_of_string(text: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while let Some(found) = text
        .get(at..)
        .and_then(|rest| memchr::memchr2(b'"', b'\\', rest))
    {
        if text[at + found] == b'"' {
            return at + found + 1;
        }
        at += found + 2;
    }
    text.len()
}

/// Returns whether a byte can be part of a number in JSON.
pub(super) fn is_of_number(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E')
}
