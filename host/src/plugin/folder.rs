//! The drop-in folder: which files in it are handlers, their names and their order.

use std::{
    collections::{BTreeMap, btree_map::Entry},
    ffi::OsStr,
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

/// The folder of the handlers cannot be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the handlers' folder {}; create it, or set handlers.dir", dir.display())]
pub struct FolderError {
    /// The folder.
    pub dir: PathBuf,
    /// The error of the operating system.
    #[source]
    pub source: io::Error,
}

/// Two files have the same handler name, and so would share one configuration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} and {} are both the handler {name}; rename one", first.display(), second.display())]
pub struct SameName {
    /// The handler name.
    pub name: String,
    /// The first file.
    pub first: PathBuf,
    /// The second file.
    pub second: PathBuf,
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

/// Returns everything called `*.wasm` directly inside `dir`, sorted by file name, whether or not it can be read. Hidden
/// files are ignored: editors and copying tools write those before they rename them.
///
/// # Errors
/// Returns [`FolderError`] if the folder cannot be listed.
pub fn discover(dir: &Path) -> Result<Vec<HandlerFile>, FolderError> {
    let read = |source| FolderError {
        dir: dir.to_owned(),
        source,
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(read)? {
        let path = entry.map_err(read)?.path();
        if is_handler(&path) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths.iter().map(|path| HandlerFile::at(path)).collect())
}

/// Returns the pairs of files with the same handler name: each such file but the first of its name, with that first one.
#[must_use]
pub fn same_names(files: &[HandlerFile]) -> Vec<SameName> {
    let mut first = BTreeMap::new();
    let mut same = Vec::new();
    for file in files {
        match first.entry(&file.name) {
            Entry::Vacant(entry) => {
                entry.insert(&file.path);
            }
            Entry::Occupied(entry) => same.push(SameName {
                name: file.name.clone(),
                first: (*entry.get()).clone(),
                second: file.path.clone(),
            }),
        }
    }
    same
}

/// Returns whether a file in the folder is called as handlers are.
pub(super) fn is_handler(path: &Path) -> bool {
    let name = path.file_name().map(OsStr::as_encoded_bytes);
    let is_hidden = name.is_none_or(|name| name.starts_with(b"."));
    !is_hidden && path.extension().is_some_and(|end| end == "wasm")
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
    fn what_is_called_wasm_counts_and_pairs_of_one_name_are_found() {
        let dir = tempfile::tempdir().expect("a folder");
        for name in ["20-b.wasm", "10-a.wasm", ".c.wasm", ".wasm", "notes.txt"] {
            fs::write(dir.path().join(name), "").expect("written");
        }
        // They cannot be handlers, but they are called as handlers are.
        fs::create_dir(dir.path().join("d.wasm")).expect("made");
        std::os::unix::fs::symlink("nowhere", dir.path().join("e.wasm")).expect("linked");
        let found = discover(dir.path()).expect("listed");
        let names: Vec<_> = found.iter().map(|file| file.name.as_str()).collect();
        assert_eq!(names, ["a", "b", "d", "e"]);
        assert_eq!(same_names(&found), []);
        fs::write(dir.path().join("a.wasm"), "").expect("written");
        fs::write(dir.path().join("11-a.wasm"), "").expect("written");
        let same = same_names(&discover(dir.path()).expect("listed"));
        let [one, other] = <[_; 2]>::try_from(same).expect("two pairs");
        assert!(one.to_string().contains("both the handler a"), "{one}");
        let seconds = [one, other].map(|pair| (pair.first.ends_with("10-a.wasm"), pair.second));
        let [eleven, bare] = ["11-a.wasm", "a.wasm"].map(|name| (true, dir.path().join(name)));
        assert_eq!(seconds, [eleven, bare]);
    }
}
