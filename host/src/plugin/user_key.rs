//! The key with which a user's own programs authenticate the compiled handlers that they keep. It lies in the user's state
//! folder, where nothing that was cloned, unpacked or configured by another person puts a file.

use std::{
    env,
    fs::{DirBuilder, File, Metadata, OpenOptions},
    io::{self, Read, Write as _},
    os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use rustix::{fs::OFlags, process::geteuid};

/// Length of the key, and of a code that it authenticates, in bytes.
pub(super) const LEN: usize = 32;

/// Name of the file.
const FILE: &str = "cache.key";

/// Permission bits that let users other than the owner write.
pub(super) const WRITABLE: u32 = 0o022;

/// Permission bits that let users other than the owner do anything.
const ACCESSIBLE: u32 = 0o077;

/// The key of the user that runs this process.
#[derive(Clone)]
pub(super) struct UserKey([u8; LEN]);

impl UserKey {
    /// Reads the key, or makes one first if there is none and `create` says so. Returns `None` if there is none.
    ///
    /// # Errors
    /// Returns an error if it has no folder, or if other users can read or change it.
    pub(super) fn of_user(create: bool) -> io::Result<Option<Self>> {
        let Some(dir) = state_dir() else {
            let message =
                "there is no folder for its key; set HOME, XDG_STATE_HOME or STATE_DIRECTORY";
            return Err(io::Error::new(io::ErrorKind::NotFound, message));
        };
        Self::in_dir(&dir, create)
    }

    fn in_dir(dir: &Path, create: bool) -> io::Result<Option<Self>> {
        if create {
            let mut builder = DirBuilder::new();
            builder.recursive(true).mode(0o700).create(dir)?;
        }
        let path = dir.join(FILE);
        match Self::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            read => return read.map(Some),
        }
        let mut key = [0; LEN];
        getrandom::fill(&mut key).map_err(io::Error::other)?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(&key)?;
        file.as_file().sync_all()?;
        // Another process may have made one in the meantime, and then that is the key.
        match file.persist_noclobber(&path) {
            Err(error) if error.error.kind() != io::ErrorKind::AlreadyExists => Err(error.error),
            _ => Self::read(&path).map(Some),
        }
    }

    fn read(path: &Path) -> io::Result<Self> {
        let file = open(path)?;
        check_owner(path, &file.metadata()?, ACCESSIBLE)?;
        let mut key = Vec::new();
        (&file).take(LEN as u64 + 1).read_to_end(&mut key)?;
        let len = key.len();
        key.try_into().map(Self).map_err(|_| {
            let path = path.display();
            io::Error::other(format!(
                "{path} has {len} bytes, not the {LEN} of a key; remove it"
            ))
        })
    }

    /// Makes a key that is kept nowhere.
    #[cfg(test)]
    pub(super) fn random() -> Self {
        let mut key = [0; LEN];
        getrandom::fill(&mut key).expect("random bytes");
        Self(key)
    }

    /// Returns the code that authenticates a file with this name and these contents, which have `len` bytes.
    ///
    /// # Errors
    /// Returns an error if the contents cannot be read, or have another length.
    pub(super) fn sign(&self, name: &str, len: u64, contents: impl Read) -> io::Result<[u8; LEN]> {
        Ok(*self.mac(name, len, contents)?.as_bytes())
    }

    /// Returns whether `code` authenticates a file with this name and these contents, which have `len` bytes. Takes the same time
    /// for every wrong code.
    ///
    /// # Errors
    /// Returns an error if the contents cannot be read, or have another length.
    pub(super) fn verify(
        &self,
        name: &str,
        len: u64,
        contents: impl Read,
        code: &[u8; LEN],
    ) -> io::Result<bool> {
        Ok(self.mac(name, len, contents)? == *code)
    }

    fn mac(&self, name: &str, len: u64, contents: impl Read) -> io::Result<blake3::Hash> {
        let mut mac = blake3::Hasher::new_keyed(&self.0);
        // Each part with its length, so that a byte cannot move from one to the next.
        mac.update(&(name.len() as u64).to_le_bytes());
        mac.update(name.as_bytes());
        mac.update(&len.to_le_bytes());
        let before = mac.count();
        mac.update_reader(contents)?;
        match mac.count() - before == len {
            true => Ok(mac.finalize()),
            false => Err(io::Error::other("it was changed while it was read")),
        }
    }
}

/// Opens a file for reading, unless it is a symbolic link. Opening a pipe does not wait.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let mut options = OpenOptions::new();
    options
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

/// Checks that a file or folder belongs to the user of this process, and that no other user has any of the permissions
/// `denied`.
pub(super) fn check_owner(path: &Path, metadata: &Metadata, denied: u32) -> io::Result<()> {
    let (user, path) = (geteuid().as_raw(), path.display());
    let why = match metadata {
        it if !it.is_file() && !it.is_dir() => format!("{path} is neither a file nor a folder"),
        it if it.uid() != user => {
            format!("{path} belongs to user {}, not to user {user}", it.uid())
        }
        it if it.mode() & denied != 0 => {
            let mode = it.mode() & 0o777;
            format!(
                "{path} has mode {mode:o}, so other users have access to it; run chmod go-rwx on it"
            )
        }
        _ => return Ok(()),
    };
    Err(io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// Returns the folder for the state of this user's `eventos`, by the XDG rules or those of systemd. Relative paths in the
/// environment are ignored, as the rules demand.
fn state_dir() -> Option<PathBuf> {
    let absolute = |name: &str| {
        let path = env::var_os(name).map(PathBuf::from)?;
        path.is_absolute().then_some(path)
    };
    // systemd separates several folders by colons.
    let of_service = env::var("STATE_DIRECTORY").ok();
    let of_service = of_service.and_then(|dirs| Some(PathBuf::from(dirs.split(':').next()?)));
    absolute("XDG_STATE_HOME")
        .or_else(|| Some(absolute("HOME")?.join(".local/state")))
        .map(|state| state.join("eventos"))
        .or(of_service.filter(|dir| dir.is_absolute()))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt as _};

    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let dir = tempfile::tempdir().expect("a folder");
        let state = dir.path().join("state/eventos");
        assert!(UserKey::in_dir(&state, false).expect("no error").is_none());
        let key = UserKey::in_dir(&state, true).expect("made").expect("a key");
        let again = UserKey::in_dir(&state, true).expect("read").expect("a key");
        assert_eq!(key.0, again.0);
        let mode = |path: &Path| fs::metadata(path).expect("there").mode() & 0o777;
        assert_eq!([mode(&state), mode(&state.join(FILE))], [0o700, 0o600]);
    }

    #[test]
    fn a_key_that_others_can_read_or_of_another_length_is_refused() {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(FILE);
        assert!(UserKey::in_dir(dir.path(), true).is_ok());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("changed");
        let refused = UserKey::in_dir(dir.path(), true).err().expect("refused");
        assert!(refused.to_string().contains("mode 640"), "{refused}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("changed");
        fs::write(&path, "short").expect("written");
        assert!(UserKey::in_dir(dir.path(), true).is_err());
        fs::remove_file(&path).expect("removed");
        std::os::unix::fs::symlink("/dev/zero", &path).expect("linked");
        assert!(UserKey::in_dir(dir.path(), true).is_err());
    }

    #[test]
    fn a_code_is_for_its_parts_and_its_key_alone() {
        let [key, other] = [UserKey([1; LEN]), UserKey([2; LEN])];
        let code = key.sign("name", 4, &b"code"[..]).expect("signed");
        let verify = |key: &UserKey, name, contents: &[u8], code| {
            let verified = key.verify(name, contents.len() as u64, contents, code);
            verified.expect("read")
        };
        assert!(verify(&key, "name", b"code", &code));
        assert!(!verify(&key, "namec", b"ode", &code));
        assert!(!verify(&other, "name", b"code", &code));
        assert!(!verify(&key, "name", b"code", &[0; LEN]));
        assert!(key.sign("name", 5, &b"code"[..]).is_err());
    }
}
