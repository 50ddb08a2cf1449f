//! Opens a partition whose files have arbitrary content: each is read, cut or refused.
//!
//! ```sh
//! cargo xtask fuzz recovery --seconds 120
//! ```
#![no_main]

use eventos_broker::fuzzing;

libfuzzer_sys::fuzz_target!(|recipe: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fuzzing::recovery(folder.path(), recipe);
});
