//! What changes the chain. Each change compiles first and publishes at its end; a batch that is under way keeps the chain
//! that it began with.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use sha2::{Digest as _, Sha256};

use super::{
    Registry,
    slot::{Seat, Version},
};
use crate::{
    plugin::{HandlerFile, LoadError, discover, is_file_name},
    telemetry::in_one_line,
};

/// Why a change is not made. What ran before runs on.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// There is no such handler.
    #[error("there is no handler {0:?}")]
    Unknown(String),
    /// A name that is no file's, or would be another's.
    #[error("{0:?} is no name for a handler: use letters, digits, '-' and '_'")]
    Name(String),
    /// Nothing ran before, or the daemon was started since.
    #[error("{0:?} has no version before this one in this run of the daemon")]
    NoPrevious(String),
    /// The bytes are no handler that runs here.
    #[error(transparent)]
    Load(#[from] LoadError),
    /// The folder refused.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What [`Registry::put`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Put {
    /// The handler's name.
    pub name: String,
    /// There was none of that name.
    pub is_new: bool,
}

impl Registry {
    /// Makes the chain what the folder says. What cannot be loaded is logged, and told by [`list`](Registry::list).
    pub fn reload(&self) {
        let _changing = self.change();
        let files = match discover(&self.0.config.dir) {
            Ok(files) => files,
            Err(error) => {
                tracing::error!(%error, "the handlers stay as they are");
                return;
            }
        };
        let gone: Vec<String> = {
            let seats = self.seats();
            let known = |name: &String| files.iter().any(|file| file.name == **name);
            seats.keys().filter(|name| !known(name)).cloned().collect()
        };
        for name in gone {
            self.seats().remove(&name);
            self.0.metrics.handler(&name).in_state("removed");
            tracing::info!(handler = name, "handler removed");
        }
        for file in &files {
            self.reload_file(file);
        }
        self.publish();
    }

    fn reload_file(&self, file: &HandlerFile) {
        // A file that goes between the listing and the reading is told of by the next change.
        let Ok(bytes) = fs::read(&file.path) else {
            return;
        };
        let digest = format!("{:x}", Sha256::digest(&bytes));
        if let Some(seat) = self.seats().get_mut(&file.name) {
            // Renamed, it may have another place in the chain.
            seat.path.clone_from(&file.path);
            if seat
                .running()
                .is_some_and(|running| running.digest() == digest)
            {
                seat.refused = None;
                return;
            }
            if seat
                .refused
                .as_ref()
                .is_some_and(|(refused, _)| *refused == digest)
            {
                return;
            }
        }
        let loaded = self.load(file);
        let mut seats = self.seats();
        match (loaded, seats.get_mut(&file.name)) {
            (Ok(handler), Some(seat)) => seat.take(Version {
                handler,
                bytes: bytes.into(),
            }),
            (Ok(handler), None) => {
                let seat = Seat::new(file.path.clone(), handler, bytes);
                seats.insert(file.name.clone(), seat);
            }
            (Err(error), seat) => {
                let why = in_one_line(&error);
                tracing::error!(
                    handler = file.name,
                    why,
                    "the file is not taken; what ran before runs on"
                );
                match seat {
                    Some(seat) => seat.refused = Some((digest, why)),
                    None => {
                        let seat = Seat::of_refused(file.path.clone(), digest, why);
                        seats.insert(file.name.clone(), seat);
                    }
                }
            }
        }
    }

    /// Puts a handler into the folder and the chain, in the place of the one of that name if there is one. Digits in front,
    /// as in "10-filter", order the file and are no part of the handler's name.
    ///
    /// # Errors
    /// Bytes that are no handler; a folder that refuses. Neither changes anything.
    pub fn put(&self, name: &str, bytes: &[u8]) -> Result<Put, ChangeError> {
        let _changing = self.change();
        if !is_file_name(name) {
            return Err(ChangeError::Name(name.to_owned()));
        }
        let wanted = HandlerFile::at(&self.0.config.dir.join(format!("{name}.wasm")));
        let seated = self.seats().get(&wanted.name).map(|seat| seat.path.clone());
        let path = seated.unwrap_or(wanted.path);
        // Hidden, so that nobody takes it for a handler before it has shown that it is one.
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
        let mut seats = self.seats();
        let put = Put {
            is_new: !seats.contains_key(&wanted.name),
            name: wanted.name.clone(),
        };
        match seats.get_mut(&wanted.name) {
            Some(seat)
                if seat
                    .running()
                    .is_some_and(|now| now.digest() == handler.digest()) => {}
            Some(seat) => seat.take(Version {
                handler,
                bytes: bytes.into(),
            }),
            None => {
                seats.insert(wanted.name, Seat::new(path, handler, bytes.to_vec()));
            }
        }
        drop(seats);
        self.publish();
        Ok(put)
    }

    /// Takes a handler out of the chain, and its file out of the folder.
    ///
    /// # Errors
    /// There is none of that name, or the folder refuses.
    pub fn remove(&self, name: &str) -> Result<(), ChangeError> {
        let changing = self.change();
        let path = self.with_seat(name, |seat| Ok(seat.path.clone()))?;
        let write = |source| ChangeError::Write {
            path: path.clone(),
            source,
        };
        fs::remove_file(&path).map_err(write)?;
        drop(changing);
        self.reload();
        Ok(())
    }

    /// Lets nothing pass any more: while a handler is paused, the whole chain waits, and nothing is lost or left out.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn pause(&self, name: &str) -> Result<(), ChangeError> {
        let _changing = self.change();
        self.with_seat(name, |seat| {
            seat.paused = true;
            Ok(())
        })?;
        self.publish();
        Ok(())
    }

    /// Lets a paused handler go on, and has one that stopped partitions try them again.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn resume(&self, name: &str) -> Result<(), ChangeError> {
        let _changing = self.change();
        self.with_seat(name, |seat| {
            seat.paused = false;
            Ok(())
        })?;
        self.0.resumes.fetch_add(1, Ordering::Relaxed);
        self.publish();
        Ok(())
    }

    /// Brings back what ran before, in the folder too. Doing it twice brings back what runs now.
    ///
    /// # Errors
    /// There is none of that name, or nothing ran before; the folder refuses.
    pub fn rollback(&self, name: &str) -> Result<(), ChangeError> {
        let _changing = self.change();
        let (path, version) = self.with_seat(name, |seat| {
            let previous = seat.previous.clone();
            let none = || ChangeError::NoPrevious(name.to_owned());
            Ok((seat.path.clone(), previous.ok_or_else(none)?))
        })?;
        let hidden = path.with_file_name(format!(".{name}.new"));
        let write = |source| ChangeError::Write {
            path: path.clone(),
            source,
        };
        let replaced = fs::write(&hidden, &version.bytes).and_then(|()| fs::rename(&hidden, &path));
        replaced.map_err(write).inspect_err(|_| remove(&hidden))?;
        self.with_seat(name, |seat| {
            seat.take(version);
            Ok(())
        })?;
        self.publish();
        Ok(())
    }

    fn with_seat<T>(
        &self,
        name: &str,
        f: impl FnOnce(&mut Seat) -> Result<T, ChangeError>,
    ) -> Result<T, ChangeError> {
        let mut seats = self.seats();
        let seat = seats.get_mut(name);
        f(seat.ok_or_else(|| ChangeError::Unknown(name.to_owned()))?)
    }
}

/// What is left of a change that was not made; hidden, so that it does no harm where it stays.
fn remove(hidden: &Path) {
    let _ = fs::remove_file(hidden);
}
