//! Why a call failed: with a kind for the metric, a text for people and the guest's own words.

use wasmtime::{Trap, WasmBacktrace};

use super::host::Host;
use crate::event::OutcomesFault;

/// What kind of failure it was; the label of the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The guest trapped, most often by a panic.
    Trap,
    /// It ran over its time.
    Timeout,
    /// It asked for more memory than it may have.
    Memory,
    /// It broke the contract: an answer that does not answer the batch, or an import misused.
    Invalid,
}

/// A call that came to nothing. Its effects are discarded, and its instance is spent.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The kind.
    pub kind: FailureKind,
    /// One line: the limit and its figure, or the panic's text, or the trap.
    pub message: String,
    /// The guest's stack, innermost first, a line a frame; empty where there is none.
    pub backtrace: String,
}

impl FailureKind {
    /// As it is called in metrics and logs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Trap => "trap",
            Self::Timeout => "timeout",
            Self::Memory => "memory",
            Self::Invalid => "invalid",
        }
    }
}

impl Failure {
    /// Reads the error of a call, with what the host saw during it.
    pub(super) fn of_call(error: &wasmtime::Error, host: &Host) -> Self {
        let trap = error.downcast_ref::<Trap>();
        let limits = host.limits();
        let (kind, message) = match (host.refused_memory(), trap) {
            (Some(asked), _) => (
                FailureKind::Memory,
                format!(
                    "asked for {asked} bytes of memory; its limit is {}",
                    limits.memory
                ),
            ),
            (None, Some(Trap::Interrupt)) => (
                FailureKind::Timeout,
                format!("ran longer than its limit of {:?}", limits.timeout),
            ),
            (None, Some(trap)) => (FailureKind::Trap, trap_text(*trap, host)),
            (None, None) => (FailureKind::Invalid, error.root_cause().to_string()),
        };
        let backtrace = error.downcast_ref::<WasmBacktrace>();
        Self {
            kind,
            message,
            backtrace: backtrace.map_or_else(String::new, WasmBacktrace::to_string),
        }
    }

    pub(super) fn of_answer(fault: &OutcomesFault) -> Self {
        Self {
            kind: FailureKind::Invalid,
            message: format!("its answer is not valid: {fault}"),
            backtrace: String::new(),
        }
    }
}

/// A panic reaches the host as a trap, after the SDK has logged its text as an error.
fn trap_text(trap: Trap, host: &Host) -> String {
    match host.last_error() {
        Some(said) => format!("{said} ({trap})"),
        None => trap.to_string(),
    }
}
