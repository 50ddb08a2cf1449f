//! The drop-in folder: which files in it are handlers, what they are called, and their order.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A handler's file, not yet read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HandlerFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its name without a leading "NN-" and ".wasm".
    pub name: String,
}

/// Why a folder does not give a chain of handlers.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// It cannot be listed.
    #[error("the handlers' folder {} cannot be read; make it, or set handlers.dir", dir.display())]
    Read {
        /// The folder.
        dir: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Two files would share one name, and so one configuration.
    #[error("{} and {} are both the handler {name}; rename one", first.display(), second.display())]
    SameName {
        /// The name.
        name: String,
        /// One file.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
}

impl HandlerFile {
    /// The handler in the file at `path`.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let name = match stem.split_once('-') {
            Some((digits, rest))
                if !digits.is_empty()
                    && !rest.is_empty()
                    && digits.bytes().all(|byte| byte.is_ascii_digit()) =>
            {
                rest
            }
            _ => &stem,
        };
        Self {
            path: path.to_owned(),
            name: name.to_owned(),
        }
    }
}

/// Whether a handler may be called so where the name becomes a file's: up to 100 ASCII letters, digits, '-' and '_'.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=100).contains(&name.len()) && name.bytes().all(letter)
}

/// Every `*.wasm` directly inside `dir`, by file name. Hidden files are left alone: editors and
/// copying tools write those before they rename.
///
/// # Errors
/// [`FolderError`].
pub fn discover(dir: &Path) -> Result<Vec<HandlerFile>, FolderError> {
    let read = |source| FolderError::Read {
        dir: dir.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(read)? {
        let path = entry.map_err(read)?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if !hidden && path.extension().is_some_and(|end| end == "wasm") && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    let files: Vec<_> = paths.iter().map(|path| HandlerFile::at(path)).collect();
    for (i, file) in files.iter().enumerate() {
        if let Some(first) = files[..i].iter().find(|other| other.name == file.name) {
            return Err(FolderError::SameName {
                name: file.name.clone(),
                first: first.path.clone(),
                second: file.path.clone(),
            });
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leading_number_orders_and_is_no_part_of_the_name() {
        for (file, name) in [
            ("store.wasm", "store"),
            ("10-filter.wasm", "filter"),
            ("10-my-filter.wasm", "my-filter"),
            ("my-filter.wasm", "my-filter"),
            ("10-.wasm", "10-"),
            ("-x.wasm", "-x"),
        ] {
            assert_eq!(HandlerFile::at(Path::new(file)).name, name, "{file}");
        }
    }

    #[test]
    fn only_wasm_files_count_and_names_are_unique() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["20-b.wasm", "10-a.wasm", ".c.wasm", "notes.txt"] {
            fs::write(dir.path().join(name), "").expect("written");
        }
        fs::create_dir(dir.path().join("d.wasm")).expect("made");
        let found = discover(dir.path()).expect("listed");
        let names: Vec<_> = found.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        fs::write(dir.path().join("a.wasm"), "").expect("written");
        let error = discover(dir.path()).expect_err("two are called a");
        assert!(error.to_string().contains("both the handler a"), "{error}");
    }
}
