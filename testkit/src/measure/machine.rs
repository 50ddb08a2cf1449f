//! What a bench ran on and with: without it, its figures cannot be compared with others.

use std::{env, fs, process::Command, thread};

use serde_json::{Map, Value};

use crate::root;

/// Returns the date, the commit, and the versions of what figures depend on, in the order in which a report shows them.
#[must_use]
pub fn describe() -> Map<String, Value> {
    let (_, librdkafka) = rdkafka::util::get_rdkafka_version();
    let kafka = env::var("EVENTOS_BENCH_KAFKA_VERSION").unwrap_or_else(|_| "not used".to_owned());
    let parts = [
        ("date", output("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
        ("eventos", commit()),
        ("kernel", output("uname", &["-sr"])),
        ("cpu", cpu()),
        ("rust", output("rustc", &["--version"])),
        ("librdkafka", librdkafka),
        ("kafka", kafka),
        ("load_average", load_average()),
    ];
    let parts = parts.into_iter();
    parts
        .map(|(name, text)| (name.to_owned(), text.into()))
        .collect()
}

fn commit() -> String {
    let commit = output("git", &["rev-parse", "--short", "HEAD"]);
    let changed = output("git", &["status", "--porcelain", "--untracked-files=no"]);
    match &*changed {
        "" => commit,
        _ => format!("{commit} with changes"),
    }
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find(|line| line.starts_with("model name"));
    let model = model.and_then(|line| line.split_once(": "));
    let cores = thread::available_parallelism().map_or(1, usize::from);
    format!("{cores} x {}", model.map_or("unknown", |(_, name)| name))
}

/// The load of the last minute: other work that is in the figures.
fn load_average() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.unwrap_or("unknown").to_owned()
}

/// Returns what a program prints, or nothing if it is missing or fails.
fn output(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(root())
        .output();
    let text = output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned());
    text.unwrap_or_default()
}
