//! The settings of the HTTP server.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::http::{Uri, uri::Authority};
use serde::{Deserialize, Serialize};

use super::auth::AuthConfig;
use crate::{
    peers::{PeerUrl, is_loopback},
    tls,
};

/// The `[http]` table.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The address to listen on.
    pub listen: SocketAddr,
    /// The URL at which other instances reach this one. Empty stands for `http://`, or `https://` with TLS, and
    /// the address in `listen`.
    pub advertise: String,
    /// The host names under which the daemon is reached, besides those of loopback, of `listen` and of `advertise`.
    pub hosts: Vec<String>,
    /// How many connections may be open at the same time.
    pub max_connections: u32,
    /// The keys that requests need.
    pub auth: AuthConfig,
    /// Certificates, for HTTPS.
    pub tls: tls::Config,
}

impl Config {
    /// Returns the invalid values: the key in this table, and what would be valid.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut problem = |key: &str, why: String| problems.push((key.to_owned(), why));
        match self.advertise.parse::<PeerUrl>() {
            Err(error) if !self.advertise.is_empty() => problem("advertise", error.to_string()),
            Ok(url) if self.tls.is_enabled() && !url.is_https() => {
                let why = "expected an https URL, because http.tls.certificate is set";
                problem("advertise", why.to_owned());
            }
            _ => {}
        }
        if self.max_connections == 0 {
            problem("max_connections", "expected a number from 1".to_owned());
        }
        for (i, host) in self.hosts.iter().enumerate() {
            if !is_host(host) {
                let why =
                    "expected a host name such as eventos.example.org, without scheme and port";
                problem(&format!("hosts[{i}]"), why.to_owned());
            }
        }
        if let Some(key) = self.open_address() {
            let why = "everyone who can reach this address could do everything: make a key with `eventos keys new` and add it \
                       to [http.auth], or use a loopback address such as 127.0.0.1";
            problem(key, why.to_owned());
        }
        let auth = self.auth.problems().into_iter();
        problems.extend(auth.map(|(key, why)| (format!("auth.{key}"), why)));
        let tls = self.tls.problems().into_iter();
        problems.extend(tls.map(|(key, why)| (format!("tls.{key}"), why)));
        problems
    }

    /// Returns the key of an address that other machines can reach although no key is needed.
    fn open_address(&self) -> Option<&'static str> {
        if !self.auth.keys.is_empty() {
            return None;
        }
        let advertised = self.advertise.parse::<Uri>().ok();
        let advertised = advertised.and_then(|url| Some(url.host()?.to_owned()));
        match advertised {
            _ if !self.listen.ip().to_canonical().is_loopback() => Some("listen"),
            Some(host) if !is_loopback(&host) => Some("advertise"),
            _ => None,
        }
    }

    /// Returns the URL at which other instances reach this one. If `advertise` is not set, it is derived from the
    /// address that this instance listens on; there is none if that is the unspecified address.
    #[must_use]
    pub fn advertised(&self, listening: SocketAddr) -> Option<PeerUrl> {
        let set = self.advertise.parse().ok();
        set.or_else(|| PeerUrl::of(self.tls.scheme(), listening))
    }
}

/// Returns whether a text is the name or the address of a host, and nothing else.
fn is_host(text: &str) -> bool {
    let is_name = |authority: Authority| authority.host() == text && !text.contains('*');
    text.parse::<IpAddr>().is_ok() || text.parse().is_ok_and(is_name)
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            advertise: String::new(),
            hosts: Vec::new(),
            max_connections: 1024,
            auth: AuthConfig::default(),
            tls: tls::Config::default(),
        }
    }
}
