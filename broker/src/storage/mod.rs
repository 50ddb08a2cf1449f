//! The data folder: its lock, its format version, and atomic writes of small files.
//!
//! ```text
//! lock                 locked while a broker runs
//! meta                 "eventos-broker 2", then the cluster id
//! running              the boot id of the machine while a broker runs; removed by an orderly shutdown
//! topics               the registry of topics
//! offsets              a journal of the offsets that groups commit
//! groups               a journal of the members of groups and their assignments
//! transactions         a journal of the transactions of producers
//! producer-ids         the next producer id that was never assigned
//! logs/TOPIC-N/        the segments of one partition
//! ```
//!
//! The content of the other files is up to the modules that own them.

pub(crate) mod journal;

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write},
    path::{Path, PathBuf},
};

use crate::{Error, ids::random_name};

const FORMAT: &str = "eventos-broker 2";
/// The previous format. It lacks index files and checkpoints, which are created when they are missing.
const PREVIOUS_FORMAT: &str = "eventos-broker 1";
/// The extension of a file that is still being written.
pub(crate) const UNFINISHED: &str = "new";

/// How far the files of the last run can be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trust {
    /// Everything that was written is there: the broker shut down in order, or only its process was killed.
    All,
    /// The machine went down while the broker ran: what was not synced has to be checked against its checksums.
    Checksums,
}

/// The data folder, locked against other processes until it is dropped.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    meta: Meta,
    trust: Trust,
    /// The operating system releases the lock when the file is closed, so a killed process leaves no stale lock.
    _lock: File,
}

impl DataFolder {
    /// Creates the folder if it does not exist, locks it and checks its format version.
    pub(crate) fn open(path: &Path) -> Result<DataFolder, Error> {
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
        let meta = read_meta(path)?;
        let trust = trust(path, &meta)?;
        Ok(DataFolder {
            path: path.to_owned(),
            meta,
            trust,
            _lock: lock,
        })
    }

    /// Returns the path of the folder.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns how far the content of the folder can be trusted.
    pub(crate) fn trust(&self) -> Trust {
        self.trust
    }

    /// Notes that the logs have been recovered and that a broker writes to the folder from now on.
    ///
    /// If a start fails before this, the next one trusts the files no more than that one did.
    pub(crate) fn mark_running(&self) -> Result<(), Error> {
        let boot = boot_id().unwrap_or_default();
        write_atomically(&self.path.join(RUNNING), boot.as_bytes())?;
        match self.meta.current {
            true => Ok(()),
            false => write_meta(&self.path, &self.meta.cluster_id),
        }
    }

    /// Notes that everything is synced and that nothing more will be written.
    pub(crate) fn mark_stopped(&self) -> Result<(), Error> {
        let path = self.path.join(RUNNING);
        fs::remove_file(&path)
            .and_then(|()| sync_folder_of(&path))
            .map_err(Error::io("remove", &path))
    }

    /// Returns the name of the cluster, which stays the same across restarts.
    pub(crate) fn cluster_id(&self) -> &str {
        &self.meta.cluster_id
    }
}

const META: &str = "meta";
const RUNNING: &str = "running";

#[derive(Debug)]
struct Meta {
    cluster_id: String,
    /// Whether the file has the current format.
    current: bool,
}

fn read_meta(folder: &Path) -> Result<Meta, Error> {
    let path = folder.join(META);
    let Some(text) = read_if_exists(&path)? else {
        let cluster_id = random_name();
        write_meta(folder, &cluster_id)?;
        return Ok(Meta {
            cluster_id,
            current: true,
        });
    };
    let text = String::from_utf8_lossy(&text);
    let (format, cluster_id) = text.split_once('\n').unwrap_or((&text, ""));
    match format {
        FORMAT | PREVIOUS_FORMAT => Ok(Meta {
            cluster_id: cluster_id.trim().to_owned(),
            current: format == FORMAT,
        }),
        _ => Err(Error::Format {
            path,
            found: format.to_owned(),
            expected: FORMAT,
        }),
    }
}

fn write_meta(folder: &Path, cluster_id: &str) -> Result<(), Error> {
    let text = format!("{FORMAT}\n{cluster_id}\n");
    write_atomically(&folder.join(META), text.as_bytes())
}

/// Decides how far the files can be trusted. The previous format does not say how the last run ended.
fn trust(folder: &Path, meta: &Meta) -> Result<Trust, Error> {
    let ran_in = read_if_exists(&folder.join(RUNNING))?;
    Ok(match (ran_in, boot_id()) {
        (None, _) if meta.current => Trust::All,
        (Some(ran_in), Some(boot)) if ran_in == boot.as_bytes() => Trust::All,
        _ => Trust::Checksums,
    })
}

/// Returns the id of this boot of the machine, or `None` where the kernel provides none.
fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// Reads a small file, or returns `None` if it does not exist.
pub(crate) fn read_if_exists(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    match fs::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Replaces a small file atomically and durably: after a crash or a power cut it has the old bytes or the new ones.
pub(crate) fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        replace(path, |file| {
            file.write_all(bytes)?;
            file.sync_all()
        })?;
        sync_folder_of(path)
    };
    write().map_err(Error::io("write", path))
}

/// Replaces a file by what `write` writes, or leaves it alone if that fails. A kill leaves the old bytes or the new ones,
/// and so does a power cut if `write` syncs.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    let new = path.with_extension(UNFINISHED);
    let replaced = File::create(&new)
        .and_then(|mut file| write(&mut file))
        .and_then(|()| fs::rename(&new, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&new);
    }
    replaced
}

/// Returns the error of a file that takes no more writes, because its disk may have lost earlier ones.
pub(crate) fn failed_disk() -> io::Error {
    io::Error::other(
        "syncing to disk failed, so earlier writes may be lost: check the disk, then restart the broker",
    )
}

/// Syncs the folder of a file, which makes creating, renaming or removing the file durable.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Copies a folder and everything in it, as a kill at this moment would leave it.
    pub(crate) fn copy(folder: &Path) -> tempfile::TempDir {
        fn copy_all(from: &Path, to: &Path) {
            fs::create_dir_all(to).unwrap();
            for entry in fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                let to = to.join(entry.file_name());
                match entry.file_type().unwrap().is_dir() {
                    true => copy_all(&entry.path(), &to),
                    false => drop(fs::copy(entry.path(), to).unwrap()),
                }
            }
        }
        let copy = tempfile::tempdir().unwrap();
        copy_all(folder, copy.path());
        copy
    }

    #[test]
    fn a_folder_is_locked_once_and_keeps_its_cluster() {
        let dir = tempfile::tempdir().unwrap();
        let first = DataFolder::open(dir.path()).unwrap();
        let refused = DataFolder::open(dir.path()).unwrap_err();
        assert!(matches!(refused, Error::Locked(_)), "{refused}");
        let cluster = first.cluster_id().to_owned();
        drop(first);
        assert_eq!(DataFolder::open(dir.path()).unwrap().cluster_id(), cluster);
    }

    #[test]
    fn only_the_end_of_the_machine_costs_trust() {
        let dir = tempfile::tempdir().unwrap();
        let open = || DataFolder::open(dir.path()).unwrap();
        assert_eq!(open().trust(), Trust::All);
        open().mark_running().unwrap();
        assert_eq!(open().trust(), Trust::All);
        fs::write(dir.path().join(RUNNING), "another start of the machine").unwrap();
        // This also holds if the start is killed while it checks the files.
        for _ in 0..2 {
            assert_eq!(open().trust(), Trust::Checksums);
        }
        open().mark_running().unwrap();
        assert_eq!(open().trust(), Trust::All);
        open().mark_stopped().unwrap();
        assert_eq!(open().trust(), Trust::All);
    }

    #[test]
    fn the_format_before_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("meta"), "eventos-broker 1\nmine\n").unwrap();
        let folder = DataFolder::open(dir.path()).unwrap();
        assert_eq!(
            (folder.cluster_id(), folder.trust()),
            ("mine", Trust::Checksums)
        );
        drop(folder);
        // Only a start that has checked the files restores trust in them.
        let folder = DataFolder::open(dir.path()).unwrap();
        assert_eq!(folder.trust(), Trust::Checksums);
        folder.mark_running().unwrap();
        folder.mark_stopped().unwrap();
        drop(folder);
        let folder = DataFolder::open(dir.path()).unwrap();
        assert_eq!((folder.cluster_id(), folder.trust()), ("mine", Trust::All));
    }

    #[test]
    fn another_format_is_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("meta"), "eventos-broker 9\nx\n").unwrap();
        let refused = DataFolder::open(dir.path()).unwrap_err();
        assert!(
            refused.to_string().contains("eventos-broker 9"),
            "{refused}"
        );
    }
}
