//! Decodes arbitrary bytes as a request: they are accepted or refused, and take no more memory than they should.
//!
//! ```sh
//! cargo install cargo-fuzz && rustup toolchain install nightly
//! cd broker && cargo +nightly fuzz run request -- -max_total_time=120 -malloc_limit_mb=256
//! ```
#![no_main]

use eventos_broker::fuzzing;

libfuzzer_sys::fuzz_target!(|frame: &[u8]| fuzzing::request(frame));
