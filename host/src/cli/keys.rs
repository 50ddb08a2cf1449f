//! `eventos keys`: keys for the HTTP API.

use std::process::ExitCode;

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::{Args, Subcommand, ValueEnum};

use crate::http::{Scope, hash_key};

/// Make keys for the HTTP API
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Keys {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(New),
}

/// Print a new key, and what to add to the configuration of the daemon
///
/// The configuration contains only the SHA-256 of the key, so the key itself is shown only now. Clients send it as
/// `Authorization: Bearer KEY`; the commands of eventos take it from --key or EVENTOS_KEY.
#[derive(Debug, Args)]
struct New {
    /// What the key permits; none includes another
    #[arg(long, value_enum, value_delimiter = ',', default_value = "read,send")]
    scopes: Vec<ScopeName>,
    /// A name for the log of the daemon
    #[arg(long, default_value = "")]
    name: String,
    /// How many requests the key permits in a second
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    rate: Option<u32>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ScopeName {
    /// Read Eventos, dead letters, handlers, partitions and metrics
    Read,
    /// Send Eventos
    Send,
    /// Change handlers, redrive and replay
    Admin,
}

const EXAMPLES: &str = "\
Examples:
  eventos keys new --scopes read,send --name dashboard
  eventos keys new --scopes admin";

impl Keys {
    /// Makes a key and prints it.
    ///
    /// # Errors
    /// If the system has no random numbers.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Command::New(new) = self.command;
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).context("the system has no random numbers")?;
        let key = BASE64_URL_SAFE_NO_PAD.encode(bytes);
        println!("{key}\n\n{}", new.table(&hash_key(&key)));
        eprintln!(
            "The first line is the key, which is not shown again. Add the rest to the configuration of the daemon."
        );
        Ok(ExitCode::SUCCESS)
    }
}

impl New {
    /// Returns the table for the configuration.
    fn table(&self, hash: &str) -> String {
        let mut table = "[[http.auth.keys]]\n".to_owned();
        if !self.name.is_empty() {
            // A string is quoted in TOML as it is in JSON.
            table += &format!("name = {}\n", serde_json::Value::from(self.name.as_str()));
        }
        let scopes = self
            .scopes
            .iter()
            .map(|scope| format!("{:?}", Scope::from(*scope).name()));
        let scopes: Vec<_> = scopes.collect();
        table += &format!("hash = \"{hash}\"\nscopes = [{}]", scopes.join(", "));
        if let Some(rate) = self.rate {
            table += &format!("\nrate = {rate}");
        }
        table
    }
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::Read => Self::Read,
            ScopeName::Send => Self::Send,
            ScopeName::Admin => Self::Admin,
        }
    }
}
