//! The setting `flush`: when data is synced to disk, and the syncing itself.

use std::{fmt, str::FromStr, sync::Arc, time::Duration};

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::{Error, shared::Shared};

/// When data is synced to disk, which decides what a power cut or a crash of the operating system can lose.
///
/// A kill of the process loses nothing that was acknowledged, whatever is set here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Flush {
    /// The operating system decides: a power cut can lose the last half minute or so. The default; `"never"`.
    #[default]
    Never,
    /// Periodically: a power cut can lose what was acknowledged within this time. `"1s"`, for example.
    Every(Duration),
    /// Before each acknowledgement: a power cut loses nothing, but each acknowledgement waits for the disk. `"each"`.
    Each,
}

const EXPECTED: &str =
    "expected \"never\", \"each\" or a time such as \"1s\", from \"10ms\" to \"1h\"";

impl FromStr for Flush {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "never" => Ok(Self::Never),
            "each" => Ok(Self::Each),
            other => {
                let every = other.parse::<SignedDuration>().ok();
                every
                    .and_then(|every| Duration::try_from(every).ok())
                    .filter(|every| (10..=3_600_000).contains(&every.as_millis()))
                    .map(Self::Every)
                    .ok_or_else(|| format!("{EXPECTED}, not {other:?}"))
            }
        }
    }
}

impl TryFrom<String> for Flush {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Flush> for String {
    fn from(flush: Flush) -> Self {
        flush.to_string()
    }
}

impl fmt::Display for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::Each => f.write_str("each"),
            Self::Every(every) => match SignedDuration::try_from(*every) {
                Ok(every) => write!(f, "{every:#}"),
                Err(_) => write!(f, "{}ms", every.as_millis()),
            },
        }
    }
}

/// Waits until everything that was appended or decided before the call is on disk. Costs nothing if it already is.
pub(crate) async fn flush(shared: &Arc<Shared>) -> Result<(), Error> {
    let shared = Arc::clone(shared);
    let synced = tokio::task::spawn_blocking(move || sync_all(&shared)).await;
    match synced {
        Ok(synced) => synced,
        // The runtime is shutting down or the task panicked: in both cases nothing may be acknowledged.
        Err(error) => Err(Error::io("sync", "everything")(std::io::Error::other(
            error,
        ))),
    }
}

/// Syncs all files; blocks for as long as the disk takes.
///
/// The logs come first, because a decision in a journal must not reach the disk before the records that it is about.
pub(crate) fn sync_all(shared: &Shared) -> Result<(), Error> {
    let mut result = Ok(());
    for log in shared.topics.logs() {
        if log.is_dirty() {
            // A log that can no longer be synced does not keep the others from it.
            result = result.and(log.sync());
        }
    }
    result?;
    shared.offsets.sync()?;
    shared.groups.sync_journal()?;
    shared.transactions.sync()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_and_prints_back() {
        for (text, flush) in [
            ("never", Flush::Never),
            ("each", Flush::Each),
            ("1s", Flush::Every(Duration::from_secs(1))),
            ("250ms", Flush::Every(Duration::from_millis(250))),
        ] {
            assert_eq!(text.parse(), Ok(flush));
            assert_eq!(flush.to_string().parse(), Ok(flush));
        }
        for wrong in ["", "always", "1", "-1s", "0s", "1ms", "2h"] {
            let error = wrong.parse::<Flush>().unwrap_err();
            assert!(error.contains("\"each\""), "{error}");
        }
    }
}
