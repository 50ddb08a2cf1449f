//! `eventos dead-letters`: what a running daemon has in its dead-letter topic, and sending it through again.

mod list;
mod redrive;
mod which;

use std::{io, process::ExitCode};

use anyhow::Context;
use clap::{Args, Subcommand};

/// Look into the dead-letter topic, or send letters through again
///
/// Talks to a running daemon.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DeadLetters {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    List(list::List),
    Redrive(redrive::Redrive),
}

/// A text from a letter is cut at so many characters.
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
    /// If no daemon answers, or it refuses.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::List(list) => list.run(),
            Command::Redrive(redrive) => redrive.run(),
        }
    }
}

/// Whoever reads may stop reading, as `head` does; answers whether it still reads.
fn is_read(written: io::Result<()>) -> anyhow::Result<bool> {
    match written {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => written.map(|()| true).context("cannot write to stdout"),
    }
}

/// On one line, short, and with nothing in it that a terminal would obey.
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
