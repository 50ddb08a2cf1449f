//! `eventos dead-letters redrive`: redrives the records of dead letters, one page per request.

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
    selection::{SelectionArgs, page},
};
use crate::dead_letters::{LetterReport, RedriveOutcome, RedriveReport};

/// Send the records of dead letters back to the partitions that they came from
///
/// The records keep their key, value, headers and timestamp. Additional headers contain the history of their failures
/// (eventos.redriven, eventos.history.N.*). The letters stay in the dead-letter topic: redriving them again sends their
/// records again.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Redrive {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Select all letters
    #[arg(long)]
    all: bool,
    /// Show what would be sent, without sending it
    #[arg(long)]
    dry_run: bool,
    /// Print each letter as a JSON object: partition, offset, status, and to, why or problem
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Letters that arrive during the run are left out. If a record has several letters close together, it is sent once. Exits
with 1 if the broker does not accept a record.

Examples:
  eventos dead-letters redrive --handler alerts --dry-run
  eventos dead-letters redrive --handler alerts --since 2026-01-31T12:00:00Z
  eventos dead-letters redrive --at 0:42 --at 1:17
  eventos dead-letters redrive --all --limit 10";

/// The member of a problem (RFC 9457) that is shown.
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
        let mut remaining = self.selection.limit.unwrap_or(u64::MAX);
        let mut after = self.selection.after.clone();
        let mut counts = Counts::default();
        let mut is_read_still = true;
        loop {
            let query = page(&base, remaining, after.as_deref());
            let answer: RedriveReport<Box<RawValue>> =
                client.post("/dead-letters/redrive", &query)?;
            counts.redriven += answer.redriven;
            counts.skipped += answer.skipped;
            counts.failed += answer.failed;
            is_read_still = is_read_still && is_read(self.print(&answer.letters))?;
            remaining = remaining.saturating_sub(answer.letters.len() as u64);
            if !answer.more || answer.failed > 0 || remaining == 0 {
                break;
            }
            // Keep the end of the first page, so that records that fail again are not redriven again.
            base.retain(|(name, _)| *name != "before");
            base.push(("before", answer.before));
            after = Some(answer.after);
        }
        self.print_summary(&counts)
    }

    fn query(&self) -> Query {
        let mut query = self.selection.query();
        let switches = [("all", self.all), ("dry_run", self.dry_run)];
        let on = switches.into_iter().filter(|(_, on)| *on);
        query.extend(on.map(|(name, on)| (name, on.to_string())));
        query
    }

    fn print(&self, letters: &[Box<RawValue>]) -> io::Result<()> {
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

    fn print_summary(&self, counts: &Counts) -> anyhow::Result<ExitCode> {
        let Counts {
            redriven,
            skipped,
            failed,
        } = counts;
        let would = if self.dry_run { "would be " } else { "" };
        eprintln!("{redriven} {would}redriven, {skipped} skipped, {failed} failed");
        if *failed > 0 {
            bail!(
                "the broker did not accept every record; redrive the failed ones again, each with --at"
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}
