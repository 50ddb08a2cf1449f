//! The settings of the HTTP server.

use std::net::{Ipv4Addr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::peers::PeerUrl;

/// The `[http]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The URL at which other instances reach this one. Empty stands for `http://` and the address in `listen`.
    pub advertise: String,
    /// How many connections may be open at the same time.
    pub max_connections: u32,
}

impl Config {
    /// Returns the invalid values: the key in this table, and what would be valid.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, why: String| problems.push((key.to_owned(), why));
        if let Err(error) = self.advertise.parse::<PeerUrl>()
            && !self.advertise.is_empty()
        {
            problem("advertise", error.to_string());
        }
        if self.max_connections == 0 {
            problem("max_connections", "expected a number from 1".to_owned());
        }
        problems
    }

    /// Returns the URL at which other instances reach this one. If `advertise` is not set, it is derived from the
    /// address that this instance listens on; there is none if that is the unspecified address.
    #[must_use]
    pub fn advertised(&self, listening: SocketAddr) -> Option<PeerUrl> {
        let set = self.advertise.parse().ok();
        set.or_else(|| PeerUrl::of(listening))
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            advertise: String::new(),
            max_connections: 1024,
        }
    }
}
