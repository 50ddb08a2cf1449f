//! `eventos replay`: rewinds the consumer group of a running daemon.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;

use super::client::{Query, Server};
use crate::replay::{PartitionReport, ReplayReport, ReplayStart, RewindOutcome};

/// Rewind the consumer group, so that records are processed again
///
/// Sends the request to any running daemon of the group, which forwards it to the others. Each partition is rewound by
/// the daemon that owns it, between two batches. Handlers process the records again: they emit again, and failures
/// produce dead letters again. Stored Eventos are replaced, not duplicated.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Replay {
    #[command(flatten)]
    server: Server,
    /// Position to rewind to: earliest, an offset, or a time (RFC 3339)
    #[arg(long, value_name = "earliest|OFFSET|TIME", value_parser = start)]
    from: String,
    /// Rewind only this partition
    #[arg(long, value_name = "P")]
    partition: Option<u32>,
    /// Show what would be rewound, without doing it
    #[arg(long)]
    dry_run: bool,
}

const EXAMPLES: &str = "\
Exits with 1 if a partition could not be rewound, for example because its daemon cannot be reached. The other partitions
are rewound nevertheless. Rewind the missing one later with --partition.

Examples:
  eventos replay --from earliest --dry-run
  eventos replay --from 2026-01-31T12:00:00Z
  eventos replay --from 42 --partition 0";

/// Validates a start, and returns its text.
fn start(text: &str) -> Result<String, String> {
    let start = text.parse::<ReplayStart>();
    start
        .map(|_| text.to_owned())
        .map_err(|error| error.to_string())
}

impl Replay {
    /// Rewinds, and prints the result of each partition.
    ///
    /// # Errors
    /// If no daemon can be reached, it refuses the request, or a partition could not be rewound.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let mut query: Query = vec![("from", self.from)];
        query.extend(self.partition.map(|it| ("partition", it.to_string())));
        query.extend(self.dry_run.then(|| ("dry_run", true.to_string())));
        let report: ReplayReport = client.post("/replay", &query)?;
        for partition in &report.partitions {
            println!("{}", line(partition));
        }
        let would = if self.dry_run {
            "would be "
        } else {
            "will be "
        };
        println!("{} records {would}processed again", report.records);
        if report.partial {
            bail!(
                "some partitions were not rewound, for the reasons above; rewind them later, each with --partition"
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
