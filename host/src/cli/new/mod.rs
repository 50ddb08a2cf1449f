//! `eventos new`: creates a folder with a handler that builds, and that `eventos test` can run at once.

mod files;
mod manifest;
mod scaffold;

use std::{
    env, fs,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};

use self::scaffold::Scaffold;
use crate::plugin;

/// Create a handler: source, SDK, samples, and a script that builds and tests it
///
/// The folder is self-contained: it can be anywhere and needs no checkout of eventos.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub(super) struct New {
    /// Name of the handler: letters, digits, '-' and '_'. A leading number, as in 10-alerts, sets its place in the
    /// chain
    #[arg(value_parser = name)]
    name: String,
    /// Programming language
    #[arg(long, value_enum)]
    lang: Language,
    /// Where to create the folder [default: the current directory]
    #[arg(long)]
    dir: Option<PathBuf>,
}

const AFTER: &str = "\
The script build.sh builds NAME.wasm and runs it on the samples. It requires, depending on the language:
  rust     Rust; the target wasm32-unknown-unknown is installed with rustup
  js       Node.js with npm; componentize-qjs is installed with npm
  python   Python 3.10 or newer with venv; componentize-py is installed with pip
  c        clang and lld
The comments in build.sh explain the variables EVENTOS, RUSTC and EVENTOS_RUST_WASM.

Examples:
  eventos new alerts --lang python
  alerts/build.sh

  eventos new 10-alerts --lang rust --dir handlers
  handlers/10-alerts/build.sh --set least=6";

/// A language with an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    Rust,
    Js,
    Python,
    C,
}

fn name(text: &str) -> Result<String, String> {
    // Tools that get the file name as an argument would take a leading dash for a flag.
    if plugin::is_file_name(text) && !text.starts_with('-') {
        return Ok(text.to_owned());
    }
    Err("use letters, digits, '-' and '_', and begin with a letter or a digit".to_owned())
}

impl New {
    /// Creates the folder, completely or not at all.
    ///
    /// # Errors
    /// If the folder exists already, or cannot be written.
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let dir = self.dir.unwrap_or_default();
        let folder = dir.join(&self.name);
        let shown = folder.display();
        if folder.symlink_metadata().is_ok() {
            bail!("{shown} already exists; choose another name, or remove it");
        }
        let eventos = env::current_exe().context("cannot find the path of this program")?;
        let scaffold = Scaffold::new(&self.name, self.lang, &eventos)?;
        // Written under a hidden name, and renamed once it is complete.
        let hidden = format!(".{}.new-{}", self.name, std::process::id());
        let hidden = dir.join(hidden);
        let made = scaffold
            .write(&hidden)
            .and_then(|()| fs::rename(&hidden, &folder));
        if made.is_err() {
            // An error of the cleanup would hide the one that matters.
            let _ = fs::remove_dir_all(&hidden);
        }
        made.with_context(|| format!("cannot create {shown}"))?;
        let next = format!(
            "created {shown}\nTo build the handler and run it on the samples:\n  {shown}/build.sh\n"
        );
        match io::stdout().write_all(next.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to stdout")
            }
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}
