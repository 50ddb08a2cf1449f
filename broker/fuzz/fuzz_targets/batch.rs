//! Checks arbitrary batches as producing does: what is accepted can be read as its header says.
//!
//! ```sh
//! cargo xtask fuzz batch --seconds 120
//! ```
#![no_main]

use eventos_broker::fuzzing;

libfuzzer_sys::fuzz_target!(|recipe: &[u8]| fuzzing::batch(recipe));
