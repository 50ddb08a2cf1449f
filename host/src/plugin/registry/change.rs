//! Operations that change the chain. Each one compiles first and publishes the new chain at its end; a batch in
//! progress keeps the chain that it began with.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use sha2::{Digest as _, Sha256};

use super::{
    Registry,
    slot::{HandlerSlot, Version},
};
use crate::{
    plugin::{HandlerFile, LoadError, discover, is_file_name},
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
    /// [`list`](Registry::list).
    pub fn reload(&self) {
        let _changing = self.begin_change();
        let files = match discover(&self.0.config.dir) {
            Ok(files) => files,
            Err(error) => {
                tracing::error!(%error, "cannot read the drop-in folder; the handlers stay as they are");
                return;
            }
        };
        let gone: Vec<String> = {
            let slots = self.slots();
            let known = |name: &String| files.iter().any(|file| file.name == **name);
            slots.keys().filter(|name| !known(name)).cloned().collect()
        };
        for name in gone {
            self.slots().remove(&name);
            self.0.metrics.handler(&name).set_state("removed");
            tracing::info!(handler = name, "handler removed");
        }
        for file in &files {
            self.reload_file(file);
        }
        self.publish();
    }

    fn reload_file(&self, file: &HandlerFile) {
        // The file was removed after the folder was listed; the watcher reports that as the next change.
        let Ok(bytes) = fs::read(&file.path) else {
            return;
        };
        let digest = format!("{:x}", Sha256::digest(&bytes));
        if let Some(slot) = self.slots().get_mut(&file.name) {
            // A renamed file may have another position in the chain.
            slot.path.clone_from(&file.path);
            if slot
                .running()
                .is_some_and(|running| running.digest() == digest)
            {
                slot.refused = None;
                return;
            }
            if slot
                .refused
                .as_ref()
                .is_some_and(|(refused, _)| *refused == digest)
            {
                return;
            }
        }
        let loaded = self.load(file);
        let mut slots = self.slots();
        match (loaded, slots.get_mut(&file.name)) {
            (Ok(handler), Some(slot)) => slot.install(Version {
                handler,
                bytes: bytes.into(),
            }),
            (Ok(handler), None) => {
                let slot = HandlerSlot::new(file.path.clone(), handler, bytes);
                slots.insert(file.name.clone(), slot);
            }
            (Err(error), slot) => {
                let why = in_one_line(&error);
                tracing::error!(
                    handler = file.name,
                    why,
                    "cannot load the handler; the version before it keeps running"
                );
                match slot {
                    Some(slot) => slot.refused = Some((digest, why)),
                    None => {
                        let slot = HandlerSlot::refused(file.path.clone(), digest, why);
                        slots.insert(file.name.clone(), slot);
                    }
                }
            }
        }
    }

    /// Writes a handler to the drop-in folder and puts it into the chain, in place of the one with the same name, if
    /// there is one. A leading "NN-", as in "10-filter", orders the files and does not belong to the handler's name.
    ///
    /// # Errors
    /// Returns an error if the bytes are not a handler that runs here or the folder cannot be written. Neither
    /// changes anything.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<PutReport, ChangeError> {
        let _changing = self.begin_change();
        if !is_file_name(name) {
            return Err(ChangeError::Name(name.to_owned()));
        }
        let wanted = HandlerFile::at(&self.0.config.dir.join(format!("{name}.wasm")));
        let existing = self.slots().get(&wanted.name).map(|slot| slot.path.clone());
        let path = existing.unwrap_or(wanted.path);
        // A hidden file, so that it is not taken for a handler before it has been verified.
        let hidden = self.0.config.dir.join(format!(".{name}.new"));
        let write = |source| ChangeError::Write {
            path: hidden.clone(),
            source,
        };
        fs::write(&hidden, bytes).map_err(write)?;
        let candidate = HandlerFile {
            path: hidden.clone(),
            name: wanted.name.clone(),
        };
        let loaded = self.load(&candidate).map_err(|error| {
            remove(&hidden);
            LoadError {
                path: path.clone(),
                ..error
            }
        });
        let handler = loaded?;
        fs::rename(&hidden, &path)
            .map_err(write)
            .inspect_err(|_| remove(&hidden))?;
        let mut slots = self.slots();
        let put = PutReport {
            is_new: !slots.contains_key(&wanted.name),
            name: wanted.name.clone(),
        };
        match slots.get_mut(&wanted.name) {
            Some(slot)
                if slot
                    .running()
                    .is_some_and(|now| now.digest() == handler.digest()) => {}
            Some(slot) => slot.install(Version {
                handler,
                bytes: bytes.into(),
            }),
            None => {
                slots.insert(wanted.name, HandlerSlot::new(path, handler, bytes.to_vec()));
            }
        }
        drop(slots);
        self.publish();
        Ok(put)
    }

    /// Removes a handler from the chain, and its file from the folder.
    ///
    /// # Errors
    /// Returns an error if the handler does not exist or its file cannot be removed.
    pub fn remove(&self, name: &str) -> Result<(), ChangeError> {
        let changing = self.begin_change();
        let path = self.with_slot(name, |slot| Ok(slot.path.clone()))?;
        let write = |source| ChangeError::Write {
            path: path.clone(),
            source,
        };
        fs::remove_file(&path).map_err(write)?;
        drop(changing);
        self.reload();
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
        let hidden = path.with_file_name(format!(".{name}.new"));
        let write = |source| ChangeError::Write {
            path: path.clone(),
            source,
        };
        let replaced = fs::write(&hidden, &version.bytes).and_then(|()| fs::rename(&hidden, &path));
        replaced.map_err(write).inspect_err(|_| remove(&hidden))?;
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

/// Removes the file of a failed change; it is hidden, so it does no harm if that fails.
fn remove(hidden: &Path) {
    let _ = fs::remove_file(hidden);
}
