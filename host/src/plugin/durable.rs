//! Writes of files that survive a power failure: a file is there as a whole, with the old bytes or with the new ones.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

/// Replaces a file as a whole, or creates it with this mode (before the umask). What is there stays if that fails.
pub(super) fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // A hidden file is not taken for a handler.
    let hidden = path.with_file_name(format!(".{name}.new"));
    let write = || {
        // What a killed process has left, or a link to another file.
        remove_if_there(&hidden)?;
        let mut options = File::options();
        let mut file = options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&hidden)?;
        file.write_all(bytes)?;
        // Some file systems notice only here that the disk is full.
        file.sync_all()?;
        fs::rename(&hidden, path)
    };
    write().inspect_err(|_| {
        // It is hidden, so it does no harm if it stays.
        let _ = fs::remove_file(&hidden);
    })?;
    sync_folder_of(path)
}

/// Removes a file. Its absence is not an error.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    remove_if_there(path)?;
    sync_folder_of(path)
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Makes the names of the files in a folder last.
fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let folder = match File::open(folder.unwrap_or(Path::new("."))) {
        // Nothing is left of a folder that is gone.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened?,
    };
    match folder.sync_all() {
        // Some file systems cannot, and then there is nothing to wait for.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        synced => synced,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_and_no_link_is_followed() {
        let dir = tempfile::tempdir().expect("a folder");
        let [file, other] = ["file", "other"].map(|name| dir.path().join(name));
        replace(&file, b"one", 0o600).expect("written");
        fs::write(&other, "other").expect("written");
        symlink(&other, dir.path().join(".file.new")).expect("linked");
        replace(&file, b"two", 0o600).expect("written");
        let read = |path: &Path| fs::read_to_string(path).expect("read");
        assert_eq!([read(&file), read(&other)], ["two", "other"]);
        let mode = fs::metadata(&file).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 2);
        remove(&file).expect("removed");
        remove(&file).expect("it is not there");
        remove(&dir.path().join("no/folder")).expect("it is not there");
    }

    #[test]
    fn what_is_there_stays_if_the_write_fails() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("file");
        replace(&file, b"one", 0o600).expect("written");
        // Root may write anywhere, but not in place of a folder with something in it.
        fs::create_dir_all(dir.path().join(".file.new/x")).expect("made");
        assert!(replace(&file, b"two", 0o600).is_err());
        assert_eq!(fs::read(&file).expect("read"), b"one");
    }
}
