//! Decodes arbitrary bytes as a request: they are accepted or refused, and take no more memory than they should.
//!
//! ```sh
//! cargo xtask fuzz request --seconds 120
//! ```
#![no_main]

use eventos_broker::fuzzing;

libfuzzer_sys::fuzz_target!(|frame: &[u8]| fuzzing::request(frame));
