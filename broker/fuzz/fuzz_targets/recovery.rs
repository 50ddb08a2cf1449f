//! Opens a partition whose files have arbitrary content: each is read, cut or refused.
//!
//! ```sh
//! cargo install cargo-fuzz && rustup toolchain install nightly
//! cd broker && TMPDIR=/dev/shm cargo +nightly fuzz run recovery -- -max_total_time=120 -malloc_limit_mb=256
//! ```
#![no_main]

use eventos_broker::fuzzing;

libfuzzer_sys::fuzz_target!(|recipe: &[u8]| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fuzzing::recovery(folder.path(), recipe);
});
