//! The slot of one handler in the chain: the running version, the previous version, and a file that could not be
//! loaded.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::Serialize;

use crate::{
    plugin::{FileIdentity, Handler, HandlerConfig, HandlerSource, PublicKey},
    telemetry::metrics::HandlerCounts,
};

/// A handler and its file.
#[derive(Clone)]
pub(super) struct Version {
    pub handler: Arc<Handler>,
    pub source: HandlerSource,
    /// The trusted key that has signed the file.
    pub signer: Option<PublicKey>,
}

pub(super) struct HandlerSlot {
    /// Path of the file in the drop-in folder.
    pub path: PathBuf,
    /// `None` if no version of the file could be loaded.
    pub current: Option<Version>,
    /// The version that ran before, if there was one since the daemon started.
    pub previous: Option<Version>,
    /// The file that lies in the folder but could not be loaded, and the reason.
    pub refused: Option<RefusedFile>,
    pub paused: bool,
}

/// A file that could not be loaded.
pub(super) struct RefusedFile {
    /// `None` if it could not be read.
    pub identity: Option<FileIdentity>,
    pub why: String,
}

/// The state of a handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum HandlerState {
    /// The handler gets every batch.
    Running,
    /// The handler is paused and holds up every batch.
    Paused,
    /// The handler halted one or more partitions after failures; the others continue.
    Stopped,
    /// The file could not be loaded, and no earlier version runs.
    Refused,
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
    /// The reason why the file in the folder could not be loaded.
    pub error: Option<String>,
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
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
            Self::Refused => "refused",
        }
    }
}

impl HandlerSlot {
    pub(super) fn new(path: PathBuf, version: Version) -> Self {
        Self {
            path,
            current: Some(version),
            previous: None,
            refused: None,
            paused: false,
        }
    }

    pub(super) fn refused(path: PathBuf, refused: RefusedFile) -> Self {
        Self {
            path,
            current: None,
            previous: None,
            refused: Some(refused),
            paused: false,
        }
    }

    pub(super) fn running(&self) -> Option<&Arc<Handler>> {
        self.current.as_ref().map(|version| &version.handler)
    }

    /// Returns whether the version with this digest runs.
    pub(super) fn runs(&self, digest: &str) -> bool {
        self.running()
            .is_some_and(|running| running.digest() == digest)
    }

    /// Returns whether a file runs already, or was refused before with the same signature.
    pub(super) fn is_settled(&self, identity: Option<&FileIdentity>) -> bool {
        let is_refused = |refused: &RefusedFile| refused.identity.as_ref() == identity;
        let runs = identity.is_some_and(|identity| self.runs(&identity.digest));
        runs || self.refused.as_ref().is_some_and(is_refused)
    }

    /// Makes `version` the running one.
    pub(super) fn install(&mut self, version: Version) {
        self.refused = None;
        self.previous = self.current.replace(version).or(self.previous.take());
    }

    pub(super) fn state(&self) -> HandlerState {
        match (&self.current, self.paused) {
            (None, _) => HandlerState::Refused,
            (Some(_), true) => HandlerState::Paused,
            (Some(version), false) if !version.handler.halted().all().is_empty() => {
                HandlerState::Stopped
            }
            (Some(_), false) => HandlerState::Running,
        }
    }

    pub(super) fn status(
        &self,
        name: &str,
        settings: &HandlerConfig,
        counts: HandlerCounts,
    ) -> HandlerStatus {
        let digest = |version: &Version| version.handler.digest().to_owned();
        let stops = |version: &Version| {
            let stops = version.handler.halted().all().into_iter();
            stops.map(|(partition, why)| (partition.0, why)).collect()
        };
        let file = self.path.file_name().unwrap_or_default();
        HandlerStatus {
            name: name.to_owned(),
            file: file.to_string_lossy().into_owned(),
            state: self.state(),
            digest: self.current.as_ref().map(digest),
            previous: self.previous.as_ref().map(digest),
            signer: self
                .current
                .as_ref()
                .and_then(|version| Some(version.signer?.to_string())),
            produce: settings.produce.clone(),
            error: self.refused.as_ref().map(|refused| refused.why.clone()),
            stopped: self.current.as_ref().map(stops).unwrap_or_default(),
            counts,
        }
    }
}
