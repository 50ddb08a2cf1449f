//! What is committed along with an offset: where the view of the partition begins, so that its next owner can show the same
//! view, and of which topic the offset is.

use std::{fmt, str::FromStr};

use super::{Offset, Timestamp, TopicId};

/// The start of what the store holds of a partition.
///
/// As text: `view=OFFSET@TIME`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ViewStart {
    /// The offset of the oldest stored Evento, or the committed offset if there is none.
    pub offset: Offset,
    /// The order time of that Evento, before which no later one is placed; [`Timestamp::NONE`] if nothing was stored
    /// yet.
    pub time: Timestamp,
}

/// A text that is not the start of a view.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the start of a view such as view=42@1716400000000")]
pub struct NotAViewStart(String);

/// The metadata of a committed offset. As text, its parts are separated by spaces: `view=OFFSET@TIME topic=ID`. Parts that
/// are missing or unknown are passed over: another client may have committed the offset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommitMetadata {
    /// Where the view of the partition begins.
    pub view: Option<ViewStart>,
    /// The topic that the offset is of. Where another topic has its name now, the offset says nothing.
    pub topic: Option<TopicId>,
}

impl CommitMetadata {
    /// Reads the metadata of an offset that any client may have committed.
    #[must_use]
    pub fn read(text: &str) -> Self {
        let parts = || text.split(' ');
        let topics = parts().filter_map(|part| part.strip_prefix("topic="));
        Self {
            view: parts().find_map(|part| part.parse().ok()),
            topic: topics.filter_map(|id| id.parse().ok()).next(),
        }
    }
}

impl fmt::Display for CommitMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let view = self.view.map(|view| view.to_string());
        let topic = self.topic.map(|id| format!("topic={id}"));
        let parts: Vec<_> = view.into_iter().chain(topic).collect();
        f.write_str(&parts.join(" "))
    }
}

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
    fn metadata_comes_back_and_that_of_others_is_passed_over() {
        for text in [
            "",
            "view=0@-1",
            "topic=H3vHrlrWQgKhIdFzkJKA4w",
            "view=42@1716400000000 topic=H3vHrlrWQgKhIdFzkJKA4w",
        ] {
            assert_eq!(CommitMetadata::read(text).to_string(), text);
        }
        for text in [
            "topic=",
            "topic=H3vHrlrWQgKhIdFzkJKA4",
            "view=-1@5 x",
            "{\"a\": 1}",
        ] {
            assert_eq!(CommitMetadata::read(text), CommitMetadata::default());
        }
    }

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
