//! The folder of a new handler: its files and their content.

use std::{collections::BTreeMap, fs, io, os::unix::fs::PermissionsExt, path::Path};

use anyhow::Result;

use super::{
    Language,
    files::{README, SAMPLES, SCRIPT, WIT, WORKSPACE},
    manifest,
};
use crate::plugin::HandlerFile;

/// The script that builds the handler and runs it on the samples.
const BUILD: &str = "build.sh";

/// A setting of the handler, for `--set` and in TOML.
const SET: &str = "least=6";
const EXAMPLE: &str = "least = 6, alerts = \"alerts\"";

/// Files by their paths within the folder.
pub(super) struct Scaffold(BTreeMap<String, String>);

/// Texts that depend on the language.
struct Words {
    language: &'static str,
    /// The lines of `.gitignore` for build products other than the component.
    ignored: &'static str,
    /// The command that runs the unit tests.
    test: &'static str,
}

impl Scaffold {
    /// Returns the files of a handler with this name. `eventos` is the path of this program, for `build.sh`.
    ///
    /// # Errors
    /// If the manifest of the SDK inherits a setting that the workspace does not have.
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
                ("test", words.test),
                ("set", SET),
                ("example", EXAMPLE),
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
        files.insert(
            ".gitignore".to_owned(),
            format!("/*.wasm\n{}", words.ignored),
        );
        Ok(Self(files))
    }

    /// Creates `folder` and writes the files into it.
    ///
    /// # Errors
    /// If a folder or a file cannot be written.
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
        match self {
            Self::Rust => Words {
                language: "Rust",
                ignored: "/target\n",
                test: "cargo test",
            },
            Self::Js => Words {
                language: "JavaScript",
                ignored: "/node_modules\n",
                test: "node --test",
            },
            Self::Python => Words {
                language: "Python",
                ignored: "/.venv\n__pycache__\n",
                test: "PYTHONPATH=sdk python3 -m unittest",
            },
            Self::C => Words {
                language: "C",
                ignored: "/tests/test\n",
                test: "cc -DEVENTOS_UNIT_TEST -Wno-attributes -I sdk sdk/*.c *.c tests/test.c -o tests/test && tests/test",
            },
        }
    }
}

/// Returns a file of the SDK as it has to be in a scaffold, without a workspace, and with `wit` in the parent
/// folder.
fn sdk(language: Language, path: &str, text: &str) -> Result<String> {
    match (language, path) {
        (Language::Rust, "Cargo.toml") => manifest::inlined(text, WORKSPACE),
        (Language::Rust, "src/lib.rs") => Ok(text.replace("path: \"wit\"", "path: \"../wit\"")),
        _ => Ok(text.to_owned()),
    }
}

/// Quotes a text as one word of a shell.
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
