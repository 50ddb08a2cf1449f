//! Operations that change the chain. Each one compiles first and publishes the new chain at its end; a batch in
//! progress keeps the chain that it began with.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use tokio_util::sync::CancellationToken;

use super::{
    Registry,
    slot::{HandlerSlot, HandlerStatus, PreviousVersion},
};
use crate::plugin::{
    HandlerFile, HandlerSource, LoadError, LoadFault, durable, is_file_name, signature_path,
};

/// Mode of a handler's file before the umask, as that of any file that a program creates.
const FILE_MODE: u32 = 0o666;

/// The reason why a change was refused. What ran before keeps running.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// No handler has this name.
    #[error("there is no handler {0:?}")]
    Unknown(String),
    /// The name cannot be a file name.
    #[error("{0:?} is not a valid handler name: use letters, digits, '-' and '_'")]
    Name(String),
    /// The handler has had no other version.
    #[error("the handler {0:?} has had no other version")]
    NoPrevious(String),
    /// The handler was changed while its previous version was loaded.
    #[error("the handler {0:?} was changed meanwhile; look at it again")]
    Changed(String),
    /// The previous version is not in `handlers.versions` as it should be.
    #[error("cannot read the version before it in handlers.versions")]
    Kept(#[source] io::Error),
    /// The file is not a handler that runs here.
    #[error(transparent)]
    Load(LoadError),
    /// The client went away, or the daemon stops.
    #[error("the change was cancelled")]
    Cancelled,
    /// The drop-in folder cannot be changed.
    #[error("cannot write {}", path.display())]
    Write {
        /// Path of the file.
        path: PathBuf,
        /// The error of the operating system.
        #[source]
        source: io::Error,
    },
}

impl From<LoadError> for ChangeError {
    fn from(error: LoadError) -> Self {
        match error.reason {
            LoadFault::Cancelled => Self::Cancelled,
            _ => Self::Load(error),
        }
    }
}

/// The result of [`Registry::put`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutReport {
    /// Name of the handler.
    pub name: String,
    /// Whether the handler did not exist before.
    pub is_new: bool,
}

impl Registry {
    /// Writes a handler to the drop-in folder and puts it into the chain, in place of the one with the same name, if
    /// there is one. A leading "NN-", as in "10-filter", orders the files and does not belong to the handler's name.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a handler that runs here or the folder cannot be written. Neither
    /// changes anything. The same applies if it is cancelled while it compiles.
    pub fn put(
        &self,
        name: &str,
        source: HandlerSource,
        cancelled: &CancellationToken,
    ) -> Result<PutReport, ChangeError> {
        let wanted = self.file(name)?;
        let version = self.load(&wanted, source.clone(), cancelled)?;
        let _changing = self.begin_change();
        let existing = self.slots().get(&wanted.name).map(|slot| slot.path.clone());
        let path = existing.unwrap_or(wanted.path);
        if cancelled.is_cancelled() {
            return Err(ChangeError::Cancelled);
        }
        Self::write(&path, &source)?;
        let mut slots = self.slots();
        let put = PutReport {
            is_new: !slots.contains_key(&wanted.name),
            name: wanted.name.clone(),
        };
        let slot = slots.entry(wanted.name);
        let slot = slot.or_insert_with(|| HandlerSlot::pending(path, false));
        match slot.runs(&version.identity.digest) {
            true => slot.note_good_file(),
            false => slot.install(version),
        }
        drop(slots);
        self.publish();
        Ok(put)
    }

    /// Compiles and starts a handler as [`put`](Self::put) does, without any change.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a handler that may run here, or it is cancelled while it compiles.
    pub fn try_put(
        &self,
        name: &str,
        source: HandlerSource,
        cancelled: &CancellationToken,
    ) -> Result<HandlerStatus, ChangeError> {
        let wanted = self.file(name)?;
        let settings = self.settings(&wanted.name);
        let version = self.load(&wanted, source, cancelled)?;
        let counts = self.0.metrics.handler(&wanted.name).counts();
        let mut slot = HandlerSlot::pending(wanted.path, false);
        slot.install(version);
        Ok(slot.status(&wanted.name, &settings, counts))
    }

    /// Returns the file of the drop-in folder with this name.
    fn file(&self, name: &str) -> Result<HandlerFile, ChangeError> {
        if !is_file_name(name) {
            return Err(ChangeError::Name(name.to_owned()));
        }
        let path = self.0.config.dir.join(format!("{name}.wasm"));
        Ok(HandlerFile::at(&path))
    }

    /// Replaces a handler in the drop-in folder, and its signature. The caller holds the lock of changes.
    fn write(path: &Path, source: &HandlerSource) -> Result<(), ChangeError> {
        let signature = signature_path(path);
        // The signature comes first: a handler without it would be refused.
        match source.signature() {
            Some(bytes) => write_file(&signature, bytes)?,
            None => remove_file(&signature)?,
        }
        write_file(path, source.bytes())
    }

    /// Removes a handler from the chain, and its file from the folder.
    ///
    /// # Errors
    /// Returns an error if the handler does not exist or its file cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), ChangeError> {
        let _changing = self.begin_change();
        let path = self.with_slot(name, |slot| Ok(slot.path.clone()))?;
        remove_file(&path)?;
        remove_file(&signature_path(&path))?;
        self.forget(name);
        self.publish();
        Ok(())
    }

    /// Pauses a handler. The whole chain waits meanwhile, so that no record is lost or skipped.
    ///
    /// # Errors
    /// Returns an error if the handler does not exist.
    pub fn pause(&self, name: &str) -> Result<(), ChangeError> {
        let _changing = self.begin_change();
        self.with_slot(name, |slot| {
            slot.paused = true;
            Ok(())
        })?;
        self.publish();
        Ok(())
    }

    /// Resumes a paused handler, and lets a handler that halted partitions try them again.
    ///
    /// # Errors
    /// Returns an error if the handler does not exist.
    pub fn resume(&self, name: &str) -> Result<(), ChangeError> {
        let _changing = self.begin_change();
        self.with_slot(name, |slot| {
            slot.paused = false;
            Ok(())
        })?;
        self.0.resumes.fetch_add(1, Ordering::Relaxed);
        self.publish();
        Ok(())
    }

    /// Restores the previous version, in the folder too. A second rollback restores the version that runs now.
    ///
    /// # Errors
    /// Returns an error if the handler does not exist, it has no previous version, or the folder cannot be written.
    pub fn rollback(&self, name: &str) -> Result<(), ChangeError> {
        let (path, previous) = self.with_slot(name, |slot| {
            let previous = slot.previous.clone();
            let none = || ChangeError::NoPrevious(name.to_owned());
            Ok((slot.path.clone(), previous.ok_or_else(none)?))
        })?;
        // Other changes need not wait while it compiles.
        let version = match previous {
            PreviousVersion::Loaded(version) => version,
            PreviousVersion::Kept(identity) => {
                self.load_kept(&HandlerFile::at(&path), &identity)?
            }
        };
        let source = match (&version.source, &self.0.versions) {
            (Some(source), _) => Ok(source.clone()),
            (None, Some(versions)) => versions.read(&version.identity),
            (None, None) => Err(io::ErrorKind::NotFound.into()),
        };
        let source = source.map_err(ChangeError::Kept)?;
        let _changing = self.begin_change();
        let path = self.with_slot(name, |slot| {
            let previous = slot.previous.as_ref().map(PreviousVersion::identity);
            match previous == Some(&version.identity) {
                true => Ok(slot.path.clone()),
                false => Err(ChangeError::Changed(name.to_owned())),
            }
        })?;
        Self::write(&path, &source)?;
        self.with_slot(name, |slot| {
            slot.install(version);
            Ok(())
        })?;
        self.publish();
        Ok(())
    }

    fn with_slot<T>(
        &self,
        name: &str,
        f: impl FnOnce(&mut HandlerSlot) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        let mut slots = self.slots();
        let slot = slots.get_mut(name);
        f(slot.ok_or_else(|| ChangeError::Unknown(name.to_owned()))?)
    }
}

/// Replaces a file as a whole.
fn write_file(path: &Path, bytes: &[u8]) -> Result<(), ChangeError> {
    let written = durable::replace(path, bytes, FILE_MODE);
    written.map_err(|source| ChangeError::Write {
        path: path.to_owned(),
        source,
    })
}

/// Removes a file if it is there.
fn remove_file(path: &Path) -> Result<(), ChangeError> {
    durable::remove(path).map_err(|source| ChangeError::Write {
        path: path.to_owned(),
        source,
    })
}
