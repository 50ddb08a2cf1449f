//! Reads any text as a cursor, partitions, a time or the metadata of a commit.
//!
//! ```sh
//! cargo xtask fuzz text --seconds 120
//! ```
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| eventos_fuzz::text(input));
