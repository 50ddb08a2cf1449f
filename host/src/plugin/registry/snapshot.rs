//! What the drop-in folder looks like, as far as that can be found out without reading its files.

use std::{
    fs::{self, Metadata},
    io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

use crate::plugin::folder::is_handler;

/// The handlers in a folder, and their signatures. Two snapshots differ if a file was written, replaced, renamed or removed
/// in between, or if a symbolic link now leads elsewhere, be it a file, the folder or one of its parents.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FolderSnapshot {
    /// Each file in the order of the names.
    Files(Vec<(PathBuf, FileSnapshot)>),
    /// The folder cannot be listed.
    Unreadable(io::ErrorKind),
}

/// A file, if there is one behind its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FileSnapshot {
    File {
        device: u64,
        inode: u64,
        len: u64,
        mode: u32,
        /// Seconds and nanoseconds since 1970.
        modified: (i64, i64),
        /// Seconds and nanoseconds since 1970. It also changes with the permissions and the name.
        changed: (i64, i64),
    },
    Unreadable(io::ErrorKind),
}

impl FolderSnapshot {
    pub(super) fn take(dir: &Path) -> Self {
        match Self::files(dir) {
            Ok(files) => Self::Files(files),
            Err(error) => Self::Unreadable(error.kind()),
        }
    }

    fn files(dir: &Path) -> io::Result<Vec<(PathBuf, FileSnapshot)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(dir)? {
            let path = entry?.path();
            let is_signature = path.extension().is_some_and(|end| end == "sig");
            if is_handler(&path) || is_signature && is_handler(&path.with_extension("")) {
                // This follows links, so it notices when they lead elsewhere.
                let file = FileSnapshot::of(fs::metadata(&path));
                files.push((path, file));
            }
        }
        files.sort_by(|(a, _), (b, _)| a.cmp(b));
        Ok(files)
    }
}

impl FileSnapshot {
    fn of(metadata: io::Result<Metadata>) -> Self {
        match metadata {
            Ok(file) => Self::File {
                device: file.dev(),
                inode: file.ino(),
                len: file.len(),
                mode: file.mode(),
                modified: (file.mtime(), file.mtime_nsec()),
                changed: (file.ctime(), file.ctime_nsec()),
            },
            Err(error) => Self::Unreadable(error.kind()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// Checks that each of these changes is seen, in this order.
    fn assert_each_is_seen(dir: &Path, changes: &[&dyn Fn()]) {
        let mut last = FolderSnapshot::take(dir);
        assert_eq!(FolderSnapshot::take(dir), last);
        for (number, change) in changes.iter().enumerate() {
            change();
            let now = FolderSnapshot::take(dir);
            assert_ne!(now, last, "change {number}");
            last = now;
        }
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }

    fn link(target: &Path, path: &Path) {
        let _ = fs::remove_file(path);
        symlink(target, path).expect("linked");
    }

    #[test]
    fn each_change_of_a_file_or_of_the_folder_is_seen() {
        let root = tempfile::tempdir().expect("a folder");
        let [dir, other] = ["plugins", "other"].map(|name| root.path().join(name));
        write(&dir.join("a.wasm"), "a");
        write(&other.join("a.wasm"), "a");
        let rename = |from: &Path, to: &Path| fs::rename(from, to).expect("renamed");
        assert_each_is_seen(
            &dir,
            &[
                &|| write(&dir.join("a.wasm"), "another"),
                &|| write(&dir.join("a.wasm.sig"), "s"),
                &|| rename(&dir.join("a.wasm"), &dir.join("b.wasm")),
                &|| fs::create_dir(dir.join("d.wasm")).expect("made"),
                &|| fs::remove_dir_all(&dir).expect("removed"),
                &|| fs::create_dir(&dir).expect("made"),
                &|| write(&dir.join("a.wasm"), "a"),
                &|| {
                    rename(&dir, &root.path().join("old"));
                    rename(&other, &dir);
                },
            ],
        );
        let before = FolderSnapshot::take(&dir);
        for name in ["notes.txt", ".a.wasm.new", "sig", ".sig"] {
            write(&dir.join(name), "x");
        }
        assert_eq!(FolderSnapshot::take(&dir), before);
    }

    #[test]
    fn a_link_that_leads_elsewhere_is_seen() {
        let root = tempfile::tempdir().expect("a folder");
        let at = |name: &str| root.path().join(name);
        for release in ["1", "2"] {
            let file = at("releases").join(release).join("plugins/a.wasm");
            write(&file, "a");
            write(&at(&format!("files/{release}.wasm")), "b");
        }
        link(&at("releases/1"), &at("current"));
        link(&at("current/plugins"), &at("plugins"));
        let dir = at("plugins");
        let file = dir.join("b.wasm");
        assert_each_is_seen(
            &dir,
            &[
                &|| link(&at("releases/2"), &at("current")),
                &|| link(&at("releases/1/plugins"), &dir),
                &|| link(&at("files/1.wasm"), &file),
                &|| link(&at("files/2.wasm"), &file),
                &|| write(&at("files/2.wasm"), "other"),
                &|| fs::remove_file(at("files/2.wasm")).expect("removed"),
                &|| link(&at("nowhere"), &dir),
                &|| link(&at("current/plugins"), &dir),
            ],
        );
    }
}
