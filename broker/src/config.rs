//! The configuration of a broker.

use std::{net::SocketAddr, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::Flush;

/// The largest number of partitions of a topic; each of them holds a file open.
pub(crate) const MAX_PARTITIONS: u32 = 1_000;

/// Where a broker listens, where it keeps its data, and how new topics look.
///
/// All fields have defaults, so a configuration file may leave out any of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The loopback address to listen on; port 0 picks a free port. Default `127.0.0.1:9092`.
    pub listen: SocketAddr,
    /// The folder of all data; created if it does not exist. Default `data/broker`.
    pub dir: PathBuf,
    /// Number of partitions of a topic that is created without one, 1 to 1,000. Default 4.
    pub partitions: u32,
    /// When data is synced to disk. Default `"never"`.
    pub flush: Flush,
}

impl Config {
    /// Returns every invalid value: the key, and what is expected instead.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if !self.listen.ip().is_loopback() {
            let why = "expected a loopback address such as \"127.0.0.1:9092\": the built-in broker \
                       has no authentication";
            problems.push(("listen".to_owned(), why.to_owned()));
        }
        if self.dir.as_os_str().is_empty() {
            problems.push(("dir".to_owned(), "expected a path".to_owned()));
        }
        if !(1..=MAX_PARTITIONS).contains(&self.partitions) {
            let why = format!("expected 1 to {MAX_PARTITIONS}");
            problems.push(("partitions".to_owned(), why));
        }
        problems
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 9092)),
            dir: PathBuf::from("data/broker"),
            partitions: 4,
            flush: Flush::Never,
        }
    }
}
