//! How a run went, told to people on stderr.

use std::{collections::BTreeMap, process::ExitCode};

use super::output::word;
use crate::{event::Outcome, pipeline::RecordEnd, telemetry::capture::HandlerLine};

/// So many failures are told one by one.
const TOLD: usize = 10;

/// How the lines ended so far.
#[derive(Default)]
pub(super) struct Report {
    ends: BTreeMap<&'static str, usize>,
    failures: usize,
}

impl Report {
    /// Counts a line, and tells why it failed if it did.
    pub(super) fn count(&mut self, line: usize, end: RecordEnd, why: Option<&str>) {
        *self.ends.entry(word(end)).or_default() += 1;
        let is_answered = !matches!(
            end,
            RecordEnd::Failed | RecordEnd::Unreadable | RecordEnd::Answered(Outcome::Retry)
        );
        if is_answered {
            return;
        }
        self.failures += 1;
        if self.failures <= TOLD {
            eprintln!(
                "error: line {line}: {}: {}",
                word(end),
                why.unwrap_or_default()
            );
        }
    }

    /// Sums up; the answer is the code to exit with.
    pub(super) fn finish(self) -> ExitCode {
        if self.failures > TOLD {
            eprintln!("error: and {} more", self.failures - TOLD);
        }
        let lines: usize = self.ends.values().sum();
        let ends = self
            .ends
            .iter()
            .map(|(word, count)| format!("{count} {word}"));
        let ends: Vec<_> = ends.collect();
        match &ends[..] {
            [] => eprintln!("no lines"),
            [one] if lines == 1 => eprintln!("1 line: {one}"),
            ends => eprintln!("{lines} lines: {}", ends.join(", ")),
        }
        match self.failures {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::FAILURE,
        }
    }
}

/// A line that belongs to no Evento.
pub(super) fn remark(line: &HandlerLine) {
    eprintln!(
        "log: {}: {}",
        line.level.as_str().to_ascii_lowercase(),
        line.message
    );
}
