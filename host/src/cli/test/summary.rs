//! The summary of a run, printed to stderr.

use std::{collections::BTreeMap, process::ExitCode};

use super::output::outcome_name;
use crate::{event::Outcome, pipeline::RecordEnd, telemetry::capture::HandlerLine};

/// How many failures are printed one by one.
const MAX_PRINTED_FAILURES: usize = 10;

/// Counts the outcomes of the lines.
#[derive(Default)]
pub(super) struct Summary {
    outcomes: BTreeMap<&'static str, usize>,
    failures: usize,
}

impl Summary {
    /// Counts a line, and prints why it failed if it did.
    pub(super) fn count(&mut self, line: usize, end: RecordEnd, why: Option<&str>) {
        *self.outcomes.entry(outcome_name(end)).or_default() += 1;
        let has_failed = matches!(
            end,
            RecordEnd::Failed | RecordEnd::Unreadable | RecordEnd::Answered(Outcome::Retry)
        );
        if !has_failed {
            return;
        }
        self.failures += 1;
        if self.failures <= MAX_PRINTED_FAILURES {
            eprintln!(
                "error: line {line}: {}: {}",
                outcome_name(end),
                why.unwrap_or_default()
            );
        }
    }

    /// Prints the summary, and returns the exit code.
    pub(super) fn finish(self) -> ExitCode {
        if self.failures > MAX_PRINTED_FAILURES {
            let more = self.failures - MAX_PRINTED_FAILURES;
            eprintln!("error: {more} more lines failed");
        }
        let lines: usize = self.outcomes.values().sum();
        let outcomes = self
            .outcomes
            .iter()
            .map(|(name, count)| format!("{count} {name}"));
        let outcomes: Vec<_> = outcomes.collect();
        match &outcomes[..] {
            [] => eprintln!("no lines"),
            [one] if lines == 1 => eprintln!("1 line: {one}"),
            all => eprintln!("{lines} lines: {}", all.join(", ")),
        }
        match self.failures {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}

/// Prints a log line that belongs to no Evento.
pub(super) fn print_log_line(line: &HandlerLine) {
    eprintln!(
        "log: {}: {}",
        line.level.as_str().to_ascii_lowercase(),
        line.message
    );
}
