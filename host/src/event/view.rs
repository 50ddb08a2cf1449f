//! Where a view of a partition begins: what is committed along with an offset, so that whoever has the partition next
//! can show what was shown before.

use std::{fmt, str::FromStr};

use super::{Offset, Timestamp};

/// The beginning of what the store holds of a partition.
///
/// As text: `view=OFFSET@TIME`, the metadata of a committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewStart {
    /// The offset of the oldest stored Evento; the committed offset where there is none.
    pub offset: Offset,
    /// Its place in time: no Evento from there on is put before it. [`Timestamp::NONE`] where nothing was stored yet.
    pub time: Timestamp,
}

/// A text that some other client committed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} does not tell where a view begins")]
pub struct NotAViewStart(String);

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
