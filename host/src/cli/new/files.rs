//! The files of this repository that go into a scaffold.

use super::Language;

/// A path within the folder, and the text of the file.
pub(super) type File = (&'static str, &'static str);

/// `files!("folder": "a", "b")` includes files of a folder, which is relative to this file.
macro_rules! files {
    ($folder:literal: $($name:literal),+ $(,)?) => {
        &[$(($name, include_str!(concat!($folder, "/", $name)))),+]
    };
}

/// The contract with handlers.
pub(super) const WIT: &[File] = files!("../../../../wit": "host.wit", "types.wit", "world.wit");

const RUST: &[File] = files!("../../../../plugins/sdk":
    "Cargo.toml", "LICENSE", "README.md", "src/call.rs", "src/columns.rs", "src/config.rs", "src/emit.rs", "src/evento.rs",
    "src/json.rs", "src/lib.rs", "src/log.rs", "src/outcome.rs", "src/record.rs", "src/seed.rs", "src/settings.rs",
    "src/store.rs", "src/testing.rs", "src/tests.rs",
);

const JS: &[File] = files!("../../../../plugins/sdk-js":
    "build.cjs", "eventos.js", "eventos/bytes.js", "eventos/current.js", "eventos/evento.js", "eventos/format.js",
    "eventos/outcome.js", "eventos/pointer.js", "eventos/random.js", "eventos/record.js", "eventos/settings.js",
    "testing.mjs", "toolchain.txt",
);

const PYTHON: &[File] = files!("../../../../plugins/sdk-python":
    "build.py", "eventos/__init__.py", "eventos/answer.py", "eventos/columns.py", "eventos/component.py",
    "eventos/config.py", "eventos/current.py", "eventos/emit.py", "eventos/evento.py", "eventos/log.py",
    "eventos/outcome.py", "eventos/pointer.py", "eventos/preload.py", "eventos/randomness.py", "eventos/record.py",
    "eventos/settings.py", "eventos/store.py", "eventos/testing.py", "release.py", "toolchain.txt",
);

const C: &[File] = files!("../../../../plugins/sdk-c":
    "call.c", "columns.c", "effects.c", "eventos.h", "flags.txt", "format.c", "internal.h", "memory.c", "pointer.c",
    "seed.c", "testing.c", "testing.h", "values.c",
);

/// The manifest whose settings the Rust SDK inherits.
pub(super) const WORKSPACE: &str = include_str!("../../../../Cargo.toml");

pub(super) const SAMPLES: &str = include_str!("../../../templates/samples.ndjson");
pub(super) const README: &str = include_str!("../../../templates/README.md");
/// What surrounds the steps of a language in `build.sh`.
pub(super) const SCRIPT: [&str; 2] = [
    include_str!("../../../templates/head.sh"),
    include_str!("../../../templates/tail.sh"),
];

impl Language {
    /// Returns the files of the SDK.
    pub(super) fn sdk(self) -> &'static [File] {
        match self {
            Self::Rust => RUST,
            Self::Js => JS,
            Self::Python => PYTHON,
            Self::C => C,
        }
    }

    /// Returns the files that the author edits. The first one is the handler.
    pub(super) fn template(self) -> &'static [File] {
        match self {
            Self::Rust => files!("../../../templates/rust": "src/lib.rs", "Cargo.toml"),
            Self::Js => {
                files!("../../../templates/js": "handler.js", "handler.test.mjs", "package.json")
            }
            Self::Python => files!("../../../templates/python": "handler.py", "test_handler.py"),
            Self::C => files!("../../../templates/c": "handler.c", "tests/test.c"),
        }
    }

    /// Returns the steps of the language in `build.sh`.
    pub(super) fn steps(self) -> &'static str {
        match self {
            Self::Rust => include_str!("../../../templates/rust/build.sh"),
            Self::Js => include_str!("../../../templates/js/build.sh"),
            Self::Python => include_str!("../../../templates/python/build.sh"),
            Self::C => include_str!("../../../templates/c/build.sh"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fs, path::Path};

    use super::*;

    /// Collects every file in a folder and its subfolders, except the tests of an SDK, the copy of the contract in the
    /// Rust SDK, and the caches of Python.
    fn found(folder: &Path, within: &str, all: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).expect("a folder") {
            let entry = entry.expect("read");
            let name = entry.file_name().into_string().expect("UTF-8");
            let path = format!("{within}{name}");
            match entry.file_type().expect("read").is_dir() {
                true if ["tests", "wit", "__pycache__"].contains(&&*name) => {}
                true => found(&entry.path(), &format!("{path}/"), all),
                false => drop(all.insert(path)),
            }
        }
    }

    /// A file that is added to an SDK has to be added here too, or the build of a scaffold would miss it.
    #[test]
    fn nothing_of_the_sdks_and_the_contract_is_left_out() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for (folder, files) in [
            ("wit", WIT),
            ("plugins/sdk", RUST),
            ("plugins/sdk-js", JS),
            ("plugins/sdk-python", PYTHON),
            ("plugins/sdk-c", C),
        ] {
            let mut there = BTreeSet::new();
            found(&root.join(folder), "", &mut there);
            let here = files.iter().map(|(name, _)| (*name).to_owned()).collect();
            assert_eq!(there, here, "{folder}");
        }
    }
}
