//! What a guest writes: lines of its log, and text on stdout and stderr.
//!
//! Lines are staged during a call, and written when it has returned or failed, unless its records are handled again: then the guest
//! logs the same once more.

use std::{sync::Arc, time::Instant};

use super::{
    bindings::eventos::handler::log::Level,
    error_output::{self, ErrorOutput},
    host::Limits,
    log_line::{self, LogLine},
    log_meter::CallLog,
    wasi::Stdio,
};
use crate::event::Partition;

/// The log of one instance.
pub(super) struct GuestLog {
    limits: Arc<Limits>,
    stdio: Stdio,
    call: Call,
}

/// What the current call has written.
#[derive(Default)]
struct Call {
    /// `None` while `init` runs.
    partition: Option<Partition>,
    logged: CallLog,
    lines: Vec<LogLine>,
    last_error: Option<String>,
    /// A runtime without the SDK reports here why it aborts.
    error_output: ErrorOutput,
}

impl GuestLog {
    pub(super) fn new(limits: Arc<Limits>) -> Self {
        Self {
            limits,
            stdio: Stdio::default(),
            call: Call::default(),
        }
    }

    /// Discards what the previous call wrote, and begins one with a batch of this partition.
    pub(super) fn begin(&mut self, partition: Partition) {
        self.call = Call {
            partition: Some(partition),
            ..Call::default()
        };
    }

    /// Returns the last line that the guest logged as an error during this call, or else the last one on stderr that says
    /// what failed.
    pub(super) fn last_error(&self) -> Option<&str> {
        let logged = self.call.last_error.as_deref();
        logged.or(self.call.error_output.failure())
    }

    /// Logs each complete line that the guest wrote to stdout or stderr.
    pub(super) fn print(&mut self, is_stderr: bool, bytes: &[u8]) {
        for message in self.stdio.take(is_stderr, bytes) {
            if is_stderr {
                self.call.error_output.add(&message);
                if error_output::is_hint(&message) {
                    continue;
                }
            }
            let level = match is_stderr {
                true => Level::Warn,
                false => Level::Info,
            };
            self.stage(level, None, message);
        }
    }

    /// Logs what the guest wrote without ending the line, because the instance ends.
    pub(super) fn print_rest(&mut self) {
        for is_stderr in [false, true] {
            self.print(is_stderr, b"\n");
        }
    }

    /// Adds a line that the guest logs, about the record at this offset.
    pub(super) fn add(&mut self, level: Level, offset: Option<i64>, message: String) {
        if matches!(level, Level::Error) {
            self.call.last_error = Some(message.clone());
        }
        self.stage(level, offset, message);
    }

    /// Adds a line to those of this call. While `init` runs, lines are written at once.
    fn stage(&mut self, level: Level, offset: Option<i64>, message: String) {
        let meter = &self.limits.log;
        if !log_line::is_enabled(level)
            || !meter.admits_in_call(&mut self.call.logged, message.len())
        {
            return;
        }
        let partition = self.call.partition.map(|partition| partition.0);
        let line = LogLine {
            level,
            partition,
            offset,
            message,
        };
        match partition {
            Some(_) => self.call.lines.push(line),
            None => self.write(line),
        }
    }

    fn write(&self, line: LogLine) {
        if self.limits.log.admits(line.message.len(), Instant::now()) {
            line.write(&self.limits.handler);
        }
    }

    /// Writes the lines of the call that has just returned or failed.
    pub(super) fn write_lines(&mut self) {
        for line in std::mem::take(&mut self.call.lines) {
            self.write(line);
        }
    }

    /// Discards the lines of a call that failed, because its records are handled again.
    pub(super) fn discard_lines(&mut self) {
        self.call.lines.clear();
    }

    /// Logs how many lines were left out because the handler logs too much: at most once a second, unless the instance
    /// ends.
    pub(super) fn report_left_out(&self, is_last: bool) {
        let Limits { handler, log, .. } = &*self.limits;
        if let Some(left_out) = log.take_left_out(is_last, Instant::now()) {
            tracing::warn!(
                handler,
                left_out,
                log_lines = log.max_lines(),
                "the handler logs too much: lines were left out; see handler.{handler}.log_lines"
            );
        }
    }
}
