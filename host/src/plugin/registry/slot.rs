//! The slot of one handler in the chain: the running version, the previous version, and the trouble with its file.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use serde::Serialize;

use super::record::{HandlerRecord, VersionRecord};
use crate::{
    plugin::{FileIdentity, Handler, HandlerConfig, HandlerSource, LoadError, PublicKey, SameName},
    telemetry::{in_one_line, metrics::HandlerCounts},
};

/// A handler that was loaded, and its file.
#[derive(Clone)]
pub(super) struct Version {
    pub handler: Arc<Handler>,
    pub identity: FileIdentity,
    /// `None` once the file is kept on disk.
    pub source: Option<HandlerSource>,
    /// The trusted key that has signed the file.
    pub signer: Option<PublicKey>,
}

/// The version before the running one.
#[derive(Clone)]
pub(super) enum PreviousVersion {
    /// It ran since the daemon started.
    Loaded(Version),
    /// It ran before the daemon started, and is kept on disk.
    Kept(FileIdentity),
}

pub(super) struct HandlerSlot {
    /// Path of the file in the drop-in folder.
    pub path: PathBuf,
    /// `None` if no version has been loaded.
    pub current: Option<Version>,
    /// The version that ran before the daemon started, until one is loaded.
    pub kept: Option<FileIdentity>,
    /// The version that ran before, if there was one.
    pub previous: Option<PreviousVersion>,
    /// The file that lies in the folder but could not be loaded, and the reason.
    pub refused: Option<RefusedFile>,
    /// Another file in the folder that has the name of this handler.
    pub duplicate: Option<SameName>,
    pub paused: bool,
    /// Whether records wait until a version is loaded: it was part of the chain, or it is not known whether it was.
    pub is_required: bool,
    /// Since when its file is not in the folder, although the handler was not deleted.
    pub missing: Option<Instant>,
}

/// A file that could not be loaded.
pub(super) struct RefusedFile {
    /// `None` if it could not be read.
    pub identity: Option<FileIdentity>,
    pub why: String,
    /// Whether the same file may be loaded another time.
    pub may_pass: bool,
}

/// The state of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HandlerState {
    /// The handler is compiled and started for the first time since the daemon started. Until then, it holds up every batch.
    Loading,
    /// The handler gets every batch.
    Running,
    /// The handler is paused and holds up every batch.
    Paused,
    /// The handler halted one or more partitions after failures; the others continue.
    Stopped,
    /// The file could not be loaded, and no earlier version runs.
    Refused,
    /// The file is not in the folder any more, and the handler holds up every batch until it is clear that it was removed.
    Missing,
}

/// A handler as `GET /handlers` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct HandlerStatus {
    /// The file name without a leading "NN-" and ".wasm".
    pub name: String,
    /// The file name.
    pub file: String,
    /// The state of the handler.
    pub state: HandlerState,
    /// SHA-256 of the running version, in hexadecimal, if one runs.
    pub digest: Option<String>,
    /// Digest of the version that a rollback would restore.
    pub previous: Option<String>,
    /// The key in `handlers.keys` that has signed the running version.
    pub signer: Option<String>,
    /// The topics that the handler may emit to.
    pub produce: Vec<String>,
    /// What is wrong with the file in the folder: it could not be loaded, it is missing, or another one has its name.
    pub error: Option<String>,
    /// The reason why a restart would not find the chain as it is now: it could not be written to `handlers.versions`.
    pub unsaved: Option<String>,
    /// The partitions that the handler has halted, with the reasons.
    pub stopped: BTreeMap<i32, String>,
    /// Counts over all versions since the daemon started.
    #[serde(flatten)]
    pub counts: HandlerCounts,
}

impl HandlerState {
    /// Returns the name of the state in metrics and JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Refused => "refused",
            Self::Missing => "missing",
        }
    }
}

impl PreviousVersion {
    pub(super) fn identity(&self) -> &FileIdentity {
        match self {
            Self::Loaded(version) => &version.identity,
            Self::Kept(identity) => identity,
        }
    }
}

impl RefusedFile {
    /// Describes a file with this identity, if it could be read, that could not be loaded for this reason.
    pub(super) fn new(identity: Option<FileIdentity>, error: &LoadError) -> Self {
        Self {
            identity,
            why: in_one_line(error),
            may_pass: error.reason.may_pass(),
        }
    }
}

impl HandlerSlot {
    /// Returns a slot of which no version is loaded yet.
    pub(super) fn pending(path: PathBuf, is_required: bool) -> Self {
        Self {
            path,
            current: None,
            kept: None,
            previous: None,
            refused: None,
            duplicate: None,
            paused: false,
            is_required,
            missing: None,
        }
    }

    /// Returns the slot of a handler that ran before the daemon started. The record was [checked](super::record).
    pub(super) fn recorded(dir: &Path, record: &HandlerRecord) -> Self {
        let identity = |version: &Option<VersionRecord>| version.as_ref()?.identity();
        Self {
            kept: identity(&record.current),
            previous: identity(&record.previous).map(PreviousVersion::Kept),
            paused: record.paused,
            ..Self::pending(dir.join(&record.file), true)
        }
    }

    /// Returns the slot of a file that has the name of another one.
    pub(super) fn of_duplicate(same: &SameName) -> Self {
        let mut slot = Self::pending(same.second.clone(), false);
        let why = same.to_string();
        slot.refused = Some(RefusedFile {
            identity: None,
            why,
            may_pass: false,
        });
        slot
    }

    /// Returns the files of its versions that are only in memory.
    pub(super) fn sources(&self) -> impl Iterator<Item = HandlerSource> {
        let previous = match &self.previous {
            Some(PreviousVersion::Loaded(version)) => Some(version),
            _ => None,
        };
        let versions = [self.current.as_ref(), previous].into_iter().flatten();
        let sources: Vec<_> = versions.filter_map(|it| it.source.clone()).collect();
        sources.into_iter()
    }

    /// Releases the file with this digest, which is kept on disk now.
    pub(super) fn release(&mut self, digest: &str) {
        let previous = match &mut self.previous {
            Some(PreviousVersion::Loaded(version)) => Some(version),
            _ => None,
        };
        let versions = [self.current.as_mut(), previous].into_iter().flatten();
        for version in versions.filter(|version| version.identity.digest == digest) {
            version.source = None;
        }
    }

    /// Returns what the record of the chain says about the handler, or `None` if it is not part of the chain.
    pub(super) fn to_record(&self, name: &str) -> Option<HandlerRecord> {
        if self.last_version().is_none() && !self.is_required {
            return None;
        }
        let file = self.path.file_name().unwrap_or_default();
        let previous = self.previous.as_ref().map(PreviousVersion::identity);
        Some(HandlerRecord {
            name: name.to_owned(),
            file: file.to_string_lossy().into_owned(),
            current: self.last_version().map(VersionRecord::new),
            previous: previous.map(VersionRecord::new),
            paused: self.paused,
        })
    }

    /// Returns the version that runs, or ran before the daemon started.
    pub(super) fn last_version(&self) -> Option<&FileIdentity> {
        let current = self.current.as_ref().map(|version| &version.identity);
        current.or(self.kept.as_ref())
    }

    pub(super) fn running(&self) -> Option<&Arc<Handler>> {
        self.current.as_ref().map(|version| &version.handler)
    }

    /// Returns whether the version with this digest runs.
    pub(super) fn runs(&self, digest: &str) -> bool {
        self.running()
            .is_some_and(|running| running.digest() == digest)
    }

    /// Returns whether a file runs already, or was refused before with the same signature. If the reason may have passed, the file
    /// counts only until the folder `has_changed`, so that it is tried again then, and not all the time.
    pub(super) fn is_settled(&self, identity: &FileIdentity, has_changed: bool) -> bool {
        let is_refused = |refused: &RefusedFile| {
            refused.identity.as_ref() == Some(identity) && !(refused.may_pass && has_changed)
        };
        self.runs(&identity.digest) || self.refused.as_ref().is_some_and(is_refused)
    }

    /// Takes note of an admitted file in the folder. If it is the running version, it may have another signature by now, and
    /// after a restart only that may be one of a trusted key.
    pub(super) fn note_signature(&mut self, identity: FileIdentity, signer: Option<PublicKey>) {
        if let Some(current) = &mut self.current
            && current.identity.digest == identity.digest
        {
            current.identity = identity;
            current.signer = signer;
            self.refused = None;
        }
    }

    /// Takes note that the file in the folder is the running version.
    pub(super) fn note_good_file(&mut self) {
        self.refused = None;
        self.missing = None;
    }

    /// Makes `version` the running one, and the last one the previous version.
    pub(super) fn install(&mut self, version: Version) {
        self.note_good_file();
        let kept = self.kept.take();
        let kept = kept.filter(|kept| kept.digest != version.identity.digest);
        let last = self.current.replace(version).map(PreviousVersion::Loaded);
        self.previous = last
            .or(kept.map(PreviousVersion::Kept))
            .or(self.previous.take());
    }

    /// Takes note of a file that could not be loaded. `fallback` is the version that ran before the daemon started, which
    /// runs instead if it could be loaded.
    pub(super) fn refuse(
        &mut self,
        name: &str,
        mut refused: RefusedFile,
        fallback: Option<Result<Version, LoadError>>,
    ) {
        let why = &mut refused.why;
        match fallback {
            Some(Ok(version)) => {
                self.kept = None;
                self.current = Some(version);
            }
            Some(Err(error)) => {
                let error = in_one_line(&error.reason);
                *why = format!("{why}; nor can its last good version: {error}");
            }
            None => {}
        }
        if self.refused.as_ref().is_none_or(|it| it.why != *why) {
            let message = match (&self.current, self.is_required) {
                (Some(_), _) => "cannot load the handler; the version before it keeps running",
                (None, true) => "cannot load the handler; nothing is handled without it",
                (None, false) => {
                    "cannot load the handler; it was never part of the chain, which goes on"
                }
            };
            tracing::error!(handler = name, why, "{message}");
        }
        self.refused = Some(refused);
    }

    /// Returns the reason why no batch may pass the chain because of this handler, if there is one.
    pub(super) fn hold(&self, name: &str) -> Option<String> {
        if self.missing.is_some() {
            return Some(format!("the file of the handler {name} is gone"));
        }
        match (&self.current, &self.refused, self.is_required) {
            (Some(_), _, _) | (None, _, false) => None,
            (None, None, true) => Some(format!("the handler {name} is being loaded")),
            (None, Some(refused), true) => {
                let why = &refused.why;
                Some(format!("the handler {name} is not loaded: {why}"))
            }
        }
    }

    pub(super) fn state(&self) -> HandlerState {
        match &self.current {
            _ if self.missing.is_some() => HandlerState::Missing,
            None if self.refused.is_some() => HandlerState::Refused,
            None => HandlerState::Loading,
            Some(_) if self.paused => HandlerState::Paused,
            Some(version) if !version.handler.halted().all().is_empty() => HandlerState::Stopped,
            Some(_) => HandlerState::Running,
        }
    }

    fn error(&self) -> Option<String> {
        if self.missing.is_some() {
            return Some(
                "the file is not in the drop-in folder any more; put it back, or delete the handler"
                    .to_owned(),
            );
        }
        let refused = self.refused.as_ref().map(|refused| refused.why.clone());
        refused.or_else(|| self.duplicate.as_ref().map(ToString::to_string))
    }

    pub(super) fn status(
        &self,
        name: &str,
        settings: &HandlerConfig,
        counts: HandlerCounts,
    ) -> HandlerStatus {
        let stops = |version: &Version| {
            let stops = version.handler.halted().all().into_iter();
            stops.map(|(partition, why)| (partition.0, why)).collect()
        };
        let file = self.path.file_name().unwrap_or_default();
        let current = self.current.as_ref();
        HandlerStatus {
            name: name.to_owned(),
            file: file.to_string_lossy().into_owned(),
            state: self.state(),
            digest: current.map(|version| version.identity.digest.clone()),
            previous: self
                .previous
                .as_ref()
                .map(|version| version.identity().digest.clone()),
            signer: current.and_then(|version| Some(version.signer?.to_string())),
            produce: settings.produce.clone(),
            error: self.error(),
            unsaved: None,
            stopped: current.map(stops).unwrap_or_default(),
            counts,
        }
    }
}
