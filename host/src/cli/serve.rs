//! `eventos serve`: the daemon.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Args;

use super::signal;
use crate::{app::App, config::Config, plugin::CompilerProgram, telemetry};

/// Run the daemon until SIGINT, SIGTERM or SIGHUP
///
/// Joins the consumer group, runs each Evento through the handlers in the drop-in folder, and serves HTTP. On SIGINT,
/// SIGTERM or SIGHUP, the daemon finishes the batches in flight, commits and exits with 0. A second SIGINT or SIGTERM stops
/// it at once.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Serve {
    /// Configuration file [default: config/eventos.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How long to wait at the end for threads that are still running.
const RUNTIME_SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  eventos serve
  eventos serve --config prod.toml
  EVENTOS__TELEMETRY__LOG=debug eventos serve
  env 'EVENTOS__KAFKA__PROPERTIES__security.protocol=SASL_SSL' eventos serve";

impl Serve {
    /// Runs the daemon until a signal or a failure. It compiles handlers with `program`.
    ///
    /// # Errors
    /// If the configuration is invalid, or the daemon fails.
    pub(super) fn run(self, program: CompilerProgram) -> anyhow::Result<ExitCode> {
        let config = Config::load(self.config.as_deref())?;
        telemetry::log::init(&config.telemetry.log)?;
        // Builds for tests set up the failpoints of the variable FAILPOINTS.
        let _points = fail::has_failpoints().then(fail::FailScenario::setup);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("tokio")
            .build()
            .context("cannot start the async runtime")?;
        let ran = runtime.block_on(async {
            let stop = signal::stop().context("cannot listen for signals")?;
            App::bind(config, program).await?.run(stop).await
        });
        // A blocking call, such as one to a broker that does not respond, must not keep the process alive.
        runtime.shutdown_timeout(RUNTIME_SHUTDOWN_TIMEOUT);
        ran.map(|()| ExitCode::SUCCESS)
    }
}
