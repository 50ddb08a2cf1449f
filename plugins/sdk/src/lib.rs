//! Write a handler for eventos: one function from an [`Evento`] to its [`Outcome`].
//!
//! ```
//! use eventos_sdk::{Evento, Outcome, handler, store};
//!
//! /// Appends every Evento to the store, and passes it on.
//! fn handle(evento: &Evento) -> Outcome {
//!     store::append(evento);
//!     Outcome::Pass
//! }
//!
//! handler!(handle);
//! # fn main() {}
//! ```
//!
//! The crate that holds this is a `cdylib` for `wasm32-unknown-unknown`. Besides answering, a handler may have
//! effects: it can [`store::append`], [`emit::send`] and write to the [log]. What is stored and emitted counts when
//! the whole batch has been answered, and only for Eventos whose outcome is pass, drop or replace. Its settings are
//! in [`config`].
//!
//! A panic is caught by nobody: its text and place go to the log, and then the call is over. See [`testing`] for
//! running a handler without WebAssembly.

mod call;
mod columns;
pub mod config;
pub mod emit;
mod evento;
mod json;
pub mod log;
mod outcome;
mod record;
mod settings;
pub mod store;
#[cfg(not(target_family = "wasm"))]
pub mod testing;

pub use evento::{Evento, Header, Headers};
pub use json::Pointer;
pub use outcome::Outcome;
pub use record::Record;

/// The contract in `wit/`, generated. Handlers need it only to break the rules that the rest of this crate keeps.
#[doc(hidden)]
#[allow(missing_docs, clippy::all, reason = "generated code")]
#[allow(clippy::undocumented_unsafe_blocks, reason = "generated code")]
pub mod bindings {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "handler",
        pub_export_macro: true,
        default_bindings_module: "eventos_sdk::bindings",
        additional_derives: [Default],
        additional_derives_ignore: ["level"],
    });
}

/// What [`handler!`] expands to calls these.
#[doc(hidden)]
pub mod exports {
    pub use crate::call::{handle, init, keep_state, with_state};
}

/// Whom the imports of the contract reach: the daemon, or, without WebAssembly, [`testing`].
mod host {
    #[cfg(target_family = "wasm")]
    pub(crate) use crate::bindings::eventos::handler::{config, emit, log, store};
    #[cfg(not(target_family = "wasm"))]
    pub(crate) use crate::testing::{config, emit, log, store};
}

/// Exports a function as this crate's handler, once in the crate.
///
/// `handler!(handle)`, where `fn handle(evento: &Evento) -> Outcome`, is called with each Evento in turn.
///
/// `handler!(handle, init = check)`, where `fn check() -> Result<(), String>`, is called once in each new instance
/// before that. An error refuses the handler when it is loaded, with its text: the place to check the configuration.
///
/// `handler!(State::handle, state = make)`, where `fn make() -> Result<State, String>`, is called with what `make`
/// answered in this instance too: `fn handle(&self, evento: &Evento) -> Outcome`. Most often it is what was read of
/// the configuration ([`config::typed`]); it is lost with the instance, so it is no place for what has to survive.
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
        // A function of another type is refused here, in the author's own words; and where nothing is exported,
        // this is what uses the functions.
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

#[cfg(test)]
mod tests;
