//! The command line: one file a command. Exit codes: 0 done, 1 failed, 2 wrong usage, 130 stopped at once.

mod check;
mod client;
mod dead_letters;
mod new;
mod replay;
mod report;
mod serve;
mod signal;
mod test;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use report::report;

/// A stream processor: events from Kafka, through WebAssembly handlers, to HTTP.
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
}

const EXAMPLES: &str = "\
Examples:
  eventos serve                          with the broker inside, on http://127.0.0.1:8080
  EVENTOS__KAFKA__BOOTSTRAP_SERVERS=kafka:9092 eventos serve
                                         with a Kafka that you have
  eventos check --config prod.toml       is this file right, and is every handler?
  eventos new alerts --lang python       a handler of your own; then alerts/build.sh builds and tries it
  eventos test alerts.wasm --input samples.ndjson
                                         what does this handler do with these Eventos?
  eventos dead-letters list              what could no handler handle, and why?
  eventos replay --from earliest         handle everything again

Settings come from the environment (EVENTOS__TABLE__KEY), then --config FILE or config/eventos.toml, then
the defaults. `eventos COMMAND --help` tells more.";

impl Cli {
    /// Runs the command that was given.
    ///
    /// # Errors
    /// What made it fail, for [`report`]. A command that has told its findings itself answers with a code instead.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Serve(serve) => serve.run(),
            Command::Check(check) => check.run(),
            Command::New(new) => new.run(),
            Command::Test(test) => test.run(),
            Command::DeadLetters(letters) => letters.run(),
            Command::Replay(replay) => replay.run(),
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
