//! Counts what any bytes would make the engine compile.
//!
//! ```sh
//! cargo xtask fuzz module --seconds 120
//! ```
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| eventos_fuzz::module(input));
