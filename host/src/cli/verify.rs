//! `eventos verify`: checks the signatures of handlers.

use std::{path::PathBuf, process::ExitCode};

use anyhow::ensure;
use clap::Args;

use crate::{
    config::Config,
    plugin::{self, Admission, HandlerSource, PublicKey},
    telemetry::in_one_line,
};

/// Check the signatures of handlers
///
/// Reads the signature of HANDLER.wasm from HANDLER.wasm.sig, and prints for each file by which key it was signed. Exits
/// with 1 if one was signed by none of the keys.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Verify {
    /// Public key to trust instead of handlers.keys, in Base64; may be repeated
    #[arg(long, value_name = "PUBLIC_KEY", value_parser = public_key)]
    key: Vec<PublicKey>,
    /// Configuration file [default: config/eventos.toml, if it exists]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Handlers to check
    #[arg(value_name = "HANDLER.wasm", required = true)]
    handlers: Vec<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  eventos verify plugins/*.wasm          check with the keys of the configuration
  eventos verify --key O2onvM62pC1io6jQKm8Nc2UyFXcd4kOmOsBIoYtZ2ik= alerts.wasm";

fn public_key(text: &str) -> Result<PublicKey, &'static str> {
    PublicKey::parse(text).ok_or("expected the 32 bytes of an Ed25519 public key in Base64")
}

impl Verify {
    /// Checks every file, and prints the results.
    ///
    /// # Errors
    /// If the configuration is invalid or has no keys.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let admission = match self.key.is_empty() {
            true => Admission::new(&Config::load(self.config.as_deref())?.handlers),
            false => {
                let keys = self.key.iter().map(PublicKey::to_string).collect();
                Admission::new(&plugin::Config {
                    keys,
                    ..plugin::Config::default()
                })
            }
        };
        ensure!(
            admission.has_keys(),
            "there is no key to check with; set handlers.keys, or pass --key"
        );
        let mut exit = ExitCode::SUCCESS;
        for path in &self.handlers {
            let name = path.display();
            match HandlerSource::read(path) {
                Ok(source) => match admission.signer(&source) {
                    Some(key) => {
                        println!("{name}: signed by {key}");
                        continue;
                    }
                    None if source.signature().is_some() => {
                        eprintln!(
                            "{name}: the signature is not one that a trusted key has made for this file"
                        );
                    }
                    None => eprintln!(
                        "{name}: there is no signature {name}.sig; `eventos sign` makes it"
                    ),
                },
                Err(fault) => eprintln!("{name}: {}", in_one_line(&fault)),
            }
            exit = ExitCode::FAILURE;
        }
        Ok(exit)
    }
}
