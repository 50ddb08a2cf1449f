//! Unpacks and splits any bytes as the body of a batch.
//!
//! ```sh
//! cargo xtask fuzz body --seconds 120
//! ```
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| eventos_fuzz::body(input));
