//! The `[http.auth]` table.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// The `[http.auth]` table: who may do what over HTTP. Without keys, everyone who can connect may do everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthConfig {
    /// Whether `/metrics` needs no key.
    pub open_metrics: bool,
    /// The keys that are accepted. With several, one can be replaced while both are valid.
    pub keys: Vec<KeyConfig>,
}

/// One of the `[[http.auth.keys]]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeyConfig {
    /// A name for the log.
    pub name: String,
    /// The SHA-256 of the key, as 64 hexadecimal digits. A key is 32 random bytes, so no more than that is needed.
    pub hash: String,
    /// What the key permits.
    pub scopes: Vec<Scope>,
    /// How many requests it permits in a second; without it, any number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<u32>,
}

/// What a key permits. None includes another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Reading Eventos, dead letters, handlers, partitions and metrics.
    Read,
    /// Sending Eventos.
    Send,
    /// Changing handlers, redriving and replaying.
    Admin,
}

impl AuthConfig {
    /// Returns the invalid values: the key in this table, and what would be valid.
    pub(in crate::http) fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (i, key) in self.keys.iter().enumerate() {
            let mut problem = |name: &str, why: &str| {
                problems.push((format!("keys[{i}].{name}"), why.to_owned()));
            };
            if parse_hash(&key.hash).is_none() {
                let why = "expected 64 hexadecimal digits, such as `eventos keys new` prints";
                problem("hash", why);
            }
            if key.scopes.is_empty() {
                problem("scopes", "expected at least one of read, send and admin");
            }
            if key.rate == Some(0) {
                problem("rate", "expected a number from 1");
            }
        }
        problems
    }
}

impl Scope {
    /// Returns the name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Send => "send",
            Self::Admin => "admin",
        }
    }
}

/// Returns the hash of a key, as it is in the configuration.
#[must_use]
pub fn hash_key(key: &str) -> String {
    hash(key.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

pub(super) fn hash(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// Parses 64 hexadecimal digits.
pub(super) fn parse_hash(digits: &str) -> Option<[u8; 32]> {
    let is_hex = digits.len() == 64 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    let digits = is_hex.then_some(digits)?;
    let mut hash = [0; 32];
    for (i, byte) in hash.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * i..2 * i + 2], 16).ok()?;
    }
    Some(hash)
}
