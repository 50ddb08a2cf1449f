//! Reads any text as the query string of a request.
//!
//! ```sh
//! cargo xtask fuzz query --seconds 120
//! ```
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| eventos_fuzz::query(input));
