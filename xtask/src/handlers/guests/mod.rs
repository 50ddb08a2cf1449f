//! Handlers in languages other than Rust: folders with a `handler.c`, `handler.py` or `handler.js`.
//!
//! Handlers in `plugins/NAME` become drop-ins, `plugins/NAME.wasm`. Handlers in `plugins/NAME/LANGUAGE` are translations
//! of the handler NAME for tests or benchmarks, and become `target/handlers/NAME-LANGUAGE.wasm`. A language's toolchain
//! is only installed when there is something to build with it.

mod c;
mod js;
mod python;

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

pub(crate) use c::compiler as c_compiler;
pub(crate) use js::node;
pub(crate) use python::world as python_world;

use crate::{process::step, workspace};

/// The sources of a handler, and the file to build.
#[derive(Debug, PartialEq)]
pub(crate) struct Guest {
    language: Language,
    folder: PathBuf,
    file: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Language {
    C,
    Js,
    Python,
}

impl Language {
    const ALL: [Self; 3] = [Self::C, Self::Js, Self::Python];

    /// Returns the file that makes a folder a handler.
    fn main(self) -> &'static str {
        match self {
            Self::C => "handler.c",
            Self::Js => "handler.js",
            Self::Python => "handler.py",
        }
    }

    /// Returns the SDK's folder below plugins/.
    fn sdk(self) -> &'static str {
        match self {
            Self::C => "sdk-c",
            Self::Js => "sdk-js",
            Self::Python => "sdk-python",
        }
    }
}

/// Returns the handlers that a daemon runs.
pub(crate) fn drop_ins(plugins: &Path) -> Result<Vec<Guest>> {
    find(plugins, |name| plugins.join(format!("{name}.wasm")))
}

/// Returns the translations of a handler.
pub(crate) fn translations(of: &str, plugins: &Path, apart: &Path) -> Result<Vec<Guest>> {
    find(&plugins.join(of), |language| {
        apart.join(format!("{of}-{language}.wasm"))
    })
}

fn find(within: &Path, file: impl Fn(&str) -> PathBuf) -> Result<Vec<Guest>> {
    let mut guests = Vec::new();
    for folder in entries(within)? {
        let Some(name) = folder.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        let language = Language::ALL
            .into_iter()
            .find(|language| folder.join(language.main()).is_file());
        guests.extend(language.map(|language| Guest {
            language,
            file: file(name),
            folder: folder.clone(),
        }));
    }
    Ok(guests)
}

/// Builds the handlers whose sources, SDK (which names its toolchain) or contract have changed since they were built,
/// because Python takes half a minute.
pub(crate) fn build(guests: &[Guest]) -> Result<()> {
    for guest in guests {
        let shown = guest.file.strip_prefix(workspace::root());
        let shown = shown.unwrap_or(&guest.file).display();
        let made_from = guest.made_from()?;
        let note = guest.note();
        if guest.file.is_file() && fs::read(&note).is_ok_and(|old| old == made_from) {
            step(format_args!("{shown}: up to date"));
            continue;
        }
        step(format_args!("building {}", guest.folder.display()));
        let made = match guest.language {
            Language::C => c::build(&guest.folder),
            Language::Js => js::build(&guest.folder),
            Language::Python => python::build(&guest.folder),
        };
        let made = made
            .with_context(|| format!("cannot build a handler from {}", guest.folder.display()))?;
        super::write(&guest.file, &made)?;
        fs::write(&note, made_from).with_context(|| format!("cannot write {}", note.display()))?;
        step(format_args!("{shown}: {} kB", made.len() / 1000));
    }
    Ok(())
}

impl Guest {
    /// Returns everything that the handler depends on, as one text.
    fn made_from(&self) -> Result<Vec<u8>> {
        let root = workspace::root();
        let mut all = Vec::new();
        for folder in [
            &self.folder,
            &root.join("plugins").join(self.language.sdk()),
            &root.join("wit"),
        ] {
            append(folder, &mut all)?;
        }
        Ok(all)
    }

    /// Returns the file that keeps this text, outside of the folder that a daemon watches.
    fn note(&self) -> PathBuf {
        let name = self.file.with_extension("made-from");
        workspace::root()
            .join("target/handlers")
            .join(name.file_name().unwrap_or_default())
    }
}

fn append(folder: &Path, to: &mut Vec<u8>) -> Result<()> {
    for path in entries(folder)? {
        let made_or_tested = path.ends_with("__pycache__") || path.ends_with("tests");
        if path.is_dir() && !made_or_tested {
            append(&path, to)?;
        } else if path.is_file() {
            to.extend(format!("\n== {}\n", path.display()).bytes());
            to.extend(fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?);
        }
    }
    Ok(())
}

/// Returns the paths in a folder, sorted by name.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let failed = || format!("cannot read {}", folder.display());
    let mut paths = Vec::new();
    for entry in folder.read_dir().with_context(failed)? {
        paths.push(entry.with_context(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_a_folder_with_a_handler() {
        let plugins = tempfile::tempdir().unwrap();
        let plugins = plugins.path();
        for file in [
            "10-a/handler.py",
            "b/handler.c",
            "sdk/eventos.js",
            "probe/js/handler.js",
        ] {
            let file = plugins.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, "").unwrap();
        }
        let guest = |language, folder: &str, file: &str| Guest {
            language,
            folder: plugins.join(folder),
            file: plugins.join(file),
        };
        assert_eq!(
            drop_ins(plugins).unwrap(),
            [
                guest(Language::Python, "10-a", "10-a.wasm"),
                guest(Language::C, "b", "b.wasm")
            ]
        );
        assert_eq!(
            translations("probe", plugins, &plugins.join("apart")).unwrap(),
            [guest(Language::Js, "probe/js", "apart/probe-js.wasm")]
        );
    }
}
