//! Write a handler for eventos in Rust: one function from an [`Evento`] to its [`Outcome`].
//!
//! ```
//! use eventos_sdk::{Evento, Outcome, handler, log, store};
//!
//! /// Stores earthquakes, rejects those without an alert level, and drops everything else.
//! fn handle(evento: &Evento) -> Outcome {
//!     if evento.tipo() != "sismo" {
//!         return Outcome::Drop;
//!     }
//!     if evento.header("alert").is_none() {
//!         return Outcome::reject("the header `alert` is missing");
//!     }
//!     store::append(evento);
//!     log::debug!("stored {}", evento.id());
//!     Outcome::Pass
//! }
//!
//! handler!(handle);
//! # fn main() {}
//! ```
//!
//! Compile the crate as a `cdylib` for the target `wasm32-unknown-unknown` and copy the `.wasm` file into the drop-in
//! folder of the daemon.
//!
//! - [`Evento`] gives access to the JSON and to the Kafka record around it: key, headers, timestamp, offset.
//! - [`Outcome`] says what happens to the Evento: pass, drop, replace, retry or reject.
//! - [`store::append`], [`emit::send`] and the macros in [`log`] are the effects that a handler can have. What it stored
//!   and emitted takes effect when the call that handles the batch returns, and only for Eventos whose outcome is
//!   pass, drop or replace.
//! - [`config`] reads the handler's own settings; [`handler!`] shows how to validate them and keep them as state.
//! - [`testing`] runs a handler in an ordinary unit test.
//!
//! A panic ends the call: its text and location go to the log, the daemon discards the instance and undoes everything
//! that the call stored and emitted. For an invalid Evento return [`Outcome::Reject`] instead.

mod call;
mod columns;
pub mod config;
pub mod emit;
mod evento;
mod json;
pub mod log;
mod outcome;
mod record;
mod seed;
mod settings;
pub mod store;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use evento::{Evento, Header, Headers};
pub use json::Pointer;
pub use outcome::Outcome;
pub use record::Record;

/// Bindings generated from the contract in `wit/`. Handlers use the rest of this crate instead; only tests that break
/// the contract on purpose need the bindings.
#[doc(hidden)]
#[allow(missing_docs, clippy::all, reason = "generated code")]
#[allow(clippy::undocumented_unsafe_blocks, reason = "generated code")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "wit",
        world: "handler",
        pub_export_macro: true,
        default_bindings_module: "eventos_sdk::bindings",
        additional_derives: [Default],
        additional_derives_ignore: ["level"],
    });
}

/// The functions that the expansion of [`handler!`] calls.
#[doc(hidden)]
pub mod exports {
    pub use crate::call::{handle, init, keep_state, with_state};
}

/// The imports of the contract: provided by the daemon, or by [`testing`] in a native build.
mod host {
    #[cfg(target_family = "wasm")]
    pub(crate) use crate::bindings::eventos::handler::{config, emit, log, store};
    #[cfg(not(target_family = "wasm"))]
    pub(crate) use crate::testing::{config, emit, log, store};
}

/// Exports a function as the handler of this crate. Invoke it once per crate.
///
/// - `handler!(handle)` calls `fn handle(evento: &Evento) -> Outcome` with each Evento in order.
/// - `handler!(handle, init = check)` also calls `fn check() -> Result<(), String>` once in each new instance, before
///   the first Evento. If it returns an error, the daemon refuses to load the handler and reports the text. Use it to
///   validate the configuration.
/// - `handler!(State::handle, state = make)` calls `fn make() -> Result<State, String>` once in each new instance, and
///   `fn handle(&self, evento: &Evento) -> Outcome` with the value that it returned. The state is usually the
///   handler's settings, read with [`config::typed`]. It is lost with the instance, so do not keep anything in it
///   that must survive.
#[macro_export]
macro_rules! handler {
    ($handle:expr) => {
        $crate::handler!($handle, init = || ::core::result::Result::Ok(()));
    };
    ($handle:expr, state = $make:expr) => {
        $crate::handler!(
            $crate::exports::with_state,
            init = || $crate::exports::keep_state($make, $handle)
        );
    };
    ($handle:expr, init = $init:expr) => {
        // These constants make a wrong signature fail to compile here, with an error that names the author's function.
        // In a native build, where nothing is exported, they also count as a use of the functions.
        const _: fn(&$crate::Evento<'_>) -> $crate::Outcome = $handle;
        const _: fn() -> ::core::result::Result<(), ::std::string::String> = $init;

        const _: () = {
            struct Handler;

            impl $crate::bindings::Guest for Handler {
                fn init() -> ::core::result::Result<(), ::std::string::String> {
                    $crate::exports::init($init)
                }

                fn handle(batch: $crate::bindings::Batch) -> $crate::bindings::Outcomes {
                    $crate::exports::handle(&batch, $handle)
                }
            }

            #[cfg(target_family = "wasm")]
    $crate::bindings::export!(Handler with_types_in $crate::bindings);
        };
    };
}

/// Compiles the example in the README as a documentation test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExample;

#[cfg(test)]
mod tests;
