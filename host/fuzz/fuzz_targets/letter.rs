//! Reads any headers as those of a dead letter.
//!
//! ```sh
//! cargo xtask fuzz letter --seconds 120
//! ```
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| eventos_fuzz::letter(input));
