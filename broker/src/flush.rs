//! When the disk is waited for: the setting `embedded.flush`, and the waiting.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{Error, Shared};

/// What an acknowledgement survives. Each survives the process, killed or not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Flush {
    /// The operating system writes when it likes: a power cut may cost the last half minute or so. The default.
    #[default]
    Never,
    /// Once in this time: a power cut costs what was acknowledged since.
    Every(Duration),
    /// Before each acknowledgement: a power cut costs nothing that was acknowledged, and each waits for the disk.
    Each,
}

const FORMS: &str =
    "expected \"never\", \"each\" or a time such as \"1s\", from \"10ms\" to \"1h\"";

impl FromStr for Flush {
    type Err = String;

    fn from_str(text: &str) -> Result<Flush, String> {
        match text {
            "never" => Ok(Flush::Never),
            "each" => Ok(Flush::Each),
            other => {
                let every = other.parse::<SignedDuration>().ok();
                every
                    .and_then(|every| Duration::try_from(every).ok())
                    .filter(|every| (10..=3_600_000).contains(&every.as_millis()))
                    .map(Flush::Every)
                    .ok_or_else(|| format!("{FORMS}, not {other:?}"))
            }
        }
    }
}

impl TryFrom<String> for Flush {
    type Error = String;

    fn try_from(text: String) -> Result<Flush, String> {
        text.parse()
    }
}

impl From<Flush> for String {
    fn from(flush: Flush) -> String {
        flush.to_string()
    }
}

impl fmt::Display for Flush {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Flush::Never => f.write_str("never"),
            Flush::Each => f.write_str("each"),
            Flush::Every(every) => match SignedDuration::try_from(*every) {
                Ok(every) => write!(f, "{every:#}"),
                Err(_) => write!(f, "{}ms", every.as_millis()),
            },
        }
    }
}

/// Waits until the disk has all that was decided and appended before; what is clean costs nothing.
pub async fn flush(shared: &Arc<Shared>) -> Result<(), Error> {
    let shared = Arc::clone(shared);
    let synced = tokio::task::spawn_blocking(move || sync_all(&shared)).await;
    match synced {
        Ok(synced) => synced,
        // The runtime ends, or there is a bug: either way nothing may be promised.
        Err(error) => Err(Error::io("sync", "everything")(std::io::Error::other(
            error,
        ))),
    }
}

/// Blocks for as long as the disk takes. The logs go first: what a journal decides must be in them.
pub fn sync_all(shared: &Shared) -> Result<(), Error> {
    for log in shared.topics.logs() {
        if log.is_dirty() {
            log.sync()?;
        }
    }
    shared.offsets.sync()?;
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
            let said = wrong.parse::<Flush>().unwrap_err();
            assert!(said.contains("\"each\""), "{said}");
        }
    }
}
