//! The lines that a handler writes to the log.

use super::bindings::eventos::handler::log::Level;

/// A line of the log, with the handler's name and where in the topic it was.
pub(super) struct LogLine {
    pub level: Level,
    /// `None` while `init` runs.
    pub partition: Option<i32>,
    /// Offset of the record that the line is about, if it is about one.
    pub offset: Option<i64>,
    pub message: String,
}

macro_rules! at_level {
    ($level:expr, $macro:ident) => {
        match $level {
            Level::Trace => $macro!(trace, TRACE),
            Level::Debug => $macro!(debug, DEBUG),
            Level::Info => $macro!(info, INFO),
            Level::Warn => $macro!(warn, WARN),
            Level::Error => $macro!(error, ERROR),
        }
    };
}

/// Returns whether lines of this level are written at all.
pub(super) fn is_enabled(level: Level) -> bool {
    macro_rules! enabled {
        ($_macro:ident, $level:ident) => {
            tracing::enabled!(target: "eventos::handler", tracing::Level::$level)
        };
    }
    at_level!(level, enabled)
}

impl LogLine {
    pub(super) fn write(self, handler: &str) {
        let Self {
            level,
            partition,
            offset,
            message,
        } = self;
        macro_rules! line {
            ($macro:ident, $_level:ident) => {
                tracing::$macro!(target: "eventos::handler", handler, partition, offset, "{message}")
            };
        }
        at_level!(level, line);
    }
}
