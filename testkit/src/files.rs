//! Files of the workspace, and what `cargo xtask` provides.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// Returns the root of the workspace.
#[must_use]
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns the 1,707 earthquakes of the example data, one JSON text per element.
#[must_use]
pub fn sismos() -> Vec<String> {
    let text = fs::read_to_string(root().join("examples/sismos.ndjson")).expect("example data");
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), 1_707);
    lines
}

/// Returns an environment variable that `cargo xtask` sets for tests.
#[must_use]
pub fn provided(variable: &str) -> String {
    env::var(variable).unwrap_or_else(|_| {
        panic!("{variable} is not set: run the tests with `cargo xtask test`, which provides it")
    })
}

/// Returns the path of a component that `cargo xtask test` has built: `store`, an example, or one for tests only.
#[must_use]
pub fn handler(name: &str) -> PathBuf {
    let path = match name {
        "store" => root().join("plugins/store.wasm"),
        "enrich" | "filter" | "route" => root().join(format!("examples/handlers/{name}.wasm")),
        other => root().join(format!("target/handlers/{other}.wasm")),
    };
    assert!(
        path.is_file(),
        "{} is missing: run the tests with `cargo xtask test`, which builds it",
        path.display()
    );
    path
}
