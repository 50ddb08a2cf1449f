//! The selection of dead letters in the query of a request.

use super::super::{
    problem::Problem,
    query::{Parameters, refused},
};
use crate::{
    dead_letters::{LetterCursor, LetterFilter, LetterQuery, LetterSelection, RecordPositions},
    event::{Offset, Partition},
};

/// Default and maximum number of letters that a request lists. A redrive has the maximum as its default.
const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1_000;

/// Parameters that filter letters.
const FILTERS: [&str; 9] = [
    "handler",
    "class",
    "topic",
    "partition",
    "from_offset",
    "to_offset",
    "since",
    "until",
    "id",
];

/// What the letters are selected for. A redrive of all letters has to be requested explicitly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    List,
    Redrive,
}

/// The parsed query of a request.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) query: LetterQuery,
    pub(super) parameters: Parameters,
}

impl Selection {
    pub(super) fn parse(query: Option<&str>, purpose: Purpose) -> Result<Self, Problem> {
        let (more, limit) = match purpose {
            Purpose::List => (
                &["positions", "limit", "after", "before"][..],
                DEFAULT_LIMIT,
            ),
            Purpose::Redrive => (
                &["positions", "limit", "after", "before", "all", "dry_run"][..],
                MAX_LIMIT,
            ),
        };
        let known = [&FILTERS[..], more].concat();
        let parameters = Parameters::parse(query, &known)?;
        let given = |name: &&str| parameters.get(name).is_some();
        let filter_name = FILTERS.iter().find(|name| given(name)).copied();
        let all = parameters.switch("all")?;
        let selection = match parameters
            .get("positions")
            .map(str::parse::<RecordPositions>)
        {
            Some(positions) => {
                if let Some(other) = filter_name.or(all.then_some("all")) {
                    return Err(refused(format!(
                        "{other} cannot be combined with positions"
                    )));
                }
                LetterSelection::At(
                    positions.map_err(|error| refused(format!("positions: {error}")))?,
                )
            }
            None if purpose == Purpose::Redrive && !all && filter_name.is_none() => {
                return Err(refused(format!(
                    "missing: select letters by positions or by {}; all=true (--all) selects all of them",
                    FILTERS.join(", ")
                )));
            }
            None => LetterSelection::Matching(filter(&parameters)?),
        };
        let query = LetterQuery {
            selection,
            after: cursor(&parameters, "after")?.unwrap_or_default(),
            before: cursor(&parameters, "before")?,
            limit: page_limit(&parameters)?.unwrap_or(limit),
        };
        Ok(Self { query, parameters })
    }
}

fn page_limit(parameters: &Parameters) -> Result<Option<usize>, Problem> {
    let what = format!("a number from 1 to {MAX_LIMIT}");
    let limit = parameters.parsed::<usize>("limit", &what)?;
    match limit {
        Some(limit) if !(1..=MAX_LIMIT).contains(&limit) => {
            Err(refused(format!("limit is {limit}, not {what}")))
        }
        limit => Ok(limit),
    }
}

fn cursor(parameters: &Parameters, name: &str) -> Result<Option<LetterCursor>, Problem> {
    let cursor = parameters.get(name).map(str::parse).transpose();
    cursor.map_err(|error| refused(format!("{name}: {error}")))
}

fn filter(parameters: &Parameters) -> Result<LetterFilter, Problem> {
    let text = |name| parameters.get(name).map(str::to_owned);
    let offset = |name| {
        parameters
            .parsed(name, "an offset")
            .map(|it| it.map(Offset))
    };
    let partition = parameters.parsed("partition", "the number of a partition")?;
    Ok(LetterFilter {
        handler: text("handler"),
        class: text("class"),
        topic: text("topic"),
        partition: partition.map(Partition),
        from_offset: offset("from_offset")?,
        to_offset: offset("to_offset")?,
        since: parameters.moment("since")?,
        until: parameters.moment("until")?,
        id: text("id"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
                let read = Selection::parse(Some(query), purpose);
                assert_eq!(read.is_ok(), is_taken, "{query} {purpose:?}: {read:?}");
            }
        }
    }
}
