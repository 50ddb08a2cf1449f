//! The result of a bench: tables in Markdown on standard output, and the same as JSON in `target/bench/NAME.json`.

use std::fs;

use serde_json::{Map, Value, json};

use crate::{
    measure::{Figures, machine},
    root,
};

/// The result of a bench. Each table is printed as soon as it is complete.
pub struct Report {
    name: String,
    head: Map<String, Value>,
    tables: Vec<Value>,
    notes: Map<String, Value>,
}

/// A table of figures: a row for each variant that was measured, a column for each figure.
pub struct Table {
    title: String,
    columns: Vec<String>,
    rows: Vec<(String, Vec<Figures>)>,
}

impl Report {
    /// Prints the head: the machine, the versions, and `settings`, such as the number of rounds.
    #[must_use]
    pub fn new(name: &str, settings: &str) -> Self {
        let mut head = machine::describe();
        head.insert("settings".to_owned(), settings.into());
        println!("# {name}\n");
        for (name, value) in &head {
            println!("- {name}: {}", value.as_str().unwrap_or_default());
        }
        println!("\nMedians of the rounds, in brackets the lowest and the highest.");
        Self {
            name: name.to_owned(),
            head,
            tables: Vec::new(),
            notes: Map::new(),
        }
    }

    /// Prints a table and keeps it.
    pub fn add(&mut self, table: &Table) {
        println!("\n## {}\n\n{}", table.title, table.markdown());
        self.tables.push(table.json());
    }

    /// Adds something to the JSON that the tables do not show.
    pub fn note(&mut self, name: &str, value: Value) {
        self.notes.insert(name.to_owned(), value);
    }

    /// Writes the JSON.
    pub fn write(self) {
        let path = root().join("target/bench");
        fs::create_dir_all(&path).expect("the folder is created");
        let path = path.join(format!("{}.json", self.name));
        let mut report = json!({"bench": self.name, "head": self.head, "tables": self.tables});
        for (name, value) in self.notes {
            report[name] = value;
        }
        let text = serde_json::to_string_pretty(&report).expect("JSON");
        fs::write(&path, text + "\n").expect("the report is written");
        let path = path.canonicalize().unwrap_or(path);
        println!(
            "\nThe same with the figures of each round: {}",
            path.display()
        );
    }
}

impl Table {
    /// Creates a table without rows. `columns` are the names of the figures, with their units.
    #[must_use]
    pub fn new(title: &str, columns: &[&str]) -> Self {
        Self {
            title: title.to_owned(),
            columns: columns.iter().map(|&column| column.to_owned()).collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, with the rounds of each column in the order of the columns.
    pub fn row(&mut self, name: &str, columns: Vec<Vec<f64>>) {
        assert_eq!(columns.len(), self.columns.len(), "{name}");
        let figures = columns.into_iter().map(Figures::new).collect();
        self.rows.push((name.to_owned(), figures));
    }

    fn markdown(&self) -> String {
        let line = |cells: Vec<String>| format!("| {} |", cells.join(" | "));
        let head = [String::new()].into_iter().chain(self.columns.clone());
        let mut lines = vec![
            line(head.collect()),
            format!("|{}", "---|".repeat(1 + self.columns.len())),
        ];
        for (name, figures) in &self.rows {
            let cells = figures.iter().map(Figures::brief);
            lines.push(line([name.clone()].into_iter().chain(cells).collect()));
        }
        lines.join("\n")
    }

    fn json(&self) -> Value {
        let rows = self.rows.iter().map(|(name, figures)| {
            let cells = self.columns.iter().zip(figures);
            let cells = cells.map(|(column, figures)| (column.clone(), figures.json()));
            json!({"name": name, "figures": Map::from_iter(cells)})
        });
        json!({"title": self.title, "rows": rows.collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let mut table = Table::new("speed", &["rate", "ms"]);
        table.row("a", vec![vec![3.0, 1.0, 2.0], vec![0.5]]);
        table.row("b", vec![vec![12_345.6, 1.0, 7.0], vec![]]);
        table
    }

    #[test]
    fn a_table_shows_the_median_and_the_spread() {
        let lines = [
            "|  | rate | ms |",
            "|---|---|---|",
            "| a | 2.00 (1.00 to 3.00) | 0.500 |",
            "| b | 7 (1 to 12346) | - |",
        ];
        assert_eq!(table().markdown(), lines.join("\n"));
    }

    #[test]
    fn the_json_has_the_figures_of_each_round() {
        let json = table().json();
        let of = |row: usize, name: &str| json["rows"][row]["figures"][name].clone();
        let expected =
            json!({"median": 2.0, "lowest": 1.0, "highest": 3.0, "rounds": [1.0, 2.0, 3.0]});
        assert_eq!(of(0, "rate"), expected);
        assert_eq!(of(1, "ms"), Value::Null);
    }
}
