//! `eventos dead-letters`: lists and redrives the dead letters of a running daemon.

mod list;
mod redrive;
mod selection;

use std::{io, process::ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};

/// List dead letters, or redrive their records
///
/// Sends requests to a running daemon.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct DeadLetters {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Redrive(redrive::Redrive),
}

/// The length at which a text from a letter is cut off, in characters.
const MAX_MESSAGE: usize = 100;

const EXAMPLES: &str = "\
Examples:
  eventos dead-letters list --handler alerts
  eventos dead-letters redrive --handler alerts --dry-run
  eventos dead-letters redrive --handler alerts";

impl DeadLetters {
    /// Runs the command.
    ///
    /// # Errors
    /// If no daemon can be reached, or it refuses the request.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::List(list) => list.run(),
            Command::Redrive(redrive) => redrive.run(),
        }
    }
}

/// Returns whether the output is still being read: the reader may close the pipe, as `head` does.
fn is_read(written: io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot write to stdout"),
    }
}

/// Returns the start of a text on one line, without control characters that a terminal would interpret.
fn plain(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_MESSAGE)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(MAX_MESSAGE).is_some() {
        shown.push('…');
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_from_a_letter_is_one_short_line_without_commands_to_the_terminal() {
        assert_eq!(plain("a\nb\u{1b}[31mc"), "a b [31mc");
        let long = plain(&"é".repeat(MAX_MESSAGE + 1));
        assert_eq!(long.chars().count(), MAX_MESSAGE + 1);
        assert!(long.ends_with('…'));
    }
}
