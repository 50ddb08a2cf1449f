//! `eventos keys`: keys for the HTTP API, and keys that sign handlers.

use std::{
    fs::OpenOptions,
    io::Write as _,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use clap::{Args, Subcommand, ValueEnum};

use crate::{
    http::{Scope, hash_key},
    plugin::SigningKey,
};

/// Make keys for the HTTP API, and keys that sign handlers
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
    /// Make an Ed25519 key that signs handlers instead, in this new file, and print its public key
    #[arg(long, value_name = "FILE", conflicts_with_all = ["scopes", "name", "rate"])]
    signing: Option<PathBuf>,
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
  eventos keys new --scopes admin
  eventos keys new --signing signing.pem
                                         make a key for eventos sign, and print what goes into handlers.keys";

impl Keys {
    /// Makes a key and prints it.
    ///
    /// # Errors
    /// If the system has no random numbers, or the file of a key that signs cannot be made.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let Command::New(new) = self.command;
        if let Some(path) = &new.signing {
            return make_signing_key(path);
        }
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

/// Makes a key that signs handlers, in a file that only its owner can read.
fn make_signing_key(path: &Path) -> anyhow::Result<ExitCode> {
    let (key, pem) = SigningKey::generate().context("the system has no random numbers")?;
    let mut options = OpenOptions::new();
    // A key that signed something before is never overwritten.
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(pem.as_bytes()))
        .with_context(|| format!("cannot make the file {}", path.display()))?;
    println!("{}", key.public_key());
    eprintln!("This is the public key, for handlers.keys.");
    Ok(ExitCode::SUCCESS)
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
