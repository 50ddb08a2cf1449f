//! Starts the coordinators on journals with arbitrary content: each is read, or cut, and stays as it is.
//!
//! ```sh
//! cargo xtask fuzz journals --seconds 120
//! ```
#![no_main]

use eventos_broker::fuzzing;

libfuzzer_sys::fuzz_target!(|recipe: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fuzzing::journals(folder.path(), recipe);
});
