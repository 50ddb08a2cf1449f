//! Why a call failed: with a kind for the metric, a text for people and the guest's own words.

use wasmtime::{Trap, WasmBacktrace};

use super::host::{Host, Limits};
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
    /// It recursed deeper than its stack.
    Stack,
    /// It answered, stored or emitted more than it may at once.
    Output,
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
            Self::Stack => "stack",
            Self::Output => "output",
            Self::Invalid => "invalid",
        }
    }
}

impl Failure {
    /// Reads the error of a call, with what the host saw during it.
    pub(super) fn of_call(error: &wasmtime::Error, host: &Host) -> Self {
        let backtrace = error.downcast_ref::<WasmBacktrace>();
        let (kind, message) = Self::read(error, backtrace, host);
        Self {
            kind,
            message,
            backtrace: backtrace.map_or_else(String::new, WasmBacktrace::to_string),
        }
    }

    fn read(
        error: &wasmtime::Error,
        backtrace: Option<&WasmBacktrace>,
        host: &Host,
    ) -> (FailureKind, String) {
        let limits = host.limits();
        if let Some(asked) = host.refused_memory() {
            let limit = limits.memory;
            let message = format!("asked for {asked} bytes of memory; its limit is {limit}");
            return (FailureKind::Memory, message);
        }
        if let Some(bytes) = host.refused_output() {
            return (FailureKind::Output, too_much_output(Some(bytes), limits));
        }
        let Some(trap) = error.downcast_ref::<Trap>() else {
            let cause = error.root_cause().to_string();
            return match cause.contains(NO_FUEL) {
                true => (FailureKind::Output, too_much_output(None, limits)),
                false => (FailureKind::Invalid, cause),
            };
        };
        match trap {
            Trap::Interrupt => {
                let message = format!("ran longer than its limit of {:?}", limits.timeout);
                (FailureKind::Timeout, message)
            }
            Trap::StackOverflow => {
                let message = format!("recursed deeper than its stack of {} bytes", limits.stack);
                (FailureKind::Stack, message)
            }
            Trap::MemoryOutOfBounds if backtrace.is_some_and(is_recursion) => {
                let message = "recursed deeper than the stack that it keeps in its memory";
                (FailureKind::Stack, message.to_owned())
            }
            trap => (FailureKind::Trap, trap_text(*trap, host)),
        }
    }

    /// The answer, together with what was staged, is larger than it may be.
    pub(super) fn of_output(bytes: usize, limits: &Limits) -> Self {
        Self {
            kind: FailureKind::Output,
            message: too_much_output(Some(bytes), limits),
            backtrace: String::new(),
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

/// In what wasmtime says when a guest hands over more at once than its store's "hostcall fuel"; the error has no type
/// of its own.
const NO_FUEL: &str = "fuel allocated for hostcalls has been exhausted";

/// Without the figure where wasmtime refused to copy it.
fn too_much_output(bytes: Option<usize>, limits: &Limits) -> String {
    let limit = limits.output;
    match bytes {
        Some(bytes) => format!("answers, stores and emits {bytes} bytes; its limit is {limit}"),
        None => format!("hands over more bytes at once than its limit of {limit}"),
    }
}

/// How many functions may call one another in what is taken for a recursion.
const CYCLE: usize = 4;

/// Compilers keep a second stack, in the guest's memory, of which wasmtime knows nothing: past its end lies no
/// memory. An access there, out of calls as many as a backtrace holds and of only a few functions, is taken for that.
fn is_recursion(backtrace: &WasmBacktrace) -> bool {
    let frames = backtrace.frames();
    let mut functions: Vec<_> = frames.iter().map(wasmtime::FrameInfo::func_index).collect();
    functions.sort_unstable();
    functions.dedup();
    frames.len() >= FRAMES && functions.len() <= CYCLE
}

/// As many frames as wasmtime keeps unless it is told otherwise.
const FRAMES: usize = 20;
