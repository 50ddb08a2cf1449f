//! The format of the file `topics`: a line `ID PARTITIONS NAME` per topic, followed by ` SETTING=VALUE` for each of its
//! settings, and at the end a line `crc32c HEX` with the checksum of all lines before. Neither names nor values have spaces
//! in them.

use std::fmt::Write as _;

use super::Topic;
use crate::ids::TopicId;

/// A line of the registry.
#[derive(Debug, PartialEq)]
pub(crate) struct RegistryLine {
    /// The id of the topic.
    pub(crate) id: TopicId,
    /// The number of partitions.
    pub(crate) partitions: u32,
    /// The name of the topic.
    pub(crate) name: String,
    /// Names and values of its settings.
    pub(crate) settings: Vec<(String, String)>,
}

/// Encodes the file.
pub(crate) fn encode<'a>(topics: impl Iterator<Item = &'a Topic>) -> Vec<u8> {
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

/// Decodes the file, or returns `None` if it is damaged.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<RegistryLine>> {
    let text = std::str::from_utf8(bytes).ok()?;
    let at = text.rfind("crc32c ")?;
    let crc = u32::from_str_radix(text[at..].strip_prefix("crc32c ")?.trim_end(), 16).ok()?;
    let lines = &text[..at];
    if crc32c::crc32c(lines.as_bytes()) != crc {
        return None;
    }
    lines.lines().map(decode_line).collect()
}

fn decode_line(line: &str) -> Option<RegistryLine> {
    let mut words = line.split(' ');
    Some(RegistryLine {
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
