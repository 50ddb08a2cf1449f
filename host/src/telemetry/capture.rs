//! Captures the log lines of handlers instead of writing them, for commands that show what a handler logs.

use std::{fmt, sync::Arc};

use parking_lot::Mutex;
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

use crate::event::Offset;

/// The target of what handlers log and print.
const HANDLERS: &str = "eventos::handler";

/// A line that a handler logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerLine {
    /// Log level.
    pub level: Level,
    /// The record that the line is about; `None` for what was printed, and for lines of `init`.
    pub offset: Option<Offset>,
    /// The text of the line.
    pub message: String,
}

/// The captured lines. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct LogCapture(Arc<Mutex<Vec<HandlerLine>>>);

impl LogCapture {
    /// Runs `run` and captures every log line of a handler on this thread, at any level; other log lines are
    /// discarded.
    pub fn during<T>(&self, run: impl FnOnce() -> T) -> T {
        let subscriber = tracing_subscriber::registry().with(self.clone());
        tracing::subscriber::with_default(subscriber, run)
    }

    /// Takes the lines captured since the last call, in order.
    #[must_use]
    pub fn take(&self) -> Vec<HandlerLine> {
        self.with(std::mem::take)
    }

    /// Discards the lines about any of these records.
    pub fn forget(&self, records: std::ops::RangeInclusive<Offset>) {
        let is_kept =
            |line: &HandlerLine| line.offset.is_none_or(|offset| !records.contains(&offset));
        self.with(|lines| lines.retain(is_kept));
    }

    fn with<T>(&self, change: impl FnOnce(&mut Vec<HandlerLine>) -> T) -> T {
        change(&mut self.0.lock())
    }
}

impl<S: Subscriber> Layer<S> for LogCapture {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if metadata.target() != HANDLERS {
            return;
        }
        let mut line = HandlerLine {
            level: *metadata.level(),
            offset: None,
            message: String::new(),
        };
        event.record(&mut line);
        self.with(|lines| lines.push(line));
    }
}

impl Visit for HandlerLine {
    fn record_i64(&mut self, field: &Field, value: i64) {
        if field.name() == "offset" {
            self.offset = Some(Offset(value));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        if field.name() == "message" {
            self.message = format!("{value:?}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_handlers_are_kept_and_those_of_others_are_not() {
        let captured = LogCapture::default();
        captured.during(|| {
            let said = "a \"quoted\" word";
            tracing::trace!(target: "eventos::handler", handler = "h", offset = Some(4_i64), "{said}");
            tracing::warn!(target: "eventos::handler", handler = "h", offset = None::<i64>, "printed");
            tracing::error!("of the daemon's own");
        });
        let line = |level, offset: Option<i64>, message: &str| HandlerLine {
            level,
            offset: offset.map(Offset),
            message: message.to_owned(),
        };
        let printed = line(Level::WARN, None, "printed");
        let about = line(Level::TRACE, Some(4), "a \"quoted\" word");
        assert_eq!(captured.take(), [about.clone(), printed.clone()]);
        assert_eq!(captured.take(), []);

        captured.with(|lines| lines.extend([about, printed.clone()]));
        captured.forget(Offset(5)..=Offset(9));
        captured.forget(Offset(2)..=Offset(4));
        assert_eq!(captured.take(), [printed]);
    }
}
