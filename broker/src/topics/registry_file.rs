//! The form of the file `topics`: a line a topic, `ID PARTITIONS NAME` and what was set for it, each as
//! ` SETTING=VALUE`; then a line `crc32c HEX` over all before. Neither a name nor a value has a blank in it.

use std::fmt::Write as _;

use super::Topic;
use crate::ids::TopicId;

/// A line of the registry.
#[derive(Debug, PartialEq)]
pub struct Line {
    /// As [`Topic::id`].
    pub id: TopicId,
    /// How many there are.
    pub partitions: u32,
    /// As [`Topic::name`].
    pub name: String,
    /// What was set for it, by name.
    pub settings: Vec<(String, String)>,
}

/// The whole file.
pub fn encode<'a>(topics: impl Iterator<Item = &'a Topic>) -> Vec<u8> {
    let mut text = String::new();
    for topic in topics {
        let partitions = topic.partitions.len();
        let _ = write!(text, "{:032x} {partitions} {}", topic.id.0, topic.name);
        for (name, value) in topic.settings.overrides() {
            let _ = write!(text, " {name}={value}");
        }
        text.push('\n');
    }
    let crc = crc32c::crc32c(text.as_bytes());
    let _ = writeln!(text, "crc32c {crc:08x}");
    text.into_bytes()
}

/// What [`encode`] wrote; `None` if a byte of it is wrong.
pub fn decode(bytes: &[u8]) -> Option<Vec<Line>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let at = text.rfind("crc32c ")?;
    let crc = u32::from_str_radix(text[at..].strip_prefix("crc32c ")?.trim_end(), 16).ok()?;
    let lines = &text[..at];
    if crc32c::crc32c(lines.as_bytes()) != crc {
        return None;
    }
    lines.lines().map(decode_line).collect()
}

fn decode_line(line: &str) -> Option<Line> {
    let mut words = line.split(' ');
    Some(Line {
        id: TopicId(u128::from_str_radix(words.next()?, 16).ok()?),
        partitions: words.next()?.parse().ok()?,
        name: words.next()?.to_owned(),
        settings: words.map(decode_setting).collect::<Option<_>>()?,
    })
}

fn decode_setting(word: &str) -> Option<(String, String)> {
    let (name, value) = word.split_once('=')?;
    Some((name.to_owned(), value.to_owned()))
}
