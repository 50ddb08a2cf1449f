//! Operations that change the chain. Each one compiles first and publishes the new chain at its end; a batch in
//! progress keeps the chain that it began with.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use tokio_util::sync::CancellationToken;

use super::{
    Registry,
    slot::{HandlerSlot, HandlerStatus, RefusedFile, Version},
};
use crate::{
    plugin::{
        FileIdentity, HandlerFile, HandlerSource, LoadError, LoadFault, discover, is_file_name,
        signature_path,
    },
    telemetry::in_one_line,
};

/// The reason why a change was refused. What ran before keeps running.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// No handler has this name.
    #[error("there is no handler {0:?}")]
    Unknown(String),
    /// The name cannot be a file name.
    #[error("{0:?} is not a valid handler name: use letters, digits, '-' and '_'")]
    Name(String),
    /// The handler has had no other version since the daemon started.
    #[error("the handler {0:?} has had no other version since the daemon started")]
    NoPrevious(String),
    /// The file is not a handler that runs here.
    #[error(transparent)]
    Load(#[from] LoadError),
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

/// The result of [`Registry::put`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PutReport {
    /// Name of the handler.
    pub name: String,
    /// Whether the handler did not exist before.
    pub is_new: bool,
}

impl Registry {
    /// Makes the chain match the drop-in folder. Files that cannot be loaded are logged, and shown by
    /// [`list`](Registry::list). Other changes need not wait while files compile.
    pub fn reload(&self) {
        let Some(files) = self.files() else { return };
        let prepared = files.into_iter().filter_map(|file| self.prepare(file));
        let prepared: Vec<_> = prepared.collect();
        let _changing = self.begin_change();
        // The folder may have changed in the meantime.
        let Some(files) = self.files() else { return };
        let gone: Vec<String> = {
            let slots = self.slots();
            let known = |name: &String| files.iter().any(|file| file.name == **name);
            slots.keys().filter(|name| !known(name)).cloned().collect()
        };
        for name in gone {
            self.forget(&name);
        }
        for prepared in prepared {
            // If it is another file by now, the watcher has noticed that too, and this is called again.
            if files.contains(&prepared.file) {
                self.apply(prepared);
            }
        }
        self.publish();
    }

    fn files(&self) -> Option<Vec<HandlerFile>> {
        discover(&self.0.config.dir)
            .inspect_err(|error| {
                tracing::error!(%error, "cannot read the drop-in folder; the handlers stay as they are");
            })
            .ok()
    }

    /// Compiles a file of the folder, unless it runs already or was refused. Returns `None` for a file that was removed
    /// after the folder was listed.
    fn prepare(&self, file: HandlerFile) -> Option<PreparedFile> {
        let source = match HandlerSource::read(&file.path) {
            Err(LoadFault::Read(_)) => return None,
            read => read,
        };
        let identity = source.as_ref().ok().map(|source| source.identity().clone());
        let slot_is_settled = self
            .slots()
            .get(&file.name)
            .is_some_and(|slot| slot.is_settled(identity.as_ref()));
        let loaded = (!slot_is_settled).then(|| {
            let path = file.path.clone();
            let source = source.map_err(|reason| LoadError { path, reason })?;
            self.load(&file, source)
        });
        Some(PreparedFile {
            file,
            identity,
            loaded,
        })
    }

    /// Puts a file into the chain that was compiled before, if it is still in the folder.
    fn apply(&self, prepared: PreparedFile) {
        let PreparedFile {
            file,
            identity,
            loaded,
        } = prepared;
        let now = HandlerSource::read(&file.path).ok();
        if now.as_ref().map(HandlerSource::identity) != identity.as_ref() {
            return;
        }
        let mut slots = self.slots();
        let slot = slots.get_mut(&file.name);
        match (loaded, slot) {
            (None, Some(slot)) => {
                // A renamed file may have another position in the chain.
                slot.path = file.path;
                if identity.is_some_and(|identity| slot.runs(&identity.digest)) {
                    slot.refused = None;
                }
            }
            // It was removed while other files compiled.
            (None, None) => {}
            (Some(Ok(version)), Some(slot)) => {
                slot.path = file.path;
                if !slot.runs(version.handler.digest()) {
                    slot.install(version);
                }
            }
            (Some(Ok(version)), None) => {
                slots.insert(file.name, HandlerSlot::new(file.path, version));
            }
            (Some(Err(error)), slot) => {
                let why = in_one_line(&error);
                tracing::error!(
                    handler = file.name,
                    why,
                    "cannot load the handler; the version before it keeps running"
                );
                let refused = RefusedFile { identity, why };
                match slot {
                    Some(slot) => {
                        slot.path = file.path;
                        slot.refused = Some(refused);
                    }
                    None => {
                        let slot = HandlerSlot::refused(file.path, refused);
                        slots.insert(file.name, slot);
                    }
                }
            }
        }
    }

    fn forget(&self, name: &str) {
        self.slots().remove(name);
        self.0.metrics.handler(name).set_state("removed");
        tracing::info!(handler = name, "handler removed");
    }

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
        let version = self.load(&wanted, source)?;
        let _changing = self.begin_change();
        let existing = self.slots().get(&wanted.name).map(|slot| slot.path.clone());
        let path = existing.unwrap_or(wanted.path);
        if cancelled.is_cancelled() {
            return Err(ChangeError::Cancelled);
        }
        self.write(&path, &version.source)?;
        let mut slots = self.slots();
        let put = PutReport {
            is_new: !slots.contains_key(&wanted.name),
            name: wanted.name.clone(),
        };
        let is_running = |slot: &&mut HandlerSlot| slot.runs(version.handler.digest());
        if slots.get_mut(&wanted.name).filter(is_running).is_none() {
            match slots.get_mut(&wanted.name) {
                Some(slot) => slot.install(version),
                None => {
                    slots.insert(wanted.name, HandlerSlot::new(path, version));
                }
            }
        }
        drop(slots);
        self.publish();
        Ok(put)
    }

    /// Compiles and starts a handler as [`put`](Self::put) does, without any change.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a handler that may run here.
    pub fn try_put(&self, name: &str, source: HandlerSource) -> Result<HandlerStatus, ChangeError> {
        let wanted = self.file(name)?;
        let settings = self.settings(&wanted.name);
        let version = self.load(&wanted, source)?;
        let counts = self.0.metrics.handler(&wanted.name).counts();
        Ok(HandlerSlot::new(wanted.path, version).status(&wanted.name, &settings, counts))
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
    fn write(&self, path: &Path, source: &HandlerSource) -> Result<(), ChangeError> {
        let signature = signature_path(path);
        // The signature comes first: a handler without it would be refused.
        match source.signature() {
            Some(bytes) => self.write_file(&signature, bytes)?,
            None => remove_if_there(&signature)?,
        }
        self.write_file(path, source.bytes())
    }

    /// Replaces a file as a whole.
    fn write_file(&self, path: &Path, bytes: &[u8]) -> Result<(), ChangeError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        // A hidden file is not taken for a handler.
        let hidden = path.with_file_name(format!(".{name}.new"));
        let written = fs::write(&hidden, bytes).and_then(|()| fs::rename(&hidden, path));
        written.map_err(|source| {
            // It is hidden, so it does no harm if it stays.
            let _ = fs::remove_file(&hidden);
            let path = path.to_owned();
            ChangeError::Write { path, source }
        })
    }

    /// Removes a handler from the chain, and its file from the folder.
    ///
    /// # Errors
    /// Returns an error if the handler does not exist or its file cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), ChangeError> {
        let _changing = self.begin_change();
        let path = self.with_slot(name, |slot| Ok(slot.path.clone()))?;
        let write = |source| ChangeError::Write {
            path: path.clone(),
            source,
        };
        fs::remove_file(&path).map_err(write)?;
        remove_if_there(&signature_path(&path))?;
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
        let _changing = self.begin_change();
        let (path, version) = self.with_slot(name, |slot| {
            let previous = slot.previous.clone();
            let none = || ChangeError::NoPrevious(name.to_owned());
            Ok((slot.path.clone(), previous.ok_or_else(none)?))
        })?;
        self.write(&path, &version.source)?;
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

/// A file of the drop-in folder, compiled while no change was held up.
struct PreparedFile {
    file: HandlerFile,
    /// `None` if it is too large to be read.
    identity: Option<FileIdentity>,
    /// `None` if this file runs already or was refused before.
    loaded: Option<Result<Version, LoadError>>,
}

fn remove_if_there(path: &Path) -> Result<(), ChangeError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            let path = path.to_owned();
            Err(ChangeError::Write { path, source })
        }
        _ => Ok(()),
    }
}
