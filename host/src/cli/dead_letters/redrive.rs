//! `eventos dead-letters redrive`: sends letters through again, page by page.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::bail;
use clap::Args;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::client::{Query, Server},
    is_read, plain,
    which::{Which, page},
};
use crate::dead_letters::{LetterReport, RedriveOutcome, RedriveReport};

/// Send dead letters through again: their records go back to the partitions that they are from
///
/// The records have their key, value, headers and timestamp, and tell in more headers how they failed before
/// (eventos.redriven, eventos.history.N.*). The letters stay where they are: to redrive them once more sends them once more.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Redrive {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    which: Which,
    /// Every letter there is
    #[arg(long)]
    all: bool,
    /// Send nothing, tell what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Print a JSON object a letter: partition, offset, status, and to, why or problem
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Letters that come while it runs are left out. Of a record that has several letters one is sent, if they are close together.
Exits with 1 if the broker did not take one.

Examples:
  eventos dead-letters redrive --handler alerts --dry-run
  eventos dead-letters redrive --handler alerts --since 2026-01-31T12:00:00Z
  eventos dead-letters redrive --at 0:42 --at 1:17
  eventos dead-letters redrive --all --limit 10";

/// A problem, as far as people are told.
#[derive(Deserialize)]
struct Problem {
    detail: String,
}

#[derive(Default)]
struct Counts {
    redriven: u64,
    skipped: u64,
    failed: u64,
}

impl Redrive {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let mut base = self.query();
        let mut left = self.which.limit.unwrap_or(u64::MAX);
        let mut after = self.which.after.clone();
        let mut counts = Counts::default();
        let mut is_heard = true;
        loop {
            let query = page(&base, left, after.as_deref());
            let answer: RedriveReport<Box<RawValue>> =
                client.post("/dead-letters/redrive", &query)?;
            counts.redriven += answer.redriven;
            counts.skipped += answer.skipped;
            counts.failed += answer.failed;
            is_heard = is_heard && is_read(self.tell(&answer.letters))?;
            left = left.saturating_sub(answer.letters.len() as u64);
            if !answer.more || answer.failed > 0 || left == 0 {
                break;
            }
            // What fails again meanwhile is not taken for one of those that were meant.
            base.retain(|(name, _)| *name != "before");
            base.push(("before", answer.before));
            after = Some(answer.after);
        }
        self.sum_up(&counts)
    }

    fn query(&self) -> Query {
        let mut query = self.which.query();
        let switches = [("all", self.all), ("dry_run", self.dry_run)];
        let on = switches.into_iter().filter(|(_, on)| *on);
        query.extend(on.map(|(name, on)| (name, on.to_string())));
        query
    }

    fn tell(&self, letters: &[Box<RawValue>]) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for letter in letters {
            if self.json {
                writeln!(out, "{letter}")?;
                continue;
            }
            let LetterReport { letter, outcome } =
                serde_json::from_str::<LetterReport<Problem>>(letter.get())?;
            match outcome {
                RedriveOutcome::Redriven { to } => writeln!(out, "{letter} redriven to {to}")?,
                RedriveOutcome::WouldBeRedriven { to_partition } => {
                    writeln!(
                        out,
                        "{letter} would be redriven to partition {to_partition}"
                    )?;
                }
                RedriveOutcome::Skipped { why } => {
                    writeln!(out, "{letter} skipped: {}", plain(&why))?
                }
                RedriveOutcome::Failed { problem } => {
                    writeln!(out, "{letter} failed: {}", problem.detail)?;
                }
            }
        }
        Ok(())
    }

    fn sum_up(&self, counts: &Counts) -> anyhow::Result<ExitCode> {
        let Counts {
            redriven,
            skipped,
            failed,
        } = counts;
        let would = if self.dry_run { "would be " } else { "" };
        eprintln!("{redriven} {would}redriven, {skipped} skipped, {failed} failed");
        if *failed > 0 {
            bail!(
                "the broker did not take every record; redrive those that failed again, each with --at"
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
