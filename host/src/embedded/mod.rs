//! The broker inside.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

/// The `[embedded]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Loopback only.
    pub listen: SocketAddr,
    /// Where the logs are kept.
    pub dir: PathBuf,
    /// Partitions of a topic that is created without a number.
    pub partitions: u32,
}

impl Config {
    /// What is wrong with the values: a key in this table, and what would be right.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if !self.listen.ip().is_loopback() {
            let why = "expected a loopback address such as \"127.0.0.1:9092\": the broker inside \
                       has no authentication";
            problems.push(("listen".to_owned(), why.to_owned()));
        }
        if self.dir.as_os_str().is_empty() {
            problems.push(("dir".to_owned(), "expected a path".to_owned()));
        }
        if !(1..=1000).contains(&self.partitions) {
            problems.push(("partitions".to_owned(), "expected 1 to 1000".to_owned()));
        }
        problems
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9092).into(),
            dir: PathBuf::from("data/broker"),
            partitions: 4,
        }
    }
}
