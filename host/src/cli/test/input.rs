//! The input of `eventos test`: lines of NDJSON, each with an Evento, or with a whole Kafka record.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::Path,
};

use anyhow::Context;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::event::{Header, JsonBytes, Timestamp, without_byte_order_mark};

/// How many bytes are read at once, which is also about the size of a batch from a file.
const BUFFER_BYTES: usize = 1 << 20;

/// The source of lines.
pub(super) struct Input {
    reader: BufReader<Box<dyn Read>>,
    line: usize,
    whole_records: bool,
}

/// A line that is not empty.
pub(super) struct Entry {
    /// Line number, from 1.
    pub(super) line: usize,
    /// The record on this line, or why it cannot be read.
    pub(super) record: Result<InputRecord, serde_json::Error>,
}

/// A record for the handler.
pub(super) struct InputRecord {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    headers: Vec<(String, Option<JsonBytes>)>,
    pub(super) timestamp: Timestamp,
}

/// The format of a line with `--records`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, expecting = "a record such as {\"value\": {…}}")]
struct RecordLine<'a> {
    key: Option<JsonBytes>,
    #[serde(default)]
    headers: Vec<(String, Option<JsonBytes>)>,
    timestamp: Option<i64>,
    /// Required; `null` for a tombstone.
    #[serde(borrow)]
    value: &'a RawValue,
}

impl Input {
    /// Opens the file, or stdin if the path is `-`.
    ///
    /// # Errors
    /// If the file cannot be opened.
    pub(super) fn open(path: &Path, whole_records: bool) -> anyhow::Result<Self> {
        let source: Box<dyn Read> = if path == "-" {
            Box::new(io::stdin())
        } else {
            let failed = || format!("cannot open the input {}", path.display());
            Box::new(File::open(path).with_context(failed)?)
        };
        Ok(Self {
            reader: BufReader::with_capacity(BUFFER_BYTES, source),
            line: 0,
            whole_records,
        })
    }

    /// Reads the next line that is not empty; returns None at the end.
    ///
    /// # Errors
    /// If reading fails.
    pub(super) fn next(&mut self) -> io::Result<Option<Entry>> {
        let mut text = Vec::new();
        loop {
            text.clear();
            if self.reader.read_until(b'\n', &mut text)? == 0 {
                return Ok(None);
            }
            self.line += 1;
            let line = without_byte_order_mark(text.trim_ascii()).trim_ascii();
            if line.is_empty() {
                continue;
            }
            let record = match self.whole_records {
                true => InputRecord::read(line),
                false => Ok(InputRecord::bare(line)),
            };
            let line = self.line;
            return Ok(Some(Entry { line, record }));
        }
    }

    /// Whether the next line would have to be waited for. The writer of the lines may be waiting for output itself.
    pub(super) fn is_waiting(&self) -> bool {
        self.reader.buffer().is_empty()
    }
}

impl InputRecord {
    fn bare(line: &[u8]) -> Self {
        Self {
            key: None,
            value: Some(line.to_vec()),
            headers: Vec::new(),
            timestamp: Timestamp::NONE,
        }
    }

    fn read(line: &[u8]) -> Result<Self, serde_json::Error> {
        let RecordLine {
            key,
            headers,
            timestamp,
            value,
        } = serde_json::from_slice(line)?;
        let value = value.get();
        Ok(Self {
            key: key.map(|JsonBytes(key)| key),
            value: (value != "null").then(|| value.as_bytes().to_vec()),
            headers,
            timestamp: timestamp.map_or(Timestamp::NONE, Timestamp),
        })
    }

    pub(super) fn headers(&self) -> impl Iterator<Item = Header<'_>> {
        self.headers.iter().map(|(name, value)| {
            let value = value.as_ref().map(|JsonBytes(value)| &value[..]);
            Header {
                name: name.as_bytes(),
                value,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<InputRecord, String> {
        InputRecord::read(line.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_record_has_all_that_kafka_keeps() {
        let line = r#"{"key":{"base64":"/w=="},"headers":[["a","1"],["a",null]],"timestamp":5,"value": {"id":1.10} }"#;
        let given = read(line).expect("a record");
        assert_eq!(given.key.as_deref(), Some(&b"\xff"[..]));
        assert_eq!(given.value.as_deref(), Some(&br#"{"id":1.10}"#[..]));
        assert_eq!(given.timestamp, Timestamp(5));
        let headers: Vec<_> = given.headers().collect();
        let header = |value| Header { name: b"a", value };
        assert_eq!(headers, [header(Some(&b"1"[..])), header(None)]);

        let tombstone = read(r#"{"key":"k","value":null}"#).expect("a record");
        assert_eq!(
            (tombstone.value, tombstone.timestamp),
            (None, Timestamp::NONE)
        );
    }

    #[test]
    fn what_is_no_record_is_refused_with_the_reason() {
        for (line, reason) in [
            (r#"{"key":"k"}"#, "missing field `value`"),
            (r#"{"value":{},"kye":1}"#, "unknown field `kye`"),
            (r#"{"value":{},"key":1}"#, "expected a string or"),
            (r#"{"value":{},"key":{"base64":"?"}}"#, "Invalid symbol"),
            ("[]", "a record such as"),
        ] {
            let error = read(line).err().expect("refused");
            assert!(error.contains(reason), "{line}: {error}");
        }
    }
}
