//! `cargo xtask CHORE`: everything that is done to this workspace beside editing it.
//!
//! One module a chore, and beside them what several chores share: [`process`] runs programs,
//! [`workspace`] knows where things are, [`cache`] keeps what was expensive to get, [`venv`] what is
//! Python's of that, [`apt`] asks Debian for packages, [`kafka`] starts a real broker. Every chore
//! says what it does before it does it, and does nothing that it did not say. Unix only.

mod apt;
mod bench;
mod cache;
mod chaos;
mod handlers;
mod kafka;
mod process;
mod run;
mod test;
mod venv;
mod wasm_std;
mod workspace;

use std::process::ExitCode;

use clap::Parser;

/// The chores of the eventos workspace
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
enum Chore {
    /// Build the handlers and the host in release, and serve in the foreground
    Run {
        /// Handed to `eventos serve`
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Get and start what the tests need, a real Apache Kafka among it, and run every test
    Test {
        /// Run only the tests whose name contains this
        filter: Option<String>,
        /// Handed to the test binaries
        #[arg(last = true)]
        args: Vec<String>,
    },
    /// Kill daemons and their broker while Eventos flow: `--minutes 60 --seed 7 --broker kafka`
    Chaos {
        /// Handed to the test, which has a `--help`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
    /// Build every handler under plugins/ into plugins/NAME.wasm
    Handlers,
    /// Measure: `boundary`, `handlers`, `pipeline`, or `broker` (beside a real Apache Kafka)
    Bench {
        /// A file or a folder of host/benches/, without its ending
        name: String,
        /// Handed to the benchmark
        #[arg(last = true)]
        args: Vec<String>,
    },
}

fn main() -> ExitCode {
    let done = match Chore::parse() {
        Chore::Run { args } => run::run(&args),
        Chore::Test { filter, args } => test::run(filter.as_deref(), &args),
        Chore::Chaos { args } => chaos::run(&args),
        Chore::Handlers => handlers::build(),
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
