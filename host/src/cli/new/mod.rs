//! `eventos new`: a folder with a handler that builds, and that `eventos test` runs at once.

mod embedded;
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

/// Make a handler of your own: sources, SDK, samples, and a script that builds and tries it
///
/// The folder needs nothing of eventos' own repository, and lies wherever you like.
#[derive(Debug, Args)]
#[command(after_help = AFTER)]
pub struct New {
    /// What it is called: letters, digits, '-' and '_'. Digits in front, as in 10-alerts, give its place in the chain
    #[arg(value_parser = name)]
    name: String,
    /// What it is written in
    #[arg(long, value_enum)]
    lang: Language,
    /// Where to make the folder, if not here
    #[arg(long)]
    dir: Option<PathBuf>,
}

const AFTER: &str = "\
Then one command builds NAME.wasm and runs it on the samples, and gets what it needs for that:
  rust     Rust with the target wasm32-unknown-unknown; rustup is asked for it
  js       Node.js with npm, which gets componentize-qjs
  python   Python 3.10 or newer with venv; pip gets componentize-py
  c        clang and lld, which you install; the script says how
What else it looks for (EVENTOS, RUSTC, EVENTOS_RUST_WASM) its first lines say.

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
    // A leading dash would be taken for a flag by every tool that gets the file's name.
    if plugin::is_file_name(text) && !text.starts_with('-') {
        return Ok(text.to_owned());
    }
    Err("use letters, digits, '-' and '_', and a letter or a digit in front".to_owned())
}

impl New {
    /// Makes the folder, whole or not at all.
    ///
    /// # Errors
    /// A folder that is there already, or cannot be written.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        let dir = self.dir.unwrap_or_default();
        let folder = dir.join(&self.name);
        let shown = folder.display();
        if folder.symlink_metadata().is_ok() {
            bail!("{shown} is there already; choose another name, or remove it");
        }
        let eventos = env::current_exe().context("cannot tell where this program is")?;
        let scaffold = Scaffold::new(&self.name, self.lang, &eventos)?;
        // Beside it and hidden until it is whole.
        let hidden = format!(".{}.new-{}", self.name, std::process::id());
        let hidden = dir.join(hidden);
        let made = scaffold
            .write(&hidden)
            .and_then(|()| fs::rename(&hidden, &folder));
        if made.is_err() {
            // Whatever of it is there; the error that matters is the first.
            let _ = fs::remove_dir_all(&hidden);
        }
        made.with_context(|| format!("cannot make {shown}"))?;
        let next =
            format!("{shown}: made\nNow build it and run it on its samples:\n  {shown}/build.sh\n");
        match io::stdout().write_all(next.as_bytes()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                Err(error).context("cannot write to stdout")
            }
            _ => Ok(ExitCode::SUCCESS),
        }
    }
}
