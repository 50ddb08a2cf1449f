//! The record of a chain: which versions of which handlers ran last, and which are paused. It is a file, so whatever it says
//! is checked before it is used.

use std::{collections::BTreeSet, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};

use crate::plugin::{FileIdentity, HandlerFile, admission::MAX_SIGNATURE};

/// Format of the record.
const FORMAT: u32 = 1;

/// The chain of one drop-in folder in one group.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct ChainRecord {
    format: u32,
    /// The drop-in folder, for people.
    dir: String,
    /// The consumer group, for people.
    group: String,
    /// Whether the chain was complete at least once. Until then, no handler of the folder may be missing in it.
    pub is_complete: bool,
    /// In the order of the chain.
    pub handlers: Vec<HandlerRecord>,
}

/// A handler of the chain.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct HandlerRecord {
    /// The handler's name.
    pub name: String,
    /// The file name.
    pub file: String,
    /// The version that ran last, if one has run.
    pub current: Option<VersionRecord>,
    /// The version before it.
    pub previous: Option<VersionRecord>,
    /// Whether it is paused.
    pub paused: bool,
}

/// A file that ran as a handler.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
pub(super) struct VersionRecord {
    /// SHA-256 in hexadecimal.
    digest: String,
    /// The signature that lay beside it, in Base64.
    signature: Option<String>,
}

/// The reason why a record is not used.
#[derive(Debug, thiserror::Error)]
pub(super) enum RecordFault {
    /// It is not JSON of this shape.
    #[error("it is not a record of a chain")]
    Json(#[from] serde_json::Error),
    /// Another version of this program has written it.
    #[error("it has the format {0}, not {FORMAT}")]
    Format(u32),
    /// It has an entry that this program does not write.
    #[error("its entry for the handler {0:?} is invalid")]
    Handler(String),
}

impl ChainRecord {
    pub(super) fn new(
        dir: &Path,
        group: &str,
        is_complete: bool,
        handlers: Vec<HandlerRecord>,
    ) -> Self {
        Self {
            format: FORMAT,
            dir: dir.display().to_string(),
            group: group.to_owned(),
            is_complete,
            handlers,
        }
    }

    /// Reads a record from a file with these contents.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, RecordFault> {
        let record: Self = serde_json::from_slice(bytes)?;
        if record.format != FORMAT {
            return Err(RecordFault::Format(record.format));
        }
        let mut names = BTreeSet::new();
        for handler in &record.handlers {
            if !handler.is_valid() || !names.insert(&handler.name) {
                return Err(RecordFault::Handler(handler.name.clone()));
            }
        }
        Ok(record)
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).expect("a record has only texts and truth values")
    }

    /// Returns the digest of every version in the record.
    pub(super) fn digests(&self) -> BTreeSet<&str> {
        let versions = self.handlers.iter();
        let versions = versions.flat_map(|handler| [&handler.current, &handler.previous]);
        let versions = versions.flatten();
        versions.map(|version| version.digest.as_str()).collect()
    }
}

impl HandlerRecord {
    fn is_valid(&self) -> bool {
        let path = Path::new(&self.file);
        let is_bare = path.file_name().is_some_and(|name| name == &*self.file);
        let versions = [&self.current, &self.previous].into_iter().flatten();
        is_bare
            && HandlerFile::at(path).name == self.name
            && versions.map(VersionRecord::identity).all(|it| it.is_some())
    }
}

impl VersionRecord {
    pub(super) fn new(identity: &FileIdentity) -> Self {
        let signature = identity.signature.as_ref();
        Self {
            digest: identity.digest.clone(),
            signature: signature.map(|bytes| BASE64_STANDARD.encode(bytes)),
        }
    }

    /// Returns what distinguishes the file, or `None` if the entry is invalid.
    pub(super) fn identity(&self) -> Option<FileIdentity> {
        let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let signature = self.signature.as_ref();
        let signature = signature.map(|text| BASE64_STANDARD.decode(text));
        let signature = signature.transpose().ok()?;
        let is_small = |bytes: &Vec<u8>| bytes.len() as u64 <= MAX_SIGNATURE;
        let is_valid = self.digest.len() == 64
            && self.digest.bytes().all(is_digit)
            && signature.as_ref().is_none_or(is_small);
        is_valid.then(|| FileIdentity {
            digest: self.digest.clone(),
            signature: signature.map(Into::into),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn version(digit: char, signature: Option<&[u8]>) -> VersionRecord {
        VersionRecord::new(&FileIdentity {
            digest: digit.to_string().repeat(64),
            signature: signature.map(Into::into),
        })
    }

    fn record() -> ChainRecord {
        let handlers = ["10-filter.wasm", "store.wasm"].map(|file| HandlerRecord {
            name: HandlerFile::at(Path::new(file)).name,
            file: file.to_owned(),
            current: Some(version('a', None)),
            previous: Some(version('b', Some(b"signed"))),
            paused: file == "store.wasm",
        });
        ChainRecord::new(Path::new("plugins"), "group", true, handlers.into())
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let record = record();
        let read = ChainRecord::parse(&record.to_bytes()).expect("valid");
        assert_eq!(read, record);
        assert_eq!(read.digests().len(), 2);
        let previous = read.handlers[0].previous.as_ref();
        let identity = previous.and_then(VersionRecord::identity);
        let signature = identity.expect("valid").signature;
        assert_eq!(signature.as_deref(), Some(&b"signed"[..]));
    }

    #[test]
    fn an_entry_that_names_another_file_or_digest_is_refused() {
        let change = |change: fn(&mut ChainRecord)| {
            let mut record = record();
            change(&mut record);
            ChainRecord::parse(&record.to_bytes()).expect_err("refused")
        };
        for refused in [
            change(|record| record.format = 2),
            change(|record| record.handlers[0].file = "../10-filter.wasm".to_owned()),
            change(|record| record.handlers[0].file = "/etc/10-filter.wasm".to_owned()),
            change(|record| record.handlers[0].file = "other.wasm".to_owned()),
            change(|record| record.handlers[0].file.clear()),
            change(|record| record.handlers[1] = record.handlers[0].clone()),
            change(|record| record.handlers[0].current = Some(version('g', None))),
            change(|record| record.handlers[0].current = Some(version('A', None))),
            change(|record| record.handlers[0].previous = Some(version('a', Some(&[0; 2_000])))),
            change(|record| {
                let digest = "../../../etc/passwd".to_owned();
                let signature = None;
                record.handlers[0].current = Some(VersionRecord { digest, signature });
            }),
        ] {
            let text = refused.to_string();
            assert!(text.starts_with("it"), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_contents_of_the_file_cause_a_panic(bytes: Vec<u8>, at: usize, with: u8) {
            let _ = ChainRecord::parse(&bytes);
            let mut damaged = record().to_bytes();
            let at = at % damaged.len();
            damaged[at] = with;
            if let Ok(read) = ChainRecord::parse(&damaged) {
                for digest in read.digests() {
                    prop_assert!(digest.bytes().all(|byte| byte.is_ascii_hexdigit()));
                }
            }
        }
    }
}
