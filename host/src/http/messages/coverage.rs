//! Which partitions an answer is of, and which it is not.

use axum::http::{HeaderMap, HeaderName, HeaderValue};

use super::page::ascii;
use crate::{
    event::Partitions,
    peers::{COVERED, MissingPartitions, Ownership},
};

/// How many partitions the topic has.
const PARTITIONS: HeaderName = HeaderName::from_static("x-partitions");
/// Those that the answer does not cover; only there if it is partial.
const MISSING: HeaderName = HeaderName::from_static("x-partitions-missing");
/// Why not; one of them for each reason.
const REASON: HeaderName = HeaderName::from_static("x-missing-reason");

/// A reason is cut off there: a part of it was written by others.
const LONGEST_REASON: usize = 300;

/// What an answer covers.
#[derive(Clone, Debug)]
pub(super) struct Coverage {
    all: Option<Partitions>,
    covered: Partitions,
    missing: Vec<MissingPartitions>,
}

impl Coverage {
    /// That of an answer for which no peer was asked yet.
    pub(super) fn own(ownership: &Ownership) -> Self {
        let mut coverage = Self {
            all: ownership.all.clone(),
            covered: ownership.ours.clone(),
            missing: ownership.missing.clone(),
        };
        if !ownership.restoring.is_empty() {
            let reason = "the view of them is being restored here; /readyz waits for it";
            coverage.miss(ownership.restoring.clone(), reason.to_owned());
        }
        coverage
    }

    /// These are covered too.
    pub(super) fn cover(&mut self, partitions: &Partitions) {
        self.covered.add(partitions.iter());
    }

    /// These are not, or no longer.
    pub(super) fn miss(&mut self, partitions: Partitions, reason: String) {
        self.covered = self.covered.without(&partitions);
        self.missing.push(MissingPartitions { partitions, reason });
    }

    /// Those that are known not to be covered.
    pub(super) fn missing(&self) -> Partitions {
        let all = self.missing.iter();
        all.flat_map(|missing| missing.partitions.iter()).collect()
    }

    /// `; …` for a text that says that something is not there, unless all was looked through.
    pub(super) fn remark(&self) -> String {
        match self.missing.is_empty() {
            true => String::new(),
            false => format!("; partitions {} could not be asked", self.names()),
        }
    }

    /// Adds the headers.
    pub(super) fn tell(&self, headers: &mut HeaderMap) {
        if let Some(all) = &self.all {
            headers.insert(PARTITIONS, HeaderValue::from(all.iter().count()));
        }
        headers.insert(COVERED, ascii(&self.covered.to_string()));
        if self.missing.is_empty() {
            return;
        }
        headers.insert(MISSING, ascii(&self.names()));
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

    fn names(&self) -> String {
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

    fn told(coverage: &Coverage) -> Vec<(String, String)> {
        let mut headers = HeaderMap::new();
        coverage.tell(&mut headers);
        let text = |value: &HeaderValue| value.to_str().expect("ASCII").to_owned();
        let mut told: Vec<_> = headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        told.sort();
        told
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
        let told = told(&coverage);
        let expected = [
            ("x-missing-reason", "4-6: xx"),
            ("x-missing-reason", "7: \"?\" is? in the group"),
            ("x-partitions", "8"),
            ("x-partitions-covered", "0-3"),
            ("x-partitions-missing", "4-7"),
        ];
        assert_eq!(told.len(), expected.len(), "{told:?}");
        for ((name, value), (expected, begins)) in told.iter().zip(expected) {
            assert_eq!(name, expected);
            assert!(value.starts_with(begins) && value.len() <= 300, "{value}");
        }
        assert_eq!(coverage.remark(), "; partitions 4-7 could not be asked");
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
            told(&whole),
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
            told(&unknown),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }
}
