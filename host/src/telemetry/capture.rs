//! The log lines of handlers, kept rather than written: for whoever runs a handler to see what it says.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    Layer,
    layer::{Context, SubscriberExt},
};

use crate::event::Offset;

/// The target of what handlers log, and print.
const HANDLERS: &str = "eventos::handler";

/// A line that a handler logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// How much it matters.
    pub level: Level,
    /// The record that it is about; none for what was printed, and for what `init` said.
    pub offset: Option<Offset>,
    /// What it says.
    pub message: String,
}

/// Where the lines are kept. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Captured(Arc<Mutex<Vec<Line>>>);

impl Captured {
    /// Runs this with every line of a handler, at any level, kept here and nothing of this thread logged elsewhere.
    pub fn during<T>(&self, run: impl FnOnce() -> T) -> T {
        let subscriber = tracing_subscriber::registry().with(self.clone());
        tracing::subscriber::with_default(subscriber, run)
    }

    /// The lines since the last time, in their order.
    #[must_use]
    pub fn take(&self) -> Vec<Line> {
        self.with(std::mem::take)
    }

    /// Forgets the lines that are about one of these records.
    pub fn forget(&self, records: std::ops::RangeInclusive<Offset>) {
        let is_kept = |line: &Line| line.offset.is_none_or(|offset| !records.contains(&offset));
        self.with(|lines| lines.retain(is_kept));
    }

    fn with<T>(&self, change: impl FnOnce(&mut Vec<Line>) -> T) -> T {
        // A line is pushed whole or not at all.
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber> Layer<S> for Captured {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if metadata.target() != HANDLERS {
            return;
        }
        let mut line = Line {
            level: *metadata.level(),
            offset: None,
            message: String::new(),
        };
        event.record(&mut line);
        self.with(|lines| lines.push(line));
    }
}

impl Visit for Line {
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
        let captured = Captured::default();
        captured.during(|| {
            let said = "a \"quoted\" word";
            tracing::trace!(target: "eventos::handler", handler = "h", offset = Some(4_i64), "{said}");
            tracing::warn!(target: "eventos::handler", handler = "h", offset = None::<i64>, "printed");
            tracing::error!("of the daemon's own");
        });
        let line = |level, offset: Option<i64>, message: &str| Line {
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
