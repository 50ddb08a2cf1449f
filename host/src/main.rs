//! The `eventos` program.

use std::process::ExitCode;

use clap::Parser;
use eventos::cli::{Cli, report};

fn main() -> ExitCode {
    match Cli::parse().run() {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}
