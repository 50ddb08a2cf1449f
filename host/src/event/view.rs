//! Where the view of a partition begins. It is committed along with an offset, so that the next owner of the
//! partition can show the same view.

use std::{fmt, str::FromStr};

use super::{Offset, Timestamp};

/// The start of what the store holds of a partition.
///
/// As text, in the metadata of a committed offset: `view=OFFSET@TIME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewStart {
    /// The offset of the oldest stored Evento, or the committed offset if there is none.
    pub offset: Offset,
    /// The order time of that Evento, before which no later one is placed; [`Timestamp::NONE`] if nothing was stored
    /// yet.
    pub time: Timestamp,
}

/// The metadata of an offset that another client committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the start of a view such as view=42@1716400000000")]
pub struct NotAViewStart(String);

impl ViewStart {
    /// The start of a view that holds nothing yet, at this offset.
    #[must_use]
    pub fn at(offset: Offset) -> Self {
        let time = Timestamp::NONE;
        Self { offset, time }
    }
}

impl fmt::Display for ViewStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "view={}@{}", self.offset, self.time.0)
    }
}

impl FromStr for ViewStart {
    type Err = NotAViewStart;

    fn from_str(text: &str) -> Result<Self, NotAViewStart> {
        let parsed = text.strip_prefix("view=").and_then(|rest| {
            let (offset, time) = rest.split_once('@')?;
            let offset = offset.parse().ok().filter(|&offset| offset >= 0)?;
            Some(Self {
                offset: Offset(offset),
                time: Timestamp(time.parse().ok()?),
            })
        });
        parsed.ok_or_else(|| NotAViewStart(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_and_what_others_commit_is_refused() {
        for text in ["view=0@-1", "view=42@1716400000000"] {
            let start: ViewStart = text.parse().expect(text);
            assert_eq!(start.to_string(), text);
        }
        for text in [
            "",
            "view=",
            "view=1",
            "view=-1@5",
            "view=1@",
            "42@7",
            "view=x@1",
        ] {
            let refused = text.parse::<ViewStart>().expect_err(text);
            assert!(
                refused.to_string().contains(&format!("{text:?}")),
                "{refused}"
            );
        }
    }
}
