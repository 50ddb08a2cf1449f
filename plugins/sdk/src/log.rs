//! Lines in the daemon's log, with the handler's name, and the partition and offset of the Evento in hand.
//!
//! The macros take what [`format!`] takes. What is logged before a panic is kept, whatever becomes of the batch.
//!
//! ```
//! use eventos_sdk::{Evento, Outcome, log};
//!
//! fn handle(evento: &Evento) -> Outcome {
//!     log::info!("{} was seen", evento.id());
//!     Outcome::Pass
//! }
//! ```

pub use crate::bindings::eventos::handler::log::Level;
#[doc(inline)]
pub use crate::{
    __debug as debug, __error as error, __info as info, __trace as trace, __warn as warn,
};
use crate::{call, host};

/// Writes a line of any level; the macros of this module call it.
pub fn write(level: Level, message: &str) {
    host::log::write(level, call::in_hand(), message);
}

/// Logs what matters only while looking for a fault, in great detail.
#[doc(hidden)]
#[macro_export]
macro_rules! __trace {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Trace, &::std::format!($($format)+)) };
}

/// Logs what matters only while looking for a fault.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($format)+)) };
}

/// Logs what an operator may want to know.
#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($format)+)) };
}

/// Logs what an operator should look into.
#[doc(hidden)]
#[macro_export]
macro_rules! __warn {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($format)+)) };
}

/// Logs what went wrong.
#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($format)+)) };
}
