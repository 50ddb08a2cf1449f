//! Logging to the daemon's log. Each line carries the handler's name and the partition and offset of the current
//! Evento.
//!
//! The macros take the same arguments as [`format!`]. Lines are written when the call has returned or failed. If it failed with
//! several Eventos, which are handled again, they are left out.
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

/// Writes a line with the given level. The macros of this module call this function.
pub fn write(level: Level, message: &str) {
    host::log::write(level, call::current_record(), message);
}

/// Logs at trace level: very detailed information for debugging.
#[doc(hidden)]
#[macro_export]
macro_rules! __trace {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Trace, &::std::format!($($format)+)) };
}

/// Logs at debug level: information for debugging.
#[doc(hidden)]
#[macro_export]
macro_rules! __debug {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Debug, &::std::format!($($format)+)) };
}

/// Logs at info level: information for operators.
#[doc(hidden)]
#[macro_export]
macro_rules! __info {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Info, &::std::format!($($format)+)) };
}

/// Logs at warn level: something that an operator should look into.
#[doc(hidden)]
#[macro_export]
macro_rules! __warn {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Warn, &::std::format!($($format)+)) };
}

/// Logs at error level: a failure.
#[doc(hidden)]
#[macro_export]
macro_rules! __error {
    ($($format:tt)+) => { $crate::log::write($crate::log::Level::Error, &::std::format!($($format)+)) };
}
