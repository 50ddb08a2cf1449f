//! What the tests and benches share: a daemon as its users run it, other programs, clients of the broker, waiting for a
//! condition, and measuring.

mod daemon;
mod kafka;
pub mod measure;
mod ports;
mod program;
pub mod raw;
mod received;

use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

pub use daemon::{Daemon, Setup};
pub use kafka::{
    Broker, Load, add_partitions, committed, create_topic, create_topic_with, delete_topic, ends,
    group, produce, read_topic, wait_until_settled,
};
pub use ports::free_port;
pub use program::{Program, ask_from_a_shell, json_lines, python};
pub use received::{Received, header_list, headers};

/// Far beyond what anything takes, even on a busy machine: to compile the Python that a handler brings along takes
/// half a minute when nothing else runs.
pub const DEADLINE: Duration = Duration::from_secs(180);

/// Asks until there is an answer.
pub fn eventually<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "waited {DEADLINE:?} for {what}");
        // Between two looks, not for a time.
        thread::sleep(Duration::from_millis(10));
    }
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The 1,707 earthquakes of the example data, a line each.
pub fn sismos() -> Vec<String> {
    let text = fs::read_to_string(root().join("examples/sismos.ndjson")).expect("example data");
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 1_707);
    lines
}

/// A variable that `cargo xtask test` sets.
pub fn provided(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests with `cargo xtask test`, which provides it")
    })
}

/// A component that `cargo xtask test` has built: `store`, an example, or one that is for tests only.
pub fn handler(name: &str) -> PathBuf {
    let built = match name {
        "store" => root().join("plugins/store.wasm"),
        "enrich" | "filter" | "route" => root().join(format!("examples/handlers/{name}.wasm")),
        other => root().join(format!("target/handlers/{other}.wasm")),
    };
    let shown = built.display();
    assert!(
        built.is_file(),
        "{shown} is missing: run the tests with `cargo xtask test`, which builds it"
    );
    built
}
