//! The selection of dead letters in the query of a request.

use serde::{Deserialize, Deserializer};

use crate::{
    dead_letters::{LetterCursor, LetterFilter, LetterQuery, LetterSelection, RecordPositions},
    event::{Offset, Partition, Timestamp},
    http::{
        problem::Problem,
        query::{from_text, invalid, offset, parsed, partition, switch, time},
    },
};

/// Letters in a page of a listing, unless the query sets a limit.
const DEFAULT_LIMIT: usize = 100;

/// The largest limit; also how many letters one redrive takes, unless the query sets a limit.
const MAX_LIMIT: usize = 1_000;

/// The parameters that describe letters, as refusals name them.
const FILTERS: &str =
    "handler, class, topic, partition, from_offset, to_offset, since, until or id";

/// What the letters are selected for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    List,
    Redrive,
}

/// The query of `GET /dead-letters` and of `POST /dead-letters/redrive`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SelectionQuery {
    handler: Option<String>,
    class: Option<String>,
    topic: Option<String>,
    #[serde(deserialize_with = "partition")]
    partition: Option<Partition>,
    #[serde(deserialize_with = "offset")]
    from_offset: Option<Offset>,
    #[serde(deserialize_with = "offset")]
    to_offset: Option<Offset>,
    #[serde(deserialize_with = "time")]
    since: Option<Timestamp>,
    #[serde(deserialize_with = "time")]
    until: Option<Timestamp>,
    id: Option<String>,
    #[serde(deserialize_with = "from_text")]
    positions: Option<RecordPositions>,
    #[serde(deserialize_with = "limit")]
    limit: Option<usize>,
    #[serde(deserialize_with = "from_text")]
    after: Option<LetterCursor>,
    #[serde(deserialize_with = "from_text")]
    before: Option<LetterCursor>,
    #[serde(deserialize_with = "given_switch")]
    all: Option<bool>,
    #[serde(deserialize_with = "given_switch")]
    dry_run: Option<bool>,
}

impl SelectionQuery {
    /// Whether the request is a dry run.
    pub(super) fn dry_run(&self) -> bool {
        self.dry_run.unwrap_or_default()
    }

    /// Returns the query for the letters.
    ///
    /// # Errors
    /// If parameters contradict each other or do not fit the purpose, or a redrive selects nothing.
    pub(super) fn into_letter_query(self, purpose: Purpose) -> Result<LetterQuery, Problem> {
        let filter = LetterFilter {
            handler: self.handler,
            class: self.class,
            topic: self.topic,
            partition: self.partition,
            from_offset: self.from_offset,
            to_offset: self.to_offset,
            since: self.since,
            until: self.until,
            id: self.id,
        };
        let is_filtered = filter != LetterFilter::default();
        let all = self.all.unwrap_or_default();
        if purpose == Purpose::List && (self.all.is_some() || self.dry_run.is_some()) {
            return Err(invalid(
                "query parameters all and dry_run are only for POST /dead-letters/redrive",
            ));
        }
        let selection = match self.positions {
            Some(_) if is_filtered || all => {
                return Err(invalid(format_args!(
                    "query parameter positions cannot be combined with {FILTERS}, or with all"
                )));
            }
            Some(positions) => LetterSelection::At(positions),
            None if purpose == Purpose::Redrive && !is_filtered && !all => {
                return Err(invalid(format_args!(
                    "the query selects no letters: give positions, {FILTERS}; all=true (--all) selects every letter"
                )));
            }
            None => LetterSelection::Matching(filter),
        };
        Ok(LetterQuery {
            selection,
            after: self.after.unwrap_or_default(),
            before: self.before,
            limit: self.limit.unwrap_or(match purpose {
                Purpose::List => DEFAULT_LIMIT,
                Purpose::Redrive => MAX_LIMIT,
            }),
        })
    }
}

fn limit<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    let expected = format!("a number from 1 to {MAX_LIMIT}");
    parsed(deserializer, &expected, |text| {
        let limit = text.parse().ok();
        limit.filter(|limit| (1..=MAX_LIMIT).contains(limit))
    })
    .map(Some)
}

fn given_switch<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
    switch(deserializer).map(Some)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::query;

    #[test]
    fn letters_are_described_or_named_but_not_both() {
        for (query, lists, redrives) in [
            ("", true, false),
            ("limit=1", true, false),
            (
                "handler=h&since=2026-01-31T12:00:00Z&until=1&limit=1000",
                true,
                true,
            ),
            (
                "partition=0&from_offset=1&to_offset=2&topic=t&class=c&id=7&after=0:1",
                true,
                true,
            ),
            ("positions=0:1,0:2&limit=1&after=0:1", true, true),
            ("all=true", false, true),
            ("all=false", false, false),
            ("all=true&dry_run=true", false, true),
            ("all=true&positions=0:1", false, false),
            ("positions=0:1&handler=h", false, false),
            ("positions=0", false, false),
            ("handler=h&limit=0", false, false),
            ("handler=h&limit=1001", false, false),
            ("handler=h&after=x", false, false),
            ("since=yesterday", false, false),
            ("partition=one", false, false),
            ("all=yes", false, false),
        ] {
            for (purpose, is_taken) in [(Purpose::List, lists), (Purpose::Redrive, redrives)] {
                let uri = format!("/dead-letters?{query}").parse().expect("a URI");
                let read = query::read::<SelectionQuery>(&uri);
                let read = read.and_then(|query| query.into_letter_query(purpose));
                assert_eq!(read.is_ok(), is_taken, "{query} {purpose:?}: {read:?}");
            }
        }
    }
}
