//! Which partitions a response covers, and which it does not.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::page::ascii;
use crate::{
    event::Partitions,
    peers::{COVERED, MissingPartitions, Ownership},
};

/// The number of partitions of the topic.
const PARTITIONS: HeaderName = HeaderName::from_static("x-partitions");
/// The partitions that a partial response does not cover.
const MISSING: HeaderName = HeaderName::from_static("x-partitions-missing");
/// Why partitions are missing; one header per reason.
const REASON: HeaderName = HeaderName::from_static("x-missing-reason");

/// The length at which a reason is cut off: parts of it come from other members of the group.
const LONGEST_REASON: usize = 300;

/// The partitions that a response covers, and those that it misses.
#[derive(Clone, Debug)]
pub(super) struct Coverage {
    all: Option<Partitions>,
    covered: Partitions,
    missing: Vec<MissingPartitions>,
}

impl Coverage {
    /// Returns the coverage before any peer has been asked.
    pub(super) fn own(ownership: &Ownership) -> Self {
        let mut coverage = Self {
            all: ownership.all.clone(),
            covered: ownership.ours.clone(),
            missing: ownership.missing.clone(),
        };
        if !ownership.restoring.is_empty() {
            let reason = "their view is being restored on this instance; /readyz waits for it";
            coverage.miss(ownership.restoring.clone(), reason.to_owned());
        }
        coverage
    }

    /// Adds partitions that are covered.
    pub(super) fn cover(&mut self, partitions: &Partitions) {
        self.covered.add(partitions.iter());
    }

    /// Moves partitions from the covered to the missing ones.
    pub(super) fn miss(&mut self, partitions: Partitions, reason: String) {
        self.covered = self.covered.without(&partitions);
        self.missing.push(MissingPartitions { partitions, reason });
    }

    /// Returns the partitions that are known to be missing.
    pub(super) fn missing(&self) -> Partitions {
        let all = self.missing.iter();
        all.flat_map(|missing| missing.partitions.iter()).collect()
    }

    /// Returns a remark for the problem of a missing Evento, unless every partition was searched.
    pub(super) fn remark(&self) -> String {
        match self.missing.is_empty() {
            true => String::new(),
            false => format!("; partitions {} could not be searched", self.missing_text()),
        }
    }

    /// Adds the headers that describe the coverage.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(all) = &self.all {
            headers.insert(PARTITIONS, HeaderValue::from(all.iter().count()));
        }
        headers.insert(COVERED, ascii(&self.covered.to_string()));
        if self.missing.is_empty() {
            return;
        }
        headers.insert(MISSING, ascii(&self.missing_text()));
        for MissingPartitions { partitions, reason } in &self.missing {
            let reason = match partitions.is_empty() {
                true => reason.clone(),
                false => format!("{partitions}: {reason}"),
            };
            let plain = |c: char| if matches!(c, ' '..='~') { c } else { '?' };
            let reason: String = reason.chars().take(LONGEST_REASON).map(plain).collect();
            headers.append(REASON, ascii(&reason));
        }
    }

    fn missing_text(&self) -> String {
        let missing = self.missing();
        match missing.is_empty() {
            true => "unknown".to_owned(),
            false => missing.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(text: &str) -> Partitions {
        text.parse().expect(text)
    }

    fn headers(coverage: &Coverage) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        coverage.add_headers(&mut headers);
        let text = |value: &HeaderValue| value.to_str().expect("ASCII").to_owned();
        let mut sorted: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        sorted.sort();
        sorted
    }

    #[test]
    fn a_partial_answer_names_what_is_missing_and_why() {
        let mut coverage = Coverage::own(&Ownership {
            all: Some(partitions("0-7")),
            ours: partitions("0-1"),
            missing: vec![MissingPartitions {
                partitions: partitions("7"),
                reason: "\"é\" is\n in the group".to_owned(),
            }],
            ..Ownership::default()
        });
        coverage.cover(&partitions("2-5"));
        coverage.miss(partitions("4-6"), "x".repeat(1_000));
        let headers = headers(&coverage);
        let expected = [
            ("x-missing-reason", "4-6: xx"),
            ("x-missing-reason", "7: \"?\" is? in the group"),
            ("x-partitions", "8"),
            ("x-partitions-covered", "0-3"),
            ("x-partitions-missing", "4-7"),
        ];
        assert_eq!(headers.len(), expected.len(), "{headers:?}");
        for ((name, value), (expected, begins)) in headers.iter().zip(expected) {
            assert_eq!(name, expected);
            assert!(value.starts_with(begins) && value.len() <= 300, "{value}");
        }
        assert_eq!(coverage.remark(), "; partitions 4-7 could not be searched");
    }

    #[test]
    fn a_whole_answer_says_so_and_one_of_an_unknown_group_too() {
        let whole = Coverage::own(&Ownership {
            all: Some(partitions("0-3")),
            ours: partitions("0-3"),
            ..Ownership::default()
        });
        let expected = [("x-partitions", "4"), ("x-partitions-covered", "0-3")];
        assert_eq!(
            headers(&whole),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(whole.remark(), "");
        let unknown = Coverage::own(&Ownership {
            missing: vec![MissingPartitions {
                partitions: Partitions::default(),
                reason: "no broker".to_owned(),
            }],
            ..Ownership::default()
        });
        let expected = [
            ("x-missing-reason", "no broker"),
            ("x-partitions-covered", "-"),
            ("x-partitions-missing", "unknown"),
        ];
        assert_eq!(
            headers(&unknown),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
