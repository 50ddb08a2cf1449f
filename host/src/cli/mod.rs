//! The command line: one file per command.
//!
//! Exit codes: 0 for success, 1 for failure, 2 for wrong usage, 130 if a second signal ended the process at once.

mod check;
mod client;
mod dead_letters;
mod keys;
mod new;
mod replay;
mod report;
mod serve;
mod sign;
mod signal;
mod test;
mod verify;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use report::report;

use crate::plugin::CompilerProgram;

/// A stream processor: consumes events from Kafka, runs them through WebAssembly handlers, and serves them over HTTP
#[derive(Debug, Parser)]
#[command(name = "eventos", version, arg_required_else_help = true, after_help = EXAMPLES)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Check(check::Check),
    New(new::New),
    Test(test::Test),
    DeadLetters(Box<dead_letters::DeadLetters>),
    Replay(replay::Replay),
    Sign(sign::Sign),
    Verify(verify::Verify),
    Keys(keys::Keys),
}

const EXAMPLES: &str = "\
Examples:
  eventos serve                          run with the built-in broker, on http://127.0.0.1:8080
  EVENTOS__KAFKA__BOOTSTRAP_SERVERS=kafka:9092 eventos serve
                                         run with your own Kafka
  eventos check --config prod.toml       validate a configuration file and every handler
  eventos new alerts --lang python       create a handler; alerts/build.sh then builds and tests it
  eventos test alerts.wasm --input samples.ndjson
                                         run a handler on sample Eventos, without a broker
  eventos dead-letters list              show the records that failed, and why
  eventos replay --from earliest         process everything again
  eventos keys new --scopes read         make a key for the HTTP API

Settings are read from environment variables (EVENTOS__TABLE__KEY), then from --config FILE or config/eventos.toml.
Otherwise the defaults apply. Run `eventos COMMAND --help` for the options of a command.";

impl Cli {
    /// Runs the command. The daemon compiles handlers with `program`.
    ///
    /// # Errors
    /// If the command fails, with an error for [`report`]. A command that has printed its own findings returns an exit
    /// code instead.
    pub fn run(self, program: CompilerProgram) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(serve) => serve.run(program),
            Command::Check(check) => check.run(),
            Command::New(new) => new.run(),
            Command::Test(test) => test.run(),
            Command::DeadLetters(letters) => letters.run(),
            Command::Replay(replay) => replay.run(),
            Command::Sign(sign) => sign.run(),
            Command::Verify(verify) => verify.run(),
            Command::Keys(keys) => keys.run(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
