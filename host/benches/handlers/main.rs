//! `cargo xtask bench handlers`: what a handler costs in each of the four languages, beside the same logic in native
//! Rust; and how long a batch waits when a handler is replaced while it runs.

mod languages;
mod swaps;

use std::env;

use eventos_testkit::measure::part;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["broker", dir] => part::broker(dir.as_ref()),
        ["languages", ..] => languages::compare(),
        ["swaps", ..] => swaps::measure(),
        _ => {
            languages::compare();
            swaps::measure();
        }
    }
}
