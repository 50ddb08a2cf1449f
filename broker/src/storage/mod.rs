//! The broker's folder: its lock, its format version, and writing a small file as a whole. What the other files in it
//! mean is not known here.
//!
//! ```text
//! lock                 held while a broker runs
//! meta                 "eventos-broker 2", then the cluster's id
//! running              which start of the machine a broker ran in; removed when it ends in order
//! topics               the registry of topics
//! offsets              what the groups committed, a journal
//! transactions         what producers have open or ended, a journal
//! producer-ids         the next producer id never handed out
//! logs/TOPIC-N/        the segments of one partition
//! ```

pub mod journal;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::Error;
use crate::ids::random_name;

const FORMAT: &str = "eventos-broker 2";
/// The format before it had neither index files nor checkpoints, which are made when they are missing.
const FORMAT_BEFORE: &str = "eventos-broker 1";
/// The extension of a file that is still being written.
pub const UNFINISHED: &str = "new";

/// What may be believed of the files of the last run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// All that was written: it ended in order, or was killed while the machine went on.
    All,
    /// What was synced, and else only what its checksum proves: the machine stopped under it.
    Checksums,
}

/// The folder, locked against other processes until it is dropped.
#[derive(Debug)]
pub struct Folder {
    path: PathBuf,
    meta: Meta,
    trust: Trust,
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
        let meta = read_meta(path)?;
        let trust = trust(path, &meta)?;
        Ok(Folder {
            path: path.to_owned(),
            meta,
            trust,
            _lock: lock,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What may be believed of what it holds.
    pub fn trust(&self) -> Trust {
        self.trust
    }

    /// Says that what the folder holds has been looked at, and that it is written to from now on. A start that ends before
    /// this leaves the next one as distrustful as itself.
    pub fn begin(&self) -> Result<(), Error> {
        let boot = boot_id().unwrap_or_default();
        write_whole(&self.path.join(RUNNING), boot.as_bytes())?;
        match self.meta.current {
            true => Ok(()),
            false => write_meta(&self.path, &self.meta.cluster_id),
        }
    }

    /// Says that everything is synced and nothing more will be written.
    pub fn end(&self) -> Result<(), Error> {
        let path = self.path.join(RUNNING);
        fs::remove_file(&path)
            .and_then(|()| sync_folder_of(&path))
            .map_err(Error::io("remove", &path))
    }

    /// A name for this broker that restarts do not change.
    pub fn cluster_id(&self) -> &str {
        &self.meta.cluster_id
    }
}

const META: &str = "meta";
const RUNNING: &str = "running";

#[derive(Debug)]
struct Meta {
    cluster_id: String,
    /// It was written by this version.
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
        FORMAT | FORMAT_BEFORE => Ok(Meta {
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
    write_whole(&folder.join(META), text.as_bytes())
}

/// The files of the version before do not tell how its last run ended.
fn trust(folder: &Path, meta: &Meta) -> Result<Trust, Error> {
    let ran_in = read_if_exists(&folder.join(RUNNING))?;
    Ok(match (ran_in, boot_id()) {
        (None, _) if meta.current => Trust::All,
        (Some(ran_in), Some(boot)) if ran_in == boot.as_bytes() => Trust::All,
        _ => Trust::Checksums,
    })
}

/// What the kernel calls this start of the machine; `None` where it does not say.
fn boot_id() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
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
    let write = || {
        replace(path, |file| {
            file.write_all(bytes)?;
            file.sync_all()
        })?;
        sync_folder_of(path)
    };
    write().map_err(Error::io("write", path))
}

/// Replaces a file by what `write` writes: whole or, where that fails, not at all. A kill leaves the old bytes or the
/// new ones; so does a power cut if `write` syncs.
pub fn replace(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let new = path.with_extension(UNFINISHED);
    let replaced = File::create(&new)
        .and_then(|mut file| write(&mut file))
        .and_then(|()| fs::rename(&new, path));
    if replaced.is_err() {
        let _ = fs::remove_file(&new);
    }
    replaced
}

/// Makes it last that a file has this name, or has it no more.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A copy of a folder and all in it: what a kill at this moment would leave.
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
        let first = Folder::open(dir.path()).unwrap();
        let refused = Folder::open(dir.path()).unwrap_err();
        assert!(matches!(refused, Error::Locked(_)), "{refused}");
        let cluster = first.cluster_id().to_owned();
        drop(first);
        assert_eq!(Folder::open(dir.path()).unwrap().cluster_id(), cluster);
    }

    #[test]
    fn only_the_end_of_the_machine_costs_trust() {
        let dir = tempfile::tempdir().unwrap();
        let open = || Folder::open(dir.path()).unwrap();
        assert_eq!(open().trust(), Trust::All);
        open().begin().unwrap();
        assert_eq!(open().trust(), Trust::All);
        fs::write(dir.path().join(RUNNING), "another start of the machine").unwrap();
        // Also if the start that looks at the files is killed while it does.
        for _ in 0..2 {
            assert_eq!(open().trust(), Trust::Checksums);
        }
        open().begin().unwrap();
        assert_eq!(open().trust(), Trust::All);
        open().end().unwrap();
        assert_eq!(open().trust(), Trust::All);
    }

    #[test]
    fn the_format_before_is_taken_over() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("meta"), "eventos-broker 1\nmine\n").unwrap();
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(
            (folder.cluster_id(), folder.trust()),
            ("mine", Trust::Checksums)
        );
        drop(folder);
        // Not before its files have been looked at.
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!(folder.trust(), Trust::Checksums);
        folder.begin().unwrap();
        folder.end().unwrap();
        drop(folder);
        let folder = Folder::open(dir.path()).unwrap();
        assert_eq!((folder.cluster_id(), folder.trust()), ("mine", Trust::All));
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
