//! The broker's folder: its lock, its format version, and writing a small file as a whole. What the other files in it
//! mean is not known here.
//!
//! ```text
//! lock                 held while a broker runs
//! meta                 "eventos-broker 1", then the cluster's id
//! topics               the registry of topics
//! offsets              what the groups committed, a journal
//! transactions         what producers have open or ended, a journal
//! producer-ids         the next producer id never handed out
//! logs/TOPIC-N/        the segments of one partition
//! ```

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::Error;
use super::ids::random_name;

const FORMAT: &str = "eventos-broker 1";

/// The folder, locked against other processes until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    cluster_id: String,
    /// The operating system releases it with the file, so a killed process leaves nothing to clean up.
    _lock: File,
}

impl Folder {
    /// Makes the folder when missing, locks it and checks its version.
    pub fn open(path: &Path) -> Result<Folder, Error> {
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let lock_path = path.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&lock_path)
            .map_err(Error::io("open", &lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked(path.to_owned())),
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &lock_path)(source)),
        }
        let cluster_id = read_meta(path)?;
        Ok(Folder {
            path: path.to_owned(),
            cluster_id,
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name for this broker that restarts do not change.
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }
}

fn read_meta(folder: &Path) -> Result<String, Error> {
    let path = folder.join("meta");
    let Some(text) = read_if_exists(&path)? else {
        let cluster_id = random_name();
        write_whole(&path, format!("{FORMAT}\n{cluster_id}\n").as_bytes())?;
        return Ok(cluster_id);
    };
    let text = String::from_utf8_lossy(&text);
    match text.split_once('\n') {
        Some((FORMAT, cluster_id)) => Ok(cluster_id.trim().to_owned()),
        _ => Err(Error::Format {
            path,
            found: text.lines().next().unwrap_or_default().to_owned(),
            expected: FORMAT,
        }),
    }
}

/// The bytes of a small file, or `None` where there is none.
pub fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Replaces a small file so that whoever reads it, after any crash, sees the old bytes or the new ones.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let new = path.with_extension("new");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        // The rename itself is durable once the folder is.
        match path.parent() {
            Some(folder) => File::open(folder)?.sync_all(),
            None => Ok(()),
        }
    };
    write().map_err(Error::io("write", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_locked_once_and_keeps_its_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let first = Folder::open(dir.path()).unwrap();
        let refused = Folder::open(dir.path()).unwrap_err();
        assert!(matches!(refused, Error::Locked(_)), "{refused}");
        let cluster = first.cluster_id().to_owned();
        drop(first);
        assert_eq!(Folder::open(dir.path()).unwrap().cluster_id(), cluster);
    }

    #[test]
    fn another_format_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("meta"), "eventos-broker 9\nx\n").unwrap();
        let refused = Folder::open(dir.path()).unwrap_err();
        assert!(
            refused.to_string().contains("eventos-broker 9"),
            "{refused}"
        );
    }
}
