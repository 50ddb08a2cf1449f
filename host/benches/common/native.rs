//! The logic of the default handler in native Rust.

use eventos::{
    event::{Batch, HandlerOutput, Outcomes},
    plugin::Handler,
};

/// Returns a handler that stores every record and lets it pass.
pub(crate) fn native() -> Handler {
    Handler::native("store", store_all)
}

fn store_all(batch: &Batch) -> HandlerOutput {
    HandlerOutput {
        stored: (0..batch.len()).map(|i| i as u32).collect(),
        outcomes: Outcomes::all_passing(batch.len()),
        ..HandlerOutput::default()
    }
}
