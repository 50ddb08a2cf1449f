//! Reads any bytes as an Evento.
//!
//! ```sh
//! cargo xtask fuzz evento --seconds 120
//! ```
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| eventos_fuzz::evento(input));
