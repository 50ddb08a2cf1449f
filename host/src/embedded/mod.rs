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

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 9092).into(),
            dir: PathBuf::from("data/broker"),
            partitions: 4,
        }
    }
}
