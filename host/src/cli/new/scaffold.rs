//! The folder of a new handler: which files it has, and what is in them.

use std::{collections::BTreeMap, fs, io, os::unix::fs::PermissionsExt, path::Path};

use anyhow::Result;

use super::{
    Language,
    embedded::{README, SAMPLES, SCRIPT, WIT, WORKSPACE},
    manifest,
};
use crate::plugin::HandlerFile;

/// The script that builds the handler, and runs it on the samples.
const BUILD: &str = "build.sh";

/// Files by their paths within the folder.
pub(super) struct Scaffold(BTreeMap<String, String>);

/// What is written of a language for people.
struct Words {
    language: &'static str,
    /// What git is to leave alone beside the component.
    made: &'static str,
    /// A setting of the handler, as `--set` and as TOML.
    set: &'static str,
    example: &'static str,
}

impl Scaffold {
    /// For a handler of this name, with which the program at `eventos` makes it.
    ///
    /// # Errors
    /// None but for a mistake in this repository.
    pub(super) fn new(name: &str, language: Language, eventos: &Path) -> Result<Self> {
        let words = language.words();
        let handler = HandlerFile::at(Path::new(&format!("{name}.wasm"))).name;
        let package = match handler.starts_with(|first: char| first.is_ascii_alphabetic()) {
            true => handler.clone(),
            false => format!("handler-{handler}"),
        };
        let toolchain = language
            .sdk()
            .iter()
            .find(|(name, _)| *name == "toolchain.txt");
        let toolchain = toolchain.and_then(|(_, text)| text.trim().split_once('@'));
        let main = language.template()[0].0;
        let fill = |text: &str| {
            [
                ("name", name),
                ("handler", &handler),
                ("package", &package),
                ("main", main),
                ("language", words.language),
                ("set", words.set),
                ("example", words.example),
                ("version", env!("CARGO_PKG_VERSION")),
                (
                    "componentize-qjs",
                    toolchain.map_or("", |(_, version)| version),
                ),
                ("eventos", &quoted(&eventos.to_string_lossy())),
            ]
            .into_iter()
            .fold(text.to_owned(), |text, (key, value)| {
                text.replace(&format!("{{{{{key}}}}}"), value)
            })
        };
        let mut files = BTreeMap::new();
        for (path, text) in language.template() {
            files.insert((*path).to_owned(), fill(text));
        }
        for (path, text) in language.sdk() {
            files.insert(format!("sdk/{path}"), sdk(language, path, text)?);
        }
        for (path, text) in WIT {
            files.insert(format!("wit/{path}"), (*text).to_owned());
        }
        let [head, tail] = SCRIPT;
        let script = [head, language.steps(), tail].concat();
        files.insert(BUILD.to_owned(), fill(&script));
        files.insert("README.md".to_owned(), fill(README));
        files.insert("samples.ndjson".to_owned(), SAMPLES.to_owned());
        files.insert(".gitignore".to_owned(), format!("/*.wasm\n{}", words.made));
        Ok(Self(files))
    }

    /// Writes the files into `folder`, which is made.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        for (path, text) in &self.0 {
            let path = folder.join(path);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, text)?;
        }
        fs::set_permissions(folder.join(BUILD), fs::Permissions::from_mode(0o755))
    }
}

impl Language {
    fn words(self) -> Words {
        let (set, example) = match self {
            Self::C => ("tipo=explosion", "tipo = \"explosion\""),
            _ => ("least=6", "least = 6"),
        };
        let (language, made) = match self {
            Self::Rust => ("Rust", "/target\n"),
            Self::Js => ("JavaScript", "/node_modules\n"),
            Self::Python => ("Python", "/.venv\n__pycache__\n"),
            Self::C => ("C", ""),
        };
        Words {
            language,
            made,
            set,
            example,
        }
    }
}

/// A file of the SDK: in the scaffold it has no workspace around it, and the contract one folder up.
fn sdk(language: Language, path: &str, text: &str) -> Result<String> {
    match (language, path) {
        (Language::Rust, "Cargo.toml") => manifest::inlined(text, WORKSPACE),
        (Language::Rust, "src/lib.rs") => Ok(text.replace("path: \"wit\"", "path: \"../wit\"")),
        _ => Ok(text.to_owned()),
    }
}

/// As one word of a shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn nothing_is_left_to_be_filled_in() {
        for language in Language::value_variants() {
            let program = Path::new("/opt/it's/eventos");
            let Scaffold(files) = Scaffold::new("10-alerts", *language, program).expect("made");
            for (path, text) in &files {
                let is_ours = !path.starts_with("sdk/") && !path.starts_with("wit/");
                assert!(!(is_ours && text.contains("{{")), "{path} of {language:?}");
            }
            assert!(files[BUILD].contains(r"eventos='/opt/it'\''s/eventos'"));
            assert!(files["README.md"].contains("[handler.alerts]"));
        }
    }

    #[test]
    fn a_package_begins_with_a_letter() {
        for (name, package) in [
            ("10-alerts", "alerts"),
            ("alerts", "alerts"),
            ("7", "handler-7"),
        ] {
            let made = Scaffold::new(name, Language::Rust, Path::new("eventos"));
            let Scaffold(files) = made.expect("made");
            let expected = format!("name = \"{package}\"\n");
            assert!(files["Cargo.toml"].contains(&expected), "{name}");
            assert!(files["sdk/src/lib.rs"].contains("path: \"../wit\""));
        }
    }
}
