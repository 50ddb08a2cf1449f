//! `cargo xtask CHORE`: builds, runs, tests and measures this workspace.
//!
//! There is one module per chore, and modules that chores share: [`process`] runs programs, [`workspace`] knows the
//! paths, [`cache`] keeps what is expensive to fetch or build, [`tools`] installs cargo's plugins and [`venv`] Python
//! packages there, [`maven`] fetches Java libraries, [`apt`] installs Debian packages, and [`kafka`] starts a real broker.
//! Every chore announces each step before it takes it. Unix only.

mod apt;
mod attack;
mod bench;
mod cache;
mod chaos;
mod checks;
mod daemon_bench;
mod fuzz;
mod handlers;
mod kafka;
mod maven;
mod notices;
mod process;
mod race;
mod run;
mod test;
mod tools;
mod venv;
mod wasm_std;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, builder::PossibleValuesParser};

/// The chores of the eventos workspace
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Chore {
    /// Build the daemon in release and the handlers of the drop-in folder, and serve in the foreground
    Run {
        /// Arguments of `eventos serve`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Prepare what the tests need, including a real Apache Kafka, and run them
    Test {
        /// Run only the tests whose name contains this
        #[arg(conflicts_with = "all")]
        filter: Option<String>,
        /// Also run the test with a real shipper, long chaos on each broker, fuzzing, and every check of `cargo xtask check`; adds
        /// more than an hour
        #[arg(long)]
        all: bool,
        /// Arguments of the test binaries
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Check dependencies and the compatibility of the public crates; installs the tools that are missing
    Check {
        /// Run only this check
        name: Option<checks::Name>,
        /// The revision that public crates have to be compatible with: by default the last release, if there is one
        #[arg(long = "baseline-rev", value_name = "REVISION")]
        baseline: Option<String>,
    },
    /// Attack a running daemon with hostile clients, records and modules, and show the result of each
    Attack,
    /// Run the fuzz targets of the built-in broker and of the parsers of the daemon
    Fuzz {
        /// Run only this target
        #[arg(value_parser = PossibleValuesParser::new(fuzz::targets()))]
        target: Option<String>,
        /// Seconds for each target
        #[arg(long, default_value_t = 120)]
        seconds: u32,
    },
    /// Kill daemons and their broker while Eventos flow: `--minutes 60 --seed 7 --broker kafka`
    Chaos {
        /// Arguments of the test, which has a `--help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build every handler under plugins/ into plugins/NAME.wasm
    Handlers,
    /// Write THIRD-PARTY-NOTICES.md, the licences of everything that is linked into `eventos`
    Notices,
    /// Run a benchmark: `boundary`, `handlers`, `pipeline`, or, next to a real Apache Kafka, `broker`, `guarantees` and `race`;
    /// of a daemon from outside, `latency`, `produce`, `query`, `scale` and `start`
    Bench {
        /// Name of a file or folder of host/benches/ or bench/src/, without its extension
        name: String,
        /// Arguments of the benchmark
        #[arg(last = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Chore::parse() {
        Chore::Run { args } => run::run(&args),
        Chore::Test {
            all: true, args, ..
        } => test::run_all(&args),
        Chore::Test { filter, args, .. } => test::run(filter.as_deref(), &args),
        Chore::Check { name, baseline } => checks::run(name, baseline.as_deref()),
        Chore::Attack => attack::run(),
        Chore::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Chore::Chaos { args } => chaos::run(&args),
        Chore::Handlers => handlers::build(handlers::Selection::All),
        Chore::Notices => notices::write(),
        Chore::Bench { name, args } => bench::run(&name, &args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
