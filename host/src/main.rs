//! The `eventos` program.

use std::{ops::ControlFlow, process::ExitCode};

use clap::Parser;
use eventos::{
    cli::{Cli, report},
    plugin::CompilerProgram,
};

fn main() -> ExitCode {
    let program = match CompilerProgram::begin() {
        ControlFlow::Continue(program) => program,
        ControlFlow::Break(code) => return code,
    };
    match Cli::parse().run(program) {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}
