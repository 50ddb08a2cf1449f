//! One handler's place in the chain: what runs in it, what ran before, and what would not.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use serde::Serialize;

use crate::{plugin::Handler, telemetry::metrics::Counts};

/// A handler, and the file that it was made of.
#[derive(Clone)]
pub(super) struct Version {
    pub handler: Arc<Handler>,
    pub bytes: Arc<[u8]>,
}

pub(super) struct Seat {
    /// The file in the folder.
    pub path: PathBuf,
    /// `None` for a file that never could be loaded.
    pub current: Option<Version>,
    /// What ran before it, in this run of the daemon.
    pub previous: Option<Version>,
    /// Why the file that lies there now does not run, and its digest.
    pub refused: Option<(String, String)>,
    pub paused: bool,
}

/// What a handler does now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It gets every batch.
    Running,
    /// It holds every batch up.
    Paused,
    /// It has stopped a partition, or several, after failures; the others go on.
    Stopped,
    /// There is a file, and nothing to run.
    Refused,
}

/// A handler as `GET /handlers` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The file's name without a leading "NN-" and ".wasm".
    pub name: String,
    /// The file's name.
    pub file: String,
    /// What it does now.
    pub state: State,
    /// SHA-256 of what runs, in hexadecimal; none if nothing does.
    pub digest: Option<String>,
    /// Of what a rollback would bring back.
    pub previous: Option<String>,
    /// Why the file in the folder is not what runs.
    pub error: Option<String>,
    /// The partitions that it has stopped, and why.
    pub stopped: BTreeMap<i32, String>,
    /// Since the daemon's start, over all versions.
    #[serde(flatten)]
    pub counts: Counts,
}

impl State {
    /// As metrics and JSON have it.
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

impl Seat {
    pub(super) fn new(path: PathBuf, handler: Arc<Handler>, bytes: Vec<u8>) -> Self {
        Self {
            path,
            current: Some(Version {
                handler,
                bytes: bytes.into(),
            }),
            previous: None,
            refused: None,
            paused: false,
        }
    }

    pub(super) fn of_refused(path: PathBuf, digest: String, why: String) -> Self {
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

    /// From now on this runs.
    pub(super) fn take(&mut self, version: Version) {
        self.refused = None;
        self.previous = self.current.replace(version).or(self.previous.take());
    }

    pub(super) fn state(&self) -> State {
        match (&self.current, self.paused) {
            (None, _) => State::Refused,
            (Some(_), true) => State::Paused,
            (Some(version), false) if !version.handler.stops().all().is_empty() => State::Stopped,
            (Some(_), false) => State::Running,
        }
    }

    pub(super) fn status(&self, name: &str, counts: Counts) -> Status {
        let digest = |version: &Version| version.handler.digest().to_owned();
        let stops = |version: &Version| {
            let stops = version.handler.stops().all().into_iter();
            stops.map(|(partition, why)| (partition.0, why)).collect()
        };
        let file = self.path.file_name().unwrap_or_default();
        Status {
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
