//! Why a call of a handler failed, as the reason of a dead letter.

use wasmtime::{Trap, WasmBacktrace};

use super::host::{Host, Limits};
use crate::event::{DeadLetterReason, FailureKind, OutcomesFault};

/// A call that failed. Its effects are discarded, and its instance must not be called again.
pub(super) fn of_call(error: &wasmtime::Error, host: &Host) -> Box<DeadLetterReason> {
    let backtrace = error.downcast_ref::<WasmBacktrace>();
    let (kind, message) = read(error, backtrace, host);
    Box::new(DeadLetterReason {
        stacktrace: Some(backtrace.map_or_else(String::new, WasmBacktrace::to_string)),
        ..DeadLetterReason::new(kind, message)
    })
}

/// An answer that, together with what was staged, is larger than it may be.
pub(super) fn of_output(bytes: usize, limits: &Limits) -> Box<DeadLetterReason> {
    let message = too_much_output(Some(bytes), limits);
    Box::new(DeadLetterReason::new(FailureKind::Output, message))
}

/// An answer that does not fit the batch.
pub(super) fn of_answer(fault: &OutcomesFault) -> Box<DeadLetterReason> {
    let message = format!("its answer is not valid: {fault}");
    Box::new(DeadLetterReason::new(FailureKind::Invalid, message))
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

/// A panic reaches the host as a trap, after the SDK has logged its text as an error, or its runtime has written it to
/// stderr. The text is quoted in one line.
fn trap_text(trap: Trap, host: &Host) -> String {
    match host.log.last_error() {
        Some(said) => {
            let said: Vec<_> = said.lines().map(str::trim).collect();
            format!("{} ({trap})", said.join(" "))
        }
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

/// The number of frames that wasmtime keeps by default.
const FRAMES: usize = 20;
