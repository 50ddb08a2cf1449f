//! The figures of all runs, as tables.

use anyhow::Result;
use eventos_testkit::measure::report::{Report, Table};
use serde_json::{Value, json};

use crate::{contestants::Contestant, measure::Outcome};

/// What the race shows of each contestant.
const COLUMNS: [&str; 4] = [
    "us of CPU an event, whole process",
    "us of CPU, after the first third",
    "thousand a second",
    "bytes of memory an event",
];

/// The indexes of the columns that are compared.
const WHOLE: usize = 0;
const RATE: usize = 2;
const MEMORY: usize = 3;

/// What is compared: the title, the column, and the contestants whose figures are divided.
const RATIOS: [(&str, usize, &str, &str); 8] = [
    (
        "stored: CPU, Kafka Streams / eventos",
        WHOLE,
        "kafka-streams-stored",
        "eventos-stored",
    ),
    (
        "stored: memory, Kafka Streams / eventos",
        MEMORY,
        "kafka-streams-stored",
        "eventos-stored",
    ),
    (
        "stored: CPU, eventos / bare batch call",
        WHOLE,
        "eventos-stored",
        "bare-batch",
    ),
    (
        "sent on: rate, eventos / Kafka Streams",
        RATE,
        "eventos-sent",
        "kafka-streams-sent",
    ),
    (
        "sent on: rate, eventos / bare loop",
        RATE,
        "eventos-sent",
        "bare-sent",
    ),
    (
        "sent on, exactly once: rate, eventos / Kafka Streams",
        RATE,
        "eventos-sent-exactly-once",
        "kafka-streams-sent-exactly-once",
    ),
    (
        "stored, exactly once: rate, eventos / Kafka Streams",
        RATE,
        "eventos-stored-exactly-once",
        "kafka-streams-stored-exactly-once",
    ),
    (
        "stored: rate, exactly once / at least once, eventos",
        RATE,
        "eventos-stored-exactly-once",
        "eventos-stored",
    ),
];

pub(crate) struct Results {
    report: Report,
    rows: Vec<Row>,
}

/// The rounds of one contestant.
struct Row {
    name: &'static str,
    stores: bool,
    settings: Option<String>,
    error: Option<String>,
    /// The figures of each column, one per round.
    columns: [Vec<f64>; 4],
}

impl Results {
    /// Prints the head of the report.
    pub(crate) fn new(settings: &str, contestants: &[&Contestant]) -> Self {
        let rows = contestants.iter().map(|contestant| Row {
            name: contestant.name,
            stores: contestant.program.stores(),
            settings: None,
            error: None,
            columns: [const { Vec::new() }; 4],
        });
        Self {
            report: Report::new("race", settings),
            rows: rows.collect(),
        }
    }

    /// Returns whether the contestant failed in an earlier round.
    pub(crate) fn has_failed(&self, contestant: &Contestant) -> bool {
        self.row(contestant.name)
            .is_some_and(|row| row.error.is_some())
    }

    /// Adds a run, and prints its figures to standard error.
    pub(crate) fn add(&mut self, contestant: &Contestant, round: u64, outcome: Result<Outcome>) {
        let row = self.rows.iter_mut().find(|row| row.name == contestant.name);
        let row = row.expect("every contestant has a row");
        match outcome {
            Ok(outcome) => {
                let Outcome {
                    whole,
                    warm,
                    rate,
                    memory,
                    ..
                } = outcome;
                eprintln!(
                    "round {round}: {:34} {whole:6.2} us, warm {warm:6.2}, {rate:7.1} thousand/s, {memory:5.0} bytes",
                    row.name
                );
                let figures = [
                    Some(whole),
                    Some(warm),
                    Some(rate),
                    row.stores.then_some(memory),
                ];
                for (column, figure) in row.columns.iter_mut().zip(figures) {
                    column.extend(figure);
                }
                row.settings = Some(outcome.settings);
            }
            Err(error) => {
                eprintln!("round {round}: {:34} failed: {error:#}", row.name);
                row.error = Some(format!("{error:#}"));
            }
        }
    }

    /// Prints the tables, writes the JSON, and returns the number of contestants that failed.
    pub(crate) fn finish(mut self) -> usize {
        let mut table = Table::new("Contestants", &COLUMNS);
        for row in &self.rows {
            let name = match &row.error {
                Some(error) => format!("{}, ERROR: {error}", row.name),
                None => row.name.to_owned(),
            };
            table.row(&name, row.columns.to_vec());
        }
        self.report.add(&table);
        let mut ratios = Table::new("Compared, round by round", &["ratio"]);
        for (title, column, of, to) in RATIOS {
            if let Some(figures) = self.ratios(column, of, to) {
                ratios.row(title, vec![figures]);
            }
        }
        self.report.add(&ratios);
        println!("\n## What each ran with\n");
        for row in &self.rows {
            let settings = row.settings.as_deref().or(row.error.as_deref());
            println!("- {}: {}", row.name, settings.unwrap_or("it did not run"));
        }
        let failed = self.rows.iter().filter(|row| row.error.is_some()).count();
        self.report
            .note("contestants", self.rows.iter().map(Row::json).collect());
        self.report.write();
        failed
    }

    fn row(&self, name: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.name == name)
    }

    /// Divides the figures of two contestants round by round, if both have run.
    fn ratios(&self, column: usize, of: &str, to: &str) -> Option<Vec<f64>> {
        let [of, to] = [of, to].map(|name| Some(&self.row(name)?.columns[column]));
        let (of, to) = (of?, to?);
        let ratios: Vec<f64> = of.iter().zip(to).map(|(of, to)| of / to).collect();
        (!ratios.is_empty()).then_some(ratios)
    }
}

impl Row {
    fn json(&self) -> Value {
        // In the order of the rounds, which the tables do not keep.
        json!({
            "name": self.name,
            "settings": self.settings,
            "error": self.error,
            "figures": COLUMNS.iter().zip(&self.columns).map(|(name, figures)| {
                ((*name).to_owned(), json!(figures))
            }).collect::<serde_json::Map<_, _>>(),
        })
    }
}
