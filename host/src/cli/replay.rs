//! `eventos replay`: rewinds the group of a running daemon.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::client::{Query, Server};
use crate::replay::{PartitionReport, ReplayReport, ReplayStart, RewindOutcome};

/// Rewind the group, so that what was handled is handled again
///
/// Talks to a running daemon, any of the group. Each partition is rewound by the daemon that has it, between two of its
/// batches; the one that is asked tells the others. Whatever handlers do, they do again: they emit again, and dead letters
/// come again. What is stored is replaced, not doubled.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Replay {
    #[command(flatten)]
    server: Server,
    /// Where to begin: earliest, an offset, or a time as RFC 3339
    #[arg(long, value_name = "earliest|OFFSET|TIME", value_parser = start)]
    from: String,
    /// This partition alone
    #[arg(long, value_name = "P")]
    partition: Option<u32>,
    /// Rewind nothing, tell what would be rewound
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Exits with 1 if a partition could not be rewound, such as one whose daemon cannot be reached; the others are
rewound all the same. Once it can be, rewind it alone with --partition.

Examples:
  eventos replay --from earliest --dry-run
  eventos replay --from 2026-01-31T12:00:00Z
  eventos replay --from 42 --partition 0";

/// The text as it was given, if it is a start.
fn start(text: &str) -> Result<String, String> {
    let start = text.parse::<ReplayStart>();
    start
        .map(|_| text.to_owned())
        .map_err(|fault| fault.to_string())
}

impl Replay {
    /// Rewinds, and tells what became of each partition.
    ///
    /// # Errors
    /// If no daemon answers, it refuses, or not every partition could be rewound.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let mut query: Query = vec![("from", self.from)];
        query.extend(self.partition.map(|it| ("partition", it.to_string())));
        query.extend(self.dry_run.then(|| ("dry_run", true.to_string())));
        let report: ReplayReport = client.post("/replay", &query)?;
        for partition in &report.partitions {
            println!("{}", line(partition));
        }
        let would = if self.dry_run { "would be " } else { "are " };
        println!("{} records {would}handled again", report.records);
        if report.partial {
            bail!(
                "not every partition was rewound; once the others can be, rewind each of them with --partition"
            );
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn line(report: &PartitionReport) -> String {
    let PartitionReport {
        partition,
        records,
        outcome,
    } = report;
    let what = match outcome {
        RewindOutcome::Rewound { from, to } => {
            format!("rewound from {from} to {to}, {records} records")
        }
        RewindOutcome::WouldBeRewound { from, to } => {
            format!("would be rewound from {from} to {to}, {records} records")
        }
        RewindOutcome::Unchanged { from, .. } => format!("unchanged, at {from}"),
        RewindOutcome::Elsewhere { why } => format!("elsewhere: {why}"),
        RewindOutcome::Failed { why } => format!("failed: {why}"),
    };
    format!("partition {partition}: {what}")
}
