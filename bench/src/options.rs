//! The options that every bench has.

use clap::Args;

/// How much a bench measures. What is not given has a default of the bench, which takes at most ten minutes.
#[derive(Args)]
pub(crate) struct Options {
    /// Rounds in which the variants take turns
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rounds: Option<u32>,
    /// Eventos of each measurement that counts them
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// Seconds of each measurement that takes a time
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Measure little, to see in less than two minutes whether the bench works
    #[arg(long)]
    short: bool,
}

/// The defaults of a bench, in its normal and in its short form.
pub(crate) struct Defaults {
    pub(crate) rounds: [u32; 2],
    pub(crate) events: [u64; 2],
    pub(crate) seconds: [u64; 2],
}

/// How much a bench measures.
#[derive(Clone, Copy)]
pub(crate) struct Extent {
    pub(crate) rounds: u32,
    pub(crate) events: u64,
    pub(crate) seconds: u64,
}

impl Options {
    /// Returns what is given, and the defaults for the rest.
    pub(crate) fn extent(&self, defaults: &Defaults) -> Extent {
        let form = usize::from(self.short);
        Extent {
            rounds: self.rounds.unwrap_or(defaults.rounds[form]),
            events: self.events.unwrap_or(defaults.events[form]),
            seconds: self.seconds.unwrap_or(defaults.seconds[form]),
        }
    }
}
