//! Reads any bytes as the rows of a peer.
//!
//! ```sh
//! cargo xtask fuzz rows --seconds 120
//! ```
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| eventos_fuzz::rows(input));
