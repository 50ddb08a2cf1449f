//! Runs each fuzz target of the daemon for seconds.

use std::path::Path;

use eventos_testkit::fuzz;

fn run(target: &str, body: fn(&[u8])) {
    fuzz::run(Path::new(env!("CARGO_MANIFEST_DIR")), target, body);
}

#[test]
fn fuzz_body() {
    run("body", eventos_fuzz::body);
}

#[test]
fn fuzz_evento() {
    run("evento", eventos_fuzz::evento);
}

#[test]
fn fuzz_letter() {
    run("letter", eventos_fuzz::letter);
}

#[test]
fn fuzz_module() {
    run("module", eventos_fuzz::module);
}

#[test]
fn fuzz_outcomes() {
    run("outcomes", eventos_fuzz::outcomes);
}

#[test]
fn fuzz_pointer() {
    run("pointer", eventos_fuzz::pointer);
}

#[test]
fn fuzz_query() {
    run("query", eventos_fuzz::query);
}

#[test]
fn fuzz_rows() {
    run("rows", eventos_fuzz::rows);
}

#[test]
fn fuzz_text() {
    run("text", eventos_fuzz::text);
}
