//! `eventos dead-letters list`: prints a table, or NDJSON for programs.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::Context;
use clap::Args;
use serde_json::value::RawValue;

use super::{
    super::client::{Answer, Server},
    is_read, plain,
    selection::{SelectionArgs, page},
};
use crate::{dead_letters::LetterView, http_client::header};

/// List dead letters, by partition and offset in the dead-letter topic
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct List {
    #[command(flatten)]
    server: Server,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Print each letter as a JSON object, with its value, headers and stack trace
    #[arg(long)]
    json: bool,
}

const EXAMPLES: &str = "\
Lists at most 100 letters, unless --limit is given. With --json, a letter has the members partition, offset, timestamp,
key, value, headers (of the record), reason (stage, class, message, stacktrace, attempts, handler, digest, topic,
partition, offset), redriven (how often its record was redriven) and history (the earlier failures).

Examples:
  eventos dead-letters list --limit 20
  eventos dead-letters list --class eventos.InvalidEvento --since 2026-01-31T12:00:00Z
  eventos dead-letters list --at 0:42 --json | jq -r .reason.stacktrace";

/// The number of letters without `--limit`.
const DEFAULT_LIMIT: u64 = 100;

const TITLES: [&str; 6] = [
    "LETTER", "SOURCE", "HANDLER", "CLASS", "REDRIVEN", "MESSAGE",
];

impl List {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let client = self.server.client()?;
        let base = self.selection.query();
        let mut remaining = self.selection.limit.unwrap_or(DEFAULT_LIMIT);
        let mut after = self.selection.after;
        let mut listed = 0;
        while remaining > 0 {
            let answer = client.get("/dead-letters", &page(&base, remaining, after.as_deref()))?;
            let more = answer.headers.contains_key(header::LINK);
            after = cursor(&answer);
            let text = answer.text;
            let letters: Vec<&RawValue> =
                serde_json::from_str(&text).with_context(|| client.unexpected_response())?;
            let written = match self.json {
                true => lines(&letters),
                false => {
                    let shown: Result<Vec<LetterView>, _> = serde_json::from_str(&text);
                    table(
                        &shown.with_context(|| client.unexpected_response())?,
                        listed == 0,
                    )
                }
            };
            if !is_read(written)? {
                return Ok(ExitCode::SUCCESS);
            }
            let count = letters.len() as u64;
            (listed, remaining) = (listed + count, remaining.saturating_sub(count));
            if !more {
                after = None;
                break;
            }
        }
        match (after, listed) {
            (Some(after), _) => eprintln!("{listed} listed; continue with --after {after}"),
            (None, 0) => eprintln!("no dead letters"),
            (None, _) => eprintln!("{listed} listed"),
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn cursor(answer: &Answer) -> Option<String> {
    let next = answer.headers.get("x-next-cursor")?;
    next.to_str().ok().map(str::to_owned)
}

fn lines(letters: &[&RawValue]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    letters
        .iter()
        .try_for_each(|letter| writeln!(out, "{letter}"))
}

fn table(letters: &[LetterView], with_titles: bool) -> io::Result<()> {
    let titles = with_titles.then(|| TITLES.map(str::to_owned));
    let rows: Vec<_> = titles
        .into_iter()
        .filter(|_| !letters.is_empty())
        .chain(letters.iter().map(row))
        .collect();
    let width = |column: usize| {
        let widths = rows.iter().map(|row| row[column].chars().count());
        widths.max().unwrap_or_default()
    };
    let widths: Vec<_> = (0..TITLES.len()).map(width).collect();
    let mut out = io::stdout().lock();
    for row in &rows {
        let mut line = String::new();
        for (text, width) in row.iter().zip(&widths) {
            line += &format!("{text:width$}  ");
        }
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

fn row(letter: &LetterView) -> [String; TITLES.len()] {
    let at = letter.position.to_string();
    let redriven = letter.redriven.to_string();
    let dash = || "-".to_owned();
    let Some(reason) = &letter.reason else {
        let none = "not a dead letter".to_owned();
        return [at, dash(), dash(), dash(), redriven, none];
    };
    let or_dash = |text: &Option<String>| text.as_deref().map_or_else(dash, plain);
    let place = |number: Option<i64>| number.map_or_else(dash, |it| it.to_string());
    let (partition, offset) = (
        place(reason.partition.map(|it| i64::from(it.0))),
        place(reason.offset.map(|it| it.0)),
    );
    [
        at,
        format!("{} {partition}:{offset}", plain(&reason.topic)),
        or_dash(&reason.handler),
        or_dash(&reason.class),
        redriven,
        or_dash(&reason.message),
    ]
}
