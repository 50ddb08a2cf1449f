//! Log lines: what is logged, how a line looks, and where it goes.

use std::{
    fmt,
    io::{self, IsTerminal},
};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{
    EnvFilter,
    filter::ParseError,
    fmt::{format::Writer, time::FormatTime},
    util::TryInitError,
};

/// Why a text is not a filter.
#[derive(Debug, thiserror::Error)]
pub enum FilterError {
    /// A part that is neither a level nor has one.
    #[error("{0:?} is no level: expected error, warn, info, debug, trace, off, or TARGET=LEVEL")]
    NoLevel(String),
    /// A part that is no directive.
    #[error("expected a filter such as \"info\" or \"warn,eventos::pipeline=debug\": {0}")]
    Syntax(#[from] ParseError),
}

/// Logs to stderr from now on, one line an event; in colour on a terminal. What the `log` crate is told goes there too.
///
/// # Errors
/// A filter that does not parse, or a process that logs already.
pub fn init(directives: &str) -> Result<(), InitError> {
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter(directives)?)
        .with_timer(Utc)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr)
        // It would be told to the same standard error, and who reads that may be gone: a panic then.
        .log_internal_errors(false)
        .compact()
        .finish();
    Ok(logger.try_init()?)
}

/// Why logging cannot start.
#[derive(Debug, thiserror::Error)]
pub enum InitError {
    /// The filter is none.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The process logs already.
    #[error("cannot start to log")]
    Taken(#[from] TryInitError),
}

/// Reads `info`, `warn,eventos::pipeline=debug` and the like.
///
/// # Errors
/// A part that is no directive. A lone word must be a level: as the name of a target, which it could be too, a
/// mistyped level would turn nearly everything off.
pub fn filter(directives: &str) -> Result<EnvFilter, FilterError> {
    if directives.contains(['[', '{']) {
        // The names and fields of spans, which may hold commas and spaces, are left to the parser.
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

/// `2026-07-29T12:00:00.123Z`.
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
