//! What outlasts a restart of the daemon: the versions of the handlers that ran last, those before them, and the record of
//! the chain. A folder belongs to one drop-in folder and one group; if several daemons share both, each has its own.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, Read as _},
    os::unix::{ffi::OsStrExt as _, fs::DirBuilderExt as _},
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use super::record::ChainRecord;
use crate::{
    plugin::{Config, FileIdentity, HandlerSource, MAX_FILE, durable, user_key},
    telemetry::in_one_line,
};

/// File name of the record.
const RECORD: &str = "chain.json";

/// Name of the file that is locked while a daemon uses the folder.
const LOCK: &str = "lock";

/// Maximum size of a record in bytes; a larger file is not one. It has some 500 bytes for each handler.
const MAX_RECORD: u64 = 4 << 20;

/// Maximum number of daemons on this machine that share a drop-in folder and a group, and keep a record each.
const MAX_DAEMONS: u32 = 64;

/// Mode of the files and folders: only this user can read or change them.
const FILE_MODE: u32 = 0o600;
const FOLDER_MODE: u32 = 0o700;

/// The folder in which a daemon keeps the versions of its handlers and the record of its chain.
pub(super) struct VersionStore {
    /// The absolute path of the drop-in folder, with its symbolic links as they are.
    pub(super) drop_in: PathBuf,
    pub(super) group: String,
    dir: PathBuf,
    /// Locked while this daemon runs; the operating system releases the lock when it ends, however it ends.
    lock: Mutex<Option<File>>,
}

impl VersionStore {
    /// Returns the folder for this drop-in folder and group, or `None` if the configuration says that nothing is kept. If it
    /// cannot be written, what is there is still read.
    pub(super) fn open(config: &Config, group: &str) -> Option<Self> {
        if config.versions.as_os_str().is_empty() {
            return None;
        }
        // The links stay in the path, because a link that is changed leads to another release of the same chain.
        let drop_in = std::path::absolute(&config.dir).unwrap_or_else(|_| config.dir.clone());
        let key = Sha256::new()
            .chain_update(drop_in.as_os_str().as_bytes())
            .chain_update([0])
            .chain_update(group)
            .finalize();
        let key: String = key[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        let at = |number: u32| config.versions.join(format!("{key}-{number}"));
        let mut found = (at(1), None);
        for dir in (1..=MAX_DAEMONS).map(at) {
            match lock(&dir) {
                Ok(Some(lock)) => {
                    found = (dir, Some(lock));
                    break;
                }
                // Another daemon uses it.
                Ok(None) => {}
                // Each write tries again and reports that.
                Err(_) => {
                    found = (dir, None);
                    break;
                }
            }
        }
        let (dir, lock) = found;
        Some(Self {
            drop_in,
            group: group.to_owned(),
            dir,
            lock: Mutex::new(lock),
        })
    }

    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Returns the record of the chain that ran last, if there is one. One that cannot be used is logged and put aside.
    pub(super) fn record(&self) -> Option<ChainRecord> {
        let path = self.dir.join(RECORD);
        let shown = path.display();
        let bytes = match self.read_file(RECORD, MAX_RECORD) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::error!(%error, path = %shown, "cannot read the record of the last chain; this start is treated as the first one");
                return None;
            }
            Ok(bytes) => bytes,
        };
        match ChainRecord::parse(&bytes) {
            Ok(record) => Some(record),
            Err(fault) => {
                let why = in_one_line(&fault);
                tracing::error!(why, path = %shown, "cannot use the record of the last chain; this start is treated as the first one");
                // For people to look at: it is not read again.
                let _ = fs::rename(&path, path.with_extension("damaged"));
                None
            }
        }
    }

    /// Keeps the file of a handler, unless it is kept already.
    pub(super) fn keep(&self, source: &HandlerSource) -> io::Result<()> {
        self.prepare()?;
        if self.read(source.identity()).is_ok() {
            return Ok(());
        }
        let path = self.dir.join(file_of(source.digest()));
        durable::replace(&path, source.bytes(), FILE_MODE)
    }

    /// Replaces the record. If the chain is complete, versions that are not in it are removed.
    pub(super) fn write(&self, record: &ChainRecord) -> io::Result<()> {
        self.prepare()?;
        durable::replace(&self.dir.join(RECORD), &record.to_bytes(), FILE_MODE)?;
        match record.is_complete {
            true => self.sweep(record),
            false => Ok(()),
        }
    }

    /// Reads the file of a handler that is kept.
    pub(super) fn read(&self, identity: &FileIdentity) -> io::Result<HandlerSource> {
        let bytes = self.read_file(&file_of(&identity.digest), MAX_FILE)?;
        let signature = identity.signature.as_deref().map(<[u8]>::to_vec);
        let source = HandlerSource::new(bytes, signature);
        match source.digest() == identity.digest {
            true => Ok(source),
            false => Err(io::Error::other("it is damaged")),
        }
    }

    /// Makes the folder if it is missing, and locks it unless that has been done.
    fn prepare(&self) -> io::Result<()> {
        let mut held = self.lock.lock();
        if held.is_none() || !self.dir.is_dir() {
            *held = None;
            *held = lock(&self.dir)?;
        }
        match held.is_some() {
            true => Ok(()),
            false => Err(io::Error::other("another daemon uses it")),
        }
    }

    fn read_file(&self, name: &str, max: u64) -> io::Result<Vec<u8>> {
        let metadata = fs::symlink_metadata(&self.dir)?;
        user_key::check_owner(&self.dir, &metadata, user_key::WRITABLE)?;
        let path = self.dir.join(name);
        let file = user_key::open(&path)?;
        user_key::check_owner(&path, &file.metadata()?, user_key::WRITABLE)?;
        let mut bytes = Vec::new();
        file.take(max + 1).read_to_end(&mut bytes)?;
        match bytes.len() as u64 > max {
            true => Err(io::Error::other(format!(
                "it is larger than {max} bytes, the maximum"
            ))),
            false => Ok(bytes),
        }
    }

    /// Removes what a record does not name, so that the folder holds at most two versions of each handler.
    fn sweep(&self, record: &ChainRecord) -> io::Result<()> {
        let kept = record.digests();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let version = name.strip_suffix(".wasm");
            let is_left_over = name.starts_with('.') && name.ends_with(".new");
            if is_left_over || version.is_some_and(|digest| !kept.contains(digest)) {
                fs::remove_file(&path)?;
            }
        }
        Ok(())
    }
}

fn file_of(digest: &str) -> String {
    format!("{digest}.wasm")
}

/// Makes a folder that only this user can change, and locks it. Returns `None` if another process has locked it.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(FOLDER_MODE).create(dir)?;
    user_key::check_owner(dir, &fs::symlink_metadata(dir)?, user_key::WRITABLE)?;
    let mut options = File::options();
    let options = options.create(true).truncate(false).write(true);
    let file = options.open(dir.join(LOCK))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::{
        super::record::{HandlerRecord, VersionRecord},
        *,
    };

    fn config(dir: &Path) -> Config {
        Config {
            dir: dir.join("plugins"),
            versions: dir.join("data/versions"),
            ..Config::default()
        }
    }

    fn open(dir: &Path) -> VersionStore {
        VersionStore::open(&config(dir), "group").expect("it is configured")
    }

    fn record(store: &VersionStore, is_complete: bool, version: &HandlerSource) -> ChainRecord {
        let handler = HandlerRecord {
            name: "store".to_owned(),
            file: "store.wasm".to_owned(),
            current: Some(VersionRecord::new(version.identity())),
            previous: None,
            paused: false,
        };
        ChainRecord::new(&store.drop_in, &store.group, is_complete, vec![handler])
    }

    fn versions(store: &VersionStore) -> usize {
        let files = fs::read_dir(store.dir()).expect("listed");
        let names = files.map(|entry| entry.expect("listed").file_name());
        let is_version = |name: &std::ffi::OsString| name.to_string_lossy().ends_with(".wasm");
        names.filter(is_version).count()
    }

    #[test]
    fn what_is_kept_is_found_again_and_the_rest_goes() {
        let dir = tempfile::tempdir().expect("a folder");
        let [one, two] = [b"one", b"two"].map(|bytes| HandlerSource::new(bytes.to_vec(), None));
        let store = open(dir.path());
        assert!(store.record().is_none());
        store.keep(&one).expect("kept");
        store.keep(&two).expect("kept");
        store.write(&record(&store, false, &one)).expect("written");
        assert_eq!(versions(&store), 2);
        store.write(&record(&store, true, &two)).expect("written");
        assert_eq!(versions(&store), 1);
        let first = store.dir().to_owned();
        drop(store);
        let store = open(dir.path());
        assert_eq!(store.dir(), first);
        assert_eq!(store.record(), Some(record(&store, true, &two)));
        assert_eq!(store.read(two.identity()).expect("kept"), two);
        assert!(store.read(one.identity()).is_err());
        // If all of it is removed meanwhile, it is made again.
        fs::remove_dir_all(dir.path().join("data")).expect("removed");
        store.keep(&two).expect("kept");
        store.write(&record(&store, true, &two)).expect("written");
    }

    #[test]
    fn each_group_folder_and_daemon_has_its_own() {
        let dir = tempfile::tempdir().expect("a folder");
        let other = VersionStore::open(&config(dir.path()), "other").expect("configured");
        let elsewhere = Config {
            dir: dir.path().join("others"),
            ..config(dir.path())
        };
        let elsewhere = VersionStore::open(&elsewhere, "group").expect("configured");
        let [one, two] = [(); 2].map(|()| open(dir.path()));
        let dirs = [&other, &elsewhere, &one, &two].map(VersionStore::dir);
        let distinct: std::collections::BTreeSet<_> = dirs.iter().collect();
        assert_eq!(distinct.len(), 4, "{dirs:?}");
        let source = HandlerSource::new(b"one".to_vec(), None);
        one.write(&record(&one, true, &source)).expect("written");
        assert!(two.record().is_none());
        let disabled = Config {
            versions: PathBuf::new(),
            ..config(dir.path())
        };
        assert!(VersionStore::open(&disabled, "group").is_none());
    }

    #[test]
    fn what_is_damaged_linked_or_open_to_others_is_not_used() {
        let dir = tempfile::tempdir().expect("a folder");
        let store = open(dir.path());
        let source = HandlerSource::new(b"one".to_vec(), None);
        store.keep(&source).expect("kept");
        let path = store.dir().join(file_of(source.digest()));
        fs::write(&path, "two").expect("written");
        assert!(store.read(source.identity()).is_err());
        // A damaged file is kept anew.
        store.keep(&source).expect("kept");
        assert!(store.read(source.identity()).is_ok());
        fs::remove_file(&path).expect("removed");
        symlink("/dev/zero", &path).expect("linked");
        assert!(store.read(source.identity()).is_err());

        let path = store.dir().join(RECORD);
        for contents in [&b"{"[..], b"", &[b' '; (4 << 20) + 1]] {
            fs::write(&path, contents).expect("written");
            assert!(store.record().is_none());
        }
        store
            .write(&record(&store, true, &source))
            .expect("written");
        assert!(store.record().is_some());
        fs::set_permissions(store.dir(), fs::Permissions::from_mode(0o777)).expect("changed");
        assert!(store.record().is_none());
        assert!(store.read(source.identity()).is_err());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_reported_with_each_write() {
        let dir = tempfile::tempdir().expect("a folder");
        fs::write(dir.path().join("data"), "a file").expect("written");
        let store = open(dir.path());
        let source = HandlerSource::new(b"one".to_vec(), None);
        assert!(store.record().is_none());
        assert!(store.keep(&source).is_err());
        fs::remove_file(dir.path().join("data")).expect("removed");
        assert!(store.keep(&source).is_ok());
    }
}
