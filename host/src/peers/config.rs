//! The `[peers]` table.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::PeerUrl;

/// The shortest secret, in bytes.
const MIN_SECRET: usize = 32;

/// The `[peers]` table: how the instances of a group trust one another.
#[derive(Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The secret with which the instances of the group prove themselves to one another, or "" for none.
    pub secret: String,
    /// The `host:port` of other instances that may be asked. `*` stands for any host. Empty stands for loopback and, if there is
    /// a secret, the port of this instance on any host, once the instance there has proved itself.
    pub allow: Vec<String>,
}

/// Whether a URL may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permission {
    /// `peers.allow` names it.
    Named,
    /// Once it has proved that an instance of the group is there.
    IfProven,
    /// Never.
    None,
}

impl Config {
    /// Returns the invalid values: the key in this table, and what would be valid.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        if !self.secret.is_empty() && self.secret.len() < MIN_SECRET {
            let why = format!(
                "expected at least {MIN_SECRET} bytes, such as a key of `eventos keys new`"
            );
            problems.push(("secret".to_owned(), why));
        }
        for (i, allowed) in self.allow.iter().enumerate() {
            let is_url = |host: &str| format!("http://{host}").parse::<PeerUrl>().is_ok();
            let parts = allowed.rsplit_once(':');
            if !parts.is_some_and(|(host, port)| {
                port.parse::<u16>().is_ok() && (host == "*" || is_url(host))
            }) {
                let why = "expected host:port or *:port".to_owned();
                problems.push((format!("allow[{i}]"), why));
            }
        }
        problems
    }
}

impl Config {
    /// Returns whether the instance at this URL may be asked, if others reach this one at `own_port`. Any program in the group
    /// can choose its client id, so without this, it could make this daemon send requests to any address.
    pub(super) fn permission(&self, url: &PeerUrl, own_port: u16) -> Permission {
        let (host, port) = (url.host(), url.port());
        if self.allow.is_empty() {
            let has_own_port = !self.secret.is_empty() && own_port == port;
            return match has_own_port || is_loopback(host) {
                true => Permission::IfProven,
                false => Permission::None,
            };
        }
        let is_named = self.allow.iter().any(|allowed| {
            let parts = allowed.rsplit_once(':');
            parts.is_some_and(|(name, of)| {
                let is_host = name == "*" || name.eq_ignore_ascii_case(host);
                is_host && of.parse() == Ok(port)
            })
        });
        match is_named {
            true => Permission::Named,
            false => Permission::None,
        }
    }
}

/// Returns whether a host, as it is in a URL, is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    let is_address = address
        .parse::<IpAddr>()
        .is_ok_and(|address| address.to_canonical().is_loopback());
    is_address || host.eq_ignore_ascii_case("localhost")
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("allow", &self.allow)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permission(secret: &str, allow: &[&str], url: &str) -> Permission {
        let config = Config {
            secret: secret.to_owned(),
            allow: allow.iter().map(|&allowed| allowed.to_owned()).collect(),
        };
        config.permission(&url.parse().expect(url), 8080)
    }

    #[test]
    fn without_a_list_loopback_and_with_a_secret_the_own_port_may_prove_itself() {
        use Permission::{IfProven, None};
        for url in ["http://127.0.0.1:1", "http://localhost:2", "http://[::1]:3"] {
            assert_eq!(permission("", &[], url), IfProven, "{url}");
            assert_eq!(permission("s", &[], url), IfProven, "{url}");
        }
        assert_eq!(permission("s", &[], "http://10.0.0.7:8080"), IfProven);
        assert_eq!(permission("", &[], "http://10.0.0.7:8080"), None);
        assert_eq!(permission("s", &[], "http://10.0.0.7:80"), None);
        let lookalike = "http://localhost.evil.example:80";
        assert_eq!(permission("s", &[], lookalike), None);
    }

    #[test]
    fn a_list_is_all_that_is_asked() {
        use Permission::{Named, None};
        let allow = ["eventos-1:8080", "*:9000"];
        for (secret, url, expected) in [
            ("", "http://EVENTOS-1:8080", Named),
            ("", "http://anything:9000", Named),
            ("s", "http://eventos-2:8080", None),
            ("s", "http://127.0.0.1:8080", None),
        ] {
            assert_eq!(permission(secret, &allow, url), expected, "{url}");
        }
    }

    #[test]
    fn the_secret_is_not_shown() {
        let config = Config {
            secret: "hunter2".to_owned(),
            ..Config::default()
        };
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
