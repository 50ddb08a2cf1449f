//! `eventos serve`: the daemon.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::Args;

use super::signal;
use crate::{app::App, config::Config, telemetry};

/// Run the daemon until SIGINT or SIGTERM
///
/// Joins the consumer group, passes each Evento through the handlers in the plugins folder, and serves HTTP.
/// SIGINT or SIGTERM finishes what was begun, commits and exits with 0; a second one stops at once.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Serve {
    /// The configuration; without it config/eventos.toml, if that exists
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// How long the process outlasts the daemon's end, for threads that are still at work.
const CUT_OFF: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  eventos serve
  eventos serve --config prod.toml
  EVENTOS__TELEMETRY__LOG=debug eventos serve
  env 'EVENTOS__KAFKA__PROPERTIES__security.protocol=SASL_SSL' eventos serve";

impl Serve {
    /// Runs until a signal or a failure.
    ///
    /// # Errors
    /// An invalid configuration, or what the daemon failed of.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let config = Config::load(self.config.as_deref())?;
        telemetry::log::init(&config.telemetry.log)?;
        // Those of the variable FAILPOINTS, in what the tests build.
        let _points = fail::has_failpoints().then(fail::FailScenario::setup);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .thread_name("tokio")
            .build()
            .context("cannot start the runtime")?;
        let ran = runtime.block_on(async {
            let stop = signal::stop().context("cannot listen for signals")?;
            App::bind(config).await?.run(stop).await
        });
        // What was cut off, as a call to a broker that does not answer, is not waited for without end.
        runtime.shutdown_timeout(CUT_OFF);
        ran.map(|()| ExitCode::SUCCESS)
    }
}
