//! Reads and sets any place of any document with a JSON pointer of the Rust SDK.
//!
//! ```sh
//! cargo xtask fuzz pointer --seconds 120
//! ```
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| eventos_fuzz::pointer(input));
