//! The parsers of the daemon and of the Rust SDK, compiled by themselves from their own sources, and the entry points of their
//! fuzz targets. What they need of other modules is replaced: see [`http`].

// The unit tests of the modules are those of the daemon.
#![cfg(not(test))]

#[path = "../../src/event/mod.rs"]
pub mod event;
#[path = "../../src/store/mod.rs"]
pub mod store;

mod body;
mod evento;
mod http;
mod input;
mod letter;
mod outcomes;
mod peers;
mod plugin;
mod pointer;
mod text;

pub use body::body;
pub use evento::evento;
pub use letter::letter;
pub use outcomes::outcomes;
pub use peers::rows;
pub use plugin::module;
pub use pointer::pointer;
pub use text::text;

/// Reads any text as the query string of a request.
///
/// # Panics
/// Panics if a link to the next page says something else.
pub fn query(bytes: &[u8]) {
    if let Ok(text) = str::from_utf8(bytes) {
        http::parse(text);
    }
}
