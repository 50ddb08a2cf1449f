//! Log lines: which are written, their format, and where they go.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    fmt::{format::Writer, time::FormatTime},
    util::{SubscriberInitExt, TryInitError},
};

/// The reason why a text is not a log filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A part that is neither a level nor assigns one.
    #[error(
        "{0:?} is not a log level: expected error, warn, info, debug, trace, off, or TARGET=LEVEL"
    )]
    NoLevel(String),
    /// A part that is not a directive.
    #[error("expected a filter such as \"info\" or \"warn,eventos::pipeline=debug\": {0}")]
    Syntax(#[from] ParseError),
}

/// Starts logging to stderr, one line per event, in color on a terminal. Messages of the `log` crate are included.
///
/// # Errors
/// Returns an error if the filter does not parse, or the process logs already.
pub fn init(directives: &str) -> Result<(), InitError> {
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter(directives)?)
        .with_timer(Utc)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        // They would go to the same standard error, which may have been closed, and writing would panic.
        .log_internal_errors(false)
        .compact()
        .finish();
    Ok(logger.try_init()?)
}

/// The reason why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter is not valid.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The process logs already.
    #[error("cannot start logging")]
    Taken(#[from] TryInitError),
}

/// Parses `info`, `warn,eventos::pipeline=debug` and the like.
///
/// # Errors
/// Returns the first part that is not a directive. A lone word must be a level: as the name of a target, which it
/// could also be, a mistyped level would turn off nearly all logging.
pub fn filter(directives: &str) -> Result<EnvFilter, FilterError> {
    if directives.contains(['[', '{']) {
        // Names and fields of spans may contain commas and spaces, so they are left to the parser.
        return Ok(EnvFilter::builder().parse(directives)?);
    }
    let parts: Vec<_> = directives.split(',').map(str::trim).collect();
    let no_level = |part: &&&str| {
        let level = !part.is_empty() && part.parse::<LevelFilter>().is_ok();
        !level && !part.contains('=')
    };
    match parts.iter().find(no_level) {
        Some(part) => Err(FilterError::NoLevel((*part).to_owned())),
        None => Ok(EnvFilter::builder().parse(parts.join(","))?),
    }
}

/// Formats the time as `2026-07-29T12:00:00.123Z`.
struct Utc;

impl FormatTime for Utc {
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write!(writer, "{:.3}", jiff::Timestamp::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_targets_are_filters() {
        for good in [
            "info",
            "OFF",
            "warn,eventos::pipeline=debug",
            "info, rdkafka=warn",
            "warn,[call{handler=store}]=trace",
        ] {
            assert!(filter(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn a_mistyped_level_is_refused() {
        for bad in ["infoo", "", "warn,", "eventos", "eventos=loud", "info;warn"] {
            assert!(filter(bad).is_err(), "{bad}");
        }
    }
}
