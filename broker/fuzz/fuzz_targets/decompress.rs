//! Decompresses arbitrary bytes with each codec: they unfold or are refused, and stay within the limit.
//!
//! ```sh
//! cargo xtask fuzz decompress --seconds 120
//! ```
#![no_main]

use eventos_broker::fuzzing;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| fuzzing::decompress(bytes));
