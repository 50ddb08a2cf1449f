//! `eventos sign`: signs handlers.

use std::{fs, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::Args;

use crate::plugin::{HandlerSource, SigningKey, signature_path};

/// Sign handlers, for daemons with handlers.require_signature
///
/// Writes the signature of HANDLER.wasm to HANDLER.wasm.sig, which belongs beside it in the drop-in folder, and prints
/// the public key for handlers.keys. The signature covers the bytes of the file, and not its name.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Sign {
    /// File with the private key: Ed25519, in the PEM format
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Handlers to sign
    #[arg(value_name = "HANDLER.wasm", required = true)]
    handlers: Vec<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  eventos sign --key signing.pem alerts.wasm
                                         where eventos keys new --signing signing.pem made the key
  eventos verify --key PUBLIC_KEY alerts.wasm";

impl Sign {
    /// Signs every file, and prints the public key.
    ///
    /// # Errors
    /// If the key or a handler cannot be read, or a signature cannot be written.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let key = SigningKey::read(&self.key)
            .with_context(|| format!("cannot use the key {}", self.key.display()))?;
        for path in &self.handlers {
            let source = HandlerSource::read(path)
                .with_context(|| format!("cannot sign {}", path.display()))?;
            let signature = signature_path(path);
            fs::write(&signature, format!("{}\n", key.sign(source.bytes())))
                .with_context(|| format!("cannot write {}", signature.display()))?;
            println!("{}: signed", path.display());
        }
        println!("public key, for handlers.keys: {}", key.public_key());
        Ok(ExitCode::SUCCESS)
    }
}
