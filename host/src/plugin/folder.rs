//! The drop-in folder: which files in it are handlers, their names and their order.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// A handler's file that has not been read yet.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct HandlerFile {
    /// Path of the file.
    pub path: PathBuf,
    /// The file name without a leading "NN-" and ".wasm".
    pub name: String,
}

/// The reason why a folder does not yield a chain of handlers.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// The folder cannot be listed.
    #[error("cannot read the handlers' folder {}; create it, or set handlers.dir", dir.display())]
    Read {
        /// The folder.
        dir: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
    /// Two files have the same handler name, and so would share one configuration.
    #[error("{} and {} are both the handler {name}; rename one", first.display(), second.display())]
    SameName {
        /// The handler name.
        name: String,
        /// The first file.
        first: PathBuf,
        /// The second file.
        second: PathBuf,
    },
}

impl HandlerFile {
    /// Returns the handler in the file at `path`.
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

/// Returns whether `name` may become a file name: up to 100 ASCII letters, digits, '-' and '_'.
#[must_use]
pub fn is_file_name(name: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=100).contains(&name.len()) && name.bytes().all(letter)
}

/// Returns every `*.wasm` directly inside `dir`, sorted by file name. Hidden files are ignored: editors and copying
/// tools write those before they rename them.
///
/// # Errors
/// Returns [`FolderError`] if the folder cannot be listed or two files have the same handler name.
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
