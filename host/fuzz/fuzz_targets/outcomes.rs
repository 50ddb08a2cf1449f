//! Checks the columns that a handler may have answered.
//!
//! ```sh
//! cargo xtask fuzz outcomes --seconds 120
//! ```
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| eventos_fuzz::outcomes(input));
