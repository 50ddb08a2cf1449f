//! Makes the chain match the drop-in folder.

use std::{
    collections::BTreeMap,
    fs, io,
    time::{Duration, Instant},
};

use super::{
    Registry,
    slot::{HandlerSlot, RefusedFile, Version},
};
use crate::{
    plugin::{FileIdentity, HandlerFile, HandlerSource, LoadError, LoadFault, SameName, discover},
    telemetry::in_one_line,
};

/// How long the folder must stay as it is until a handler whose file is gone is taken out of the chain. Whoever replaces a
/// file by removing it first, or renames it, is not done yet.
const SETTLE: Duration = Duration::from_secs(1);

/// The same once the folder has had no handler at all: the files are put back one after the other.
const SETTLE_AFTER_EMPTY: Duration = Duration::from_secs(3);

/// The file of one handler in the folder.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FoundFile {
    file: HandlerFile,
    /// The other files with its name.
    others: Vec<SameName>,
    /// Whether nothing says which of these files is the handler.
    is_ambiguous: bool,
}

/// A file of the drop-in folder, compiled while no change was held up.
struct PreparedFile {
    found: FoundFile,
    /// `None` if it cannot be read.
    identity: Option<FileIdentity>,
    /// `None` if this file runs already or was refused before.
    loaded: Option<Result<Version, LoadError>>,
    /// The version that ran before the daemon started, if the file cannot be loaded and no other version runs.
    fallback: Option<Result<Version, LoadError>>,
}

impl Registry {
    /// Makes the chain match the drop-in folder. Files that cannot be loaded are logged, and shown by
    /// [`list`](Registry::list). Other changes need not wait while files compile. `has_changed` says whether the folder has
    /// changed since the last call. Returns after what time to call this again even if it does not change.
    pub(super) fn reload(&self, has_changed: bool) -> Option<Duration> {
        let Some(found) = self.scan() else {
            let _changing = self.begin_change();
            // If handlers are still to be loaded, this is the reason why they are not.
            self.publish();
            return None;
        };
        let prepare = |file| self.prepare(file, has_changed);
        let prepared: Vec<_> = found.into_iter().filter_map(prepare).collect();
        if self.0.stopping.is_cancelled() {
            // What was not loaded because of that is not at fault.
            return None;
        }
        let _changing = self.begin_change();
        // The folder may have changed in the meantime.
        let found = self.scan()?;
        for prepared in prepared {
            // If it is another file by now, the watcher has noticed that too, and this is called again.
            if found.contains(&prepared.found) {
                self.apply(prepared);
            }
        }
        self.note_duplicates(&found);
        let again = self.note_missing(&found, has_changed);
        self.publish();
        again
    }

    /// Finds the file of each handler. Returns `None` if the folder cannot be listed, and then the handlers stay as they
    /// are: the whole chain goes on without its folder, as it does while a file system is unmounted.
    fn scan(&self) -> Option<Vec<FoundFile>> {
        let files = discover(&self.0.config.dir);
        let fault = files.as_ref().err().map(|error| in_one_line(error));
        let mut notes = self.0.notes.lock();
        if fault.is_some() && fault != notes.folder_fault {
            tracing::error!(
                error = fault,
                "cannot read the drop-in folder; the handlers stay as they are"
            );
        }
        notes.folder_fault = fault;
        drop(notes);
        let mut by_name = BTreeMap::<String, Vec<HandlerFile>>::new();
        for file in files.ok()? {
            by_name.entry(file.name.clone()).or_default().push(file);
        }
        Some(
            by_name
                .into_values()
                .map(|files| self.choose(files))
                .collect(),
        )
    }

    /// Chooses the file of a handler among those with its name: the one that has run.
    fn choose(&self, mut files: Vec<HandlerFile>) -> FoundFile {
        let slots = self.slots();
        let slot = files.first().and_then(|file| slots.get(&file.name));
        let has_run = |file: &HandlerFile| {
            slot.is_some_and(|slot| slot.last_version().is_some() && slot.path == file.path)
        };
        let known = files.iter().position(has_run);
        let is_ambiguous = known.is_none() && files.len() > 1;
        let file = files.remove(known.unwrap_or(0));
        let others = files.into_iter().map(|other| SameName {
            name: file.name.clone(),
            first: file.path.clone(),
            second: other.path,
        });
        FoundFile {
            others: others.collect(),
            file,
            is_ambiguous,
        }
    }

    /// Compiles a file of the folder, unless it runs already or was refused. Returns `None` for a file that was removed
    /// after the folder was listed.
    fn prepare(&self, found: FoundFile, has_changed: bool) -> Option<PreparedFile> {
        let file = &found.file;
        let source = match found.others.first().filter(|_| found.is_ambiguous) {
            Some(same) => Err(LoadFault::SameName(same.clone())),
            None => HandlerSource::read_dropped_in(&file.path),
        };
        if source.is_err() && !exists(file) {
            return None;
        }
        let identity = source.as_ref().ok().map(|source| source.identity().clone());
        let is_settled = identity.as_ref().is_some_and(|identity| {
            let slots = self.slots();
            let slot = slots.get(&file.name);
            slot.is_some_and(|slot| slot.is_settled(identity, has_changed))
        });
        let loaded = (!is_settled).then(|| {
            let path = file.path.clone();
            let source = source.map_err(|reason| LoadError { path, reason })?;
            self.load(file, source, &self.0.stopping)
        });
        let fallback = match loaded {
            Some(Err(_)) => self.load_last(file),
            _ => None,
        };
        Some(PreparedFile {
            identity,
            loaded,
            fallback,
            found,
        })
    }

    /// Loads the version of a handler that ran before the daemon started, if none runs.
    fn load_last(&self, file: &HandlerFile) -> Option<Result<Version, LoadError>> {
        let kept = {
            let slots = self.slots();
            let slot = slots.get(&file.name)?;
            slot.kept.clone().filter(|_| slot.current.is_none())?
        };
        Some(self.load_kept(file, &kept))
    }

    /// Loads a version of a handler that is kept on disk.
    pub(super) fn load_kept(
        &self,
        file: &HandlerFile,
        identity: &FileIdentity,
    ) -> Result<Version, LoadError> {
        let versions = self.0.versions.as_ref();
        let missing = || io::Error::from(io::ErrorKind::NotFound);
        let source = versions.ok_or_else(missing);
        let source = source.and_then(|versions| versions.read(identity));
        let source = source.map_err(|error| LoadError {
            path: file.path.clone(),
            reason: LoadFault::Kept(error),
        })?;
        let version = self.load(file, source, &self.0.stopping)?;
        Ok(Version {
            source: None,
            ..version
        })
    }

    /// Puts a file into the chain that was compiled before, if it is still in the folder.
    fn apply(&self, prepared: PreparedFile) {
        let PreparedFile {
            found,
            identity,
            loaded,
            fallback,
        } = prepared;
        let file = found.file;
        let now = match found.is_ambiguous {
            true => None,
            false => HandlerSource::read_dropped_in(&file.path).ok(),
        };
        if now.as_ref().map(HandlerSource::identity) != identity.as_ref() {
            return;
        }
        let settings = self.settings(&file.name);
        let admitted = now.map(|now| self.0.admission.check(&now, &settings));
        let is_required = !self.0.notes.lock().is_established;
        let mut slots = self.slots();
        match loaded {
            None => {
                // It was removed while other files compiled.
                let Some(slot) = slots.get_mut(&file.name) else {
                    return;
                };
                // A renamed file may have another position in the chain.
                slot.path = file.path;
                match (identity, admitted) {
                    (Some(identity), Some(Ok(signer))) => slot.note_signature(identity, signer),
                    (Some(identity), Some(Err(reason))) if slot.runs(&identity.digest) => {
                        let path = slot.path.clone();
                        let error = LoadError { path, reason };
                        slot.refuse(&file.name, RefusedFile::new(Some(identity), &error), None);
                    }
                    _ => {}
                }
            }
            Some(Ok(version)) => {
                let pending = || HandlerSlot::pending(file.path.clone(), false);
                let slot = slots.entry(file.name).or_insert_with(pending);
                slot.path = file.path;
                match slot.runs(&version.identity.digest) {
                    true => slot.refused = None,
                    false => slot.install(version),
                }
            }
            Some(Err(error)) => {
                let pending = || HandlerSlot::pending(file.path.clone(), is_required);
                let slot = slots.entry(file.name.clone()).or_insert_with(pending);
                if slot.last_version().is_none() || !found.is_ambiguous {
                    slot.path = file.path;
                }
                slot.refuse(&file.name, RefusedFile::new(identity, &error), fallback);
            }
        }
    }

    /// Takes note of the files that have the name of another one.
    fn note_duplicates(&self, found: &[FoundFile]) {
        let mut duplicates = Vec::new();
        let mut slots = self.slots();
        for FoundFile { file, others, .. } in found {
            let Some(slot) = slots.get_mut(&file.name) else {
                continue;
            };
            slot.duplicate = others.first().cloned();
            duplicates.extend(others.iter().cloned());
            // Neither of them is the file of the handler that runs.
            if let Some(other) = others.first()
                && slot.path != file.path
            {
                duplicates.push(SameName {
                    name: file.name.clone(),
                    first: other.second.clone(),
                    second: file.path.clone(),
                });
            }
        }
        drop(slots);
        self.0.notes.lock().duplicates = duplicates;
    }

    /// Takes note of the handlers whose files are gone. They stay in the chain, which holds up every batch, until the folder
    /// has been left alone for a while and has another handler that runs: only then is it clear that they were removed.
    /// Returns when that may be the case.
    fn note_missing(&self, found: &[FoundFile], has_changed: bool) -> Option<Duration> {
        let now = Instant::now();
        let mut slots = self.slots();
        for (name, slot) in slots.iter_mut() {
            match found.iter().any(|found| found.file.name == *name) {
                true => slot.missing = None,
                false if has_changed => slot.missing = Some(now),
                false => slot.missing = slot.missing.or(Some(now)),
            }
        }
        let others_run = slots
            .values()
            .any(|slot| slot.missing.is_none() && slot.current.is_some());
        let any_ran = slots.values().any(|slot| slot.last_version().is_some());
        let settle = {
            let mut notes = self.0.notes.lock();
            notes.was_empty |= !others_run && any_ran;
            match notes.was_empty {
                true => SETTLE_AFTER_EMPTY,
                false => SETTLE,
            }
        };
        let mut again = None::<Duration>;
        let mut gone = Vec::new();
        for (name, slot) in slots.iter() {
            let Some(since) = slot.missing else { continue };
            let left = settle.saturating_sub(now.duration_since(since));
            // A file that has never run is simply gone.
            if slot.last_version().is_none() || (others_run && left.is_zero()) {
                gone.push(name.clone());
            } else if others_run {
                again = Some(again.map_or(left, |again| again.min(left)));
            }
        }
        drop(slots);
        for name in gone {
            self.forget(&name);
        }
        again
    }

    pub(super) fn forget(&self, name: &str) {
        self.slots().remove(name);
        self.0.metrics.handler(name).set_state("removed");
        tracing::info!(handler = name, "handler removed");
    }
}

/// Returns whether a file is still in the folder, even if it is a link that leads nowhere.
fn exists(file: &HandlerFile) -> bool {
    let found = fs::symlink_metadata(&file.path);
    !found.is_err_and(|error| error.kind() == io::ErrorKind::NotFound)
}
