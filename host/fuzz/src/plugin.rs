//! Any bytes as the file of a handler.

#[path = "../../src/plugin/complexity.rs"]
mod complexity;

/// Counts what any bytes would make the engine compile.
pub fn module(file: &[u8]) {
    let _ = complexity::check(file);
}
