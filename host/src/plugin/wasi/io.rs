//! WASI streams and polling: stdin, which is always at its end, and stdout and stderr, whose lines are logged.
//! Waiting is impossible, because a handler that sleeps would block a worker without using up its CPU time.

use wasmtime::{
    Result, StoreContextMut,
    component::{ComponentType, LinkerInstance, Lower, Resource, ResourceType},
    ensure,
};

use crate::plugin::host::Host;

/// How much a stream accepts at once, and the maximum length of a line; longer lines are split.
const LINE: usize = 8 << 10;

struct Input;
/// Its representation is [`STDOUT`] or [`STDERR`].
struct Output;
/// Its representation is [`READY`] or [`LATER`].
struct Pollable;
struct IoError;

const STDOUT: u32 = 1;
const STDERR: u32 = 2;
const READY: u32 = 1;
const LATER: u32 = 2;

/// What was written after the last complete line of each stream.
#[derive(Default)]
pub(in crate::plugin) struct Stdio {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// `variant stream-error` of wasi:io/streams.
#[derive(ComponentType, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    #[allow(dead_code, reason = "nothing here fails, but the type has it")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

/// Returns the type of the resource with this name, which interfaces that use it export again.
pub(super) fn resource(name: &str) -> Option<ResourceType> {
    match name {
        "input-stream" => Some(ResourceType::host::<Input>()),
        "output-stream" => Some(ResourceType::host::<Output>()),
        "pollable" => Some(ResourceType::host::<Pollable>()),
        "error" => Some(ResourceType::host::<IoError>()),
        _ => None,
    }
}

/// Defines the function, and returns whether it belongs to these interfaces.
pub(super) fn define(
    to: &mut LinkerInstance<'_, Host>,
    interface: &str,
    name: &str,
) -> Result<bool> {
    match interface {
        "cli/stdin" | "cli/stdout" | "cli/stderr" => standard(to, name),
        "io/streams" => streams(to, name),
        "io/poll" => poll(to, name),
        "clocks/monotonic-clock" => timers(to, name),
        _ => Ok(false),
    }
}

fn standard(to: &mut LinkerInstance<'_, Host>, name: &str) -> Result<bool> {
    match name {
        "get-stdin" => to.func_wrap(name, |_, (): ()| Ok((Resource::<Input>::new_own(0),)))?,
        "get-stdout" => {
            to.func_wrap(name, |_, (): ()| Ok((Resource::<Output>::new_own(STDOUT),)))?;
        }
        "get-stderr" => {
            to.func_wrap(name, |_, (): ()| Ok((Resource::<Output>::new_own(STDERR),)))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

type Streamed<T> = Result<T, StreamError>;

fn streams(to: &mut LinkerInstance<'_, Host>, name: &str) -> Result<bool> {
    let Some((kind, method)) = name
        .strip_prefix("[method]")
        .and_then(|it| it.split_once('.'))
    else {
        return Ok(false);
    };
    match (kind, method) {
        ("input-stream", "read" | "blocking-read") => {
            to.func_wrap(name, |_, (_, _): (Resource<Input>, u64)| {
                Ok((Streamed::<Vec<u8>>::Err(StreamError::Closed),))
            })?;
        }
        ("input-stream", "subscribe") => to.func_wrap(name, |_, (_,): (Resource<Input>,)| {
            Ok((Resource::<Pollable>::new_own(READY),))
        })?,
        ("output-stream", "subscribe") => to.func_wrap(name, |_, (_,): (Resource<Output>,)| {
            Ok((Resource::<Pollable>::new_own(READY),))
        })?,
        ("output-stream", "check-write") => to
            .func_wrap(name, |_, (_,): (Resource<Output>,)| {
                Ok((Streamed::<u64>::Ok(LINE as u64),))
            })?,
        ("output-stream", "write" | "blocking-write-and-flush") => {
            let write = |mut host: StoreContextMut<'_, Host>,
                         (stream, bytes): (Resource<Output>, Vec<u8>)| {
                host.data_mut().log.print(stream.rep() == STDERR, &bytes);
                Ok((Streamed::<()>::Ok(()),))
            };
            to.func_wrap(name, write)?;
        }
        ("output-stream", "flush" | "blocking-flush") => {
            to.func_wrap(name, |_, (_,): (Resource<Output>,)| {
                Ok((Streamed::<()>::Ok(()),))
            })?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn poll(to: &mut LinkerInstance<'_, Host>, name: &str) -> Result<bool> {
    match name {
        "[method]pollable.ready" => to.func_wrap(name, |_, (one,): (Resource<Pollable>,)| {
            Ok((one.rep() == READY,))
        })?,
        "[method]pollable.block" => to.func_wrap(name, |_, (one,): (Resource<Pollable>,)| {
            ensure!(one.rep() == READY, "{SLEEPS}");
            Ok(())
        })?,
        "poll" => to.func_wrap(name, |_, (all,): (Vec<Resource<Pollable>>,)| {
            let ready = (0_u32..).zip(&all).filter(|(_, one)| one.rep() == READY);
            let ready: Vec<u32> = ready.map(|(i, _)| i).collect();
            ensure!(!ready.is_empty(), "{SLEEPS}");
            Ok((ready,))
        })?,
        _ => return Ok(false),
    }
    Ok(true)
}

const SLEEPS: &str =
    "a handler cannot sleep: return the outcome retry, and the Evento is handled again";

/// A timer is never ready, however short its time, unless it is already due.
fn timers(to: &mut LinkerInstance<'_, Host>, name: &str) -> Result<bool> {
    if !matches!(name, "subscribe-instant" | "subscribe-duration") {
        return Ok(false);
    }
    to.func_wrap(name, |_, (when,): (u64,)| {
        let ready = if when == 0 { READY } else { LATER };
        Ok((Resource::<Pollable>::new_own(ready),))
    })?;
    Ok(true)
}

impl Stdio {
    /// Adds bytes, and returns the lines that are complete now, without line ends. Empty lines are omitted.
    pub(in crate::plugin) fn take(&mut self, is_stderr: bool, bytes: &[u8]) -> Vec<String> {
        let pending = if is_stderr {
            &mut self.stderr
        } else {
            &mut self.stdout
        };
        let mut lines = Vec::new();
        for &byte in bytes {
            if byte != b'\n' {
                pending.push(byte);
            }
            if byte == b'\n' || pending.len() == LINE {
                let line = String::from_utf8_lossy(pending).trim_end().to_owned();
                lines.extend(Some(line).filter(|line| !line.is_empty()));
                pending.clear();
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_each_stream_has_its_own() {
        let mut stdio = Stdio::default();
        assert!(stdio.take(false, b"on").is_empty());
        assert_eq!(stdio.take(true, b"error\r\n\n"), ["error"]);
        assert_eq!(stdio.take(false, b"e\ntwo\nthr"), ["one", "two"]);
        assert_eq!(stdio.take(false, b"\xff\n"), ["thr\u{fffd}"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut stdio = Stdio::default();
        let lines = stdio.take(false, &vec![b'x'; LINE * 2 + 1]);
        assert_eq!(
            lines.iter().map(String::len).collect::<Vec<_>>(),
            [LINE, LINE]
        );
        assert_eq!(stdio.take(false, b"\n"), ["x"]);
    }
}
