//! The slot of one handler in the chain: the running version, the previous version, and a file that could not be
//! loaded.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::Serialize;

use crate::{plugin::Handler, telemetry::metrics::HandlerCounts};

/// A handler and the bytes of its file.
#[derive(Clone)]
pub(super) struct Version {
    pub handler: Arc<Handler>,
    pub bytes: Arc<[u8]>,
}

pub(super) struct HandlerSlot {
    /// Path of the file in the drop-in folder.
    pub path: PathBuf,
    /// `None` if no version of the file could be loaded.
    pub current: Option<Version>,
    /// The version that ran before, if there was one since the daemon started.
    pub previous: Option<Version>,
    /// Digest of the file that lies in the folder but could not be loaded, and the reason.
    pub refused: Option<(String, String)>,
    pub paused: bool,
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

    pub(super) fn refused(path: PathBuf, digest: String, why: String) -> Self {
        Self {
            path,
            current: None,
            previous: None,
            refused: Some((digest, why)),
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

    /// Returns whether a file with this digest runs already, or was refused before.
    pub(super) fn is_settled(&self, digest: &str) -> bool {
        let is_refused = |(refused, _): &(String, String)| refused == digest;
        self.runs(digest) || self.refused.as_ref().is_some_and(is_refused)
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

    pub(super) fn status(&self, name: &str, counts: HandlerCounts) -> HandlerStatus {
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
            error: self.refused.as_ref().map(|(_, why)| why.clone()),
            stopped: self.current.as_ref().map(stops).unwrap_or_default(),
            counts,
        }
    }
}
