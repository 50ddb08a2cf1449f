//! `cargo xtask bench handlers`: the cost of a handler in each of the four languages, compared with the same logic in native Rust; and
//! the time that a batch waits when a handler is replaced.

mod languages;
mod swaps;

use std::env;

use eventos_testkit::measure::part;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["broker", dir] => part::serve_broker(dir.as_ref()),
        ["languages", ..] => languages::compare(),
        ["swaps", ..] => swaps::measure(),
        _ => {
            languages::compare();
            swaps::measure();
        }
    }
}
