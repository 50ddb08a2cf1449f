//! Redriving dead letters: their records are produced again to the partitions that they came from, with their original
//! key, value, headers and timestamp, and with further headers that hold the history of their failures.
//!
//! The report of a redrive is written by the daemon and read by the command line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{LetterPage, LetterQuery, LetterSelection, RecordPosition};
use crate::{
    event::{Header, Letter, Offset, Partition, RecordRef, Records},
    kafka::{Delivery, ProduceError, Producer},
};

/// The result of a redrive. `L` is the report of a letter.
#[derive(Debug, Serialize, Deserialize)]
pub struct RedriveReport<L> {
    /// Whether this was a dry run, in which nothing was produced.
    pub dry_run: bool,
    /// Number of letters that were redriven, or would be in a dry run.
    pub redriven: u64,
    /// Number of letters that were skipped.
    pub skipped: u64,
    /// Number of letters whose record the broker did not acknowledge.
    pub failed: u64,
    /// One report per letter.
    pub letters: Vec<L>,
    /// Whether further letters are selected. They are requested with the parameters `after` and `before`.
    pub more: bool,
    /// Parameter `after` of the next request.
    pub after: String,
    /// Parameter `before` of the next request.
    pub before: String,
}

/// The result of a redrive for one letter. `P` is the type of a problem.
#[derive(Debug, Serialize, Deserialize)]
pub struct LetterReport<P> {
    /// Position of the letter.
    #[serde(flatten)]
    pub letter: RecordPosition,
    /// What was done.
    #[serde(flatten)]
    pub outcome: RedriveOutcome<P>,
}

/// What a redrive did with a letter, or would do in a dry run.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum RedriveOutcome<P> {
    /// The record was produced again.
    Redriven {
        /// The new position of the record.
        to: RecordPosition,
    },
    /// A dry run: the record would be produced again.
    WouldBeRedriven {
        /// Partition that it would be produced to.
        to_partition: Partition,
    },
    /// The record cannot be produced again, or need not be.
    Skipped {
        /// The reason.
        why: String,
    },
    /// The broker did not acknowledge the record.
    Failed {
        /// The problem.
        problem: P,
    },
}

impl<P> RedriveReport<LetterReport<P>> {
    pub(super) fn new(dry_run: bool, letters: Vec<LetterReport<P>>, page: &LetterPage) -> Self {
        let count = |is: fn(&RedriveOutcome<P>) -> bool| {
            letters.iter().filter(|it| is(&it.outcome)).count() as u64
        };
        let skipped = count(|outcome| matches!(outcome, RedriveOutcome::Skipped { .. }));
        let failed = count(|outcome| matches!(outcome, RedriveOutcome::Failed { .. }));
        Self {
            dry_run,
            redriven: letters.len() as u64 - skipped - failed,
            skipped,
            failed,
            letters,
            more: page.more,
            after: page.next.to_string(),
            before: page.end.to_string(),
        }
    }

    /// Converts the problems.
    pub fn map_problems<Q>(
        self,
        mut convert: impl FnMut(P) -> Q,
    ) -> RedriveReport<LetterReport<Q>> {
        let letters = self.letters.into_iter().map(|report| LetterReport {
            letter: report.letter,
            outcome: report.outcome.map_problem(&mut convert),
        });
        RedriveReport {
            dry_run: self.dry_run,
            redriven: self.redriven,
            skipped: self.skipped,
            failed: self.failed,
            letters: letters.collect(),
            more: self.more,
            after: self.after,
            before: self.before,
        }
    }
}

impl<P> RedriveOutcome<P> {
    fn skipped(why: impl Into<String>) -> Self {
        let why = why.into();
        Self::Skipped { why }
    }

    fn map_problem<Q>(self, convert: impl FnOnce(P) -> Q) -> RedriveOutcome<Q> {
        match self {
            Self::Redriven { to } => RedriveOutcome::Redriven { to },
            Self::WouldBeRedriven { to_partition } => {
                RedriveOutcome::WouldBeRedriven { to_partition }
            }
            Self::Skipped { why } => RedriveOutcome::Skipped { why },
            Self::Failed { problem } => RedriveOutcome::Failed {
                problem: convert(problem),
            },
        }
    }
}

/// What to do with a letter.
enum Plan {
    Produce(Partition),
    Skip(String),
}

/// Redrives the letters of a page with this producer, in the order of the records that they came from, and waits for
/// the acknowledgements. A record that has several letters on the page is produced once. A dry run produces nothing.
///
/// Returns one report per letter, and one per position of `query` without a letter, in the order of positions.
pub(super) async fn redrive(
    producer: &Producer,
    query: &LetterQuery,
    page: &LetterPage,
    dry_run: bool,
) -> Vec<LetterReport<ProduceError>> {
    let mut reports = missing(query, page);
    let mut in_flight = Vec::new();
    for (i, plan) in plans(producer.topic(), page) {
        let letter = page.positions[i];
        let outcome = match plan {
            Plan::Skip(why) => RedriveOutcome::Skipped { why },
            Plan::Produce(to_partition) if dry_run => {
                RedriveOutcome::WouldBeRedriven { to_partition }
            }
            Plan::Produce(partition) => {
                let delivery = enqueue(producer, partition, page.records.get(i));
                in_flight.push((letter, delivery));
                continue;
            }
        };
        reports.push(LetterReport { letter, outcome });
    }
    for (letter, delivery) in in_flight {
        let delivered = match delivery {
            Ok(delivery) => delivery.await,
            Err(error) => Err(error),
        };
        let outcome = match delivered {
            Ok(to) => RedriveOutcome::Redriven {
                to: RecordPosition {
                    partition: to.partition,
                    offset: to.offset,
                },
            },
            Err(problem) => RedriveOutcome::Failed { problem },
        };
        reports.push(LetterReport { letter, outcome });
    }
    reports.sort_by_key(|report| report.letter);
    reports
}

/// Decides what to do with each letter of a page, by its index. Those to produce are in the order of the records that
/// they came from.
fn plans(topic: &str, page: &LetterPage) -> Vec<(usize, Plan)> {
    let mut plans = Vec::with_capacity(page.positions.len());
    let mut sources: BTreeMap<(Partition, Offset), usize> = BTreeMap::new();
    for i in 0..page.positions.len() {
        match source(topic, page.records.get(i)) {
            Err(why) => plans.push((i, Plan::Skip(why))),
            Ok(source) => match sources.get(&source) {
                None => {
                    sources.insert(source, i);
                }
                Some(&first) => {
                    let why = format!("the same record as the letter {}", page.positions[first]);
                    plans.push((i, Plan::Skip(why)));
                }
            },
        }
    }
    let each = sources.into_iter();
    plans.extend(each.map(|((partition, _), i)| (i, Plan::Produce(partition))));
    plans
}

/// Returns the partition and offset of the record that a letter came from, or the reason why it cannot be produced
/// again to `topic`.
fn source(topic: &str, letter: RecordRef<'_>) -> Result<(Partition, Offset), String> {
    const NOT_A_LETTER: &str = "not a dead letter: it does not say which record it is from";
    let failure = Letter::read(letter.headers).failure.ok_or(NOT_A_LETTER)?;
    let (Some(partition), Some(offset)) = (failure.partition, failure.offset) else {
        return Err(NOT_A_LETTER.to_owned());
    };
    if failure.topic != topic {
        return Err(format!(
            "its record is from the topic {}, but this daemon consumes {topic}",
            failure.topic
        ));
    }
    match failure.left_out {
        None => Ok((partition, offset)),
        Some(parts) => Err(format!(
            "the letter lacks the {parts} of its record; replay the record instead: topic {topic}, \
             partition {partition}, offset {offset}"
        )),
    }
}

fn enqueue(
    producer: &Producer,
    partition: Partition,
    record: RecordRef<'_>,
) -> Result<Delivery, ProduceError> {
    let letter = Letter::read(record.headers);
    let history = letter.history_headers();
    let history = history.iter().map(|(name, text)| Header {
        name: name.as_bytes(),
        value: Some(text.as_bytes()),
    });
    let headers = letter.original.iter().copied().chain(history);
    let mut again = Records::default();
    again.push(
        record.key,
        record.value,
        headers,
        letter.timestamp(record.timestamp),
        record.flags,
    );
    producer.enqueue_into(partition, &again.get(0))
}

/// Reports the requested positions that the page covers and that hold no letter.
fn missing<P>(query: &LetterQuery, page: &LetterPage) -> Vec<LetterReport<P>> {
    let LetterSelection::At(positions) = &query.selection else {
        return Vec::new();
    };
    let is_on_later_page =
        |at: &RecordPosition| page.more && page.positions.last().is_none_or(|last| last < at);
    let was_read =
        |at: &RecordPosition| at.offset >= query.after.get(at.partition) && !is_on_later_page(at);
    let missing = positions.0.iter().copied();
    let missing = missing.filter(|at| was_read(at) && page.positions.binary_search(at).is_err());
    missing
        .map(|letter| LetterReport {
            letter,
            outcome: RedriveOutcome::skipped("there is no letter at this position"),
        })
        .collect()
}
