//! The `[http.tls]` table.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Certificates, pem::Source};

pub(super) const CERTIFICATE: &str = "http.tls.certificate";
pub(super) const KEY: &str = "http.tls.key";
pub(super) const CLIENT_CA: &str = "http.tls.client_ca";
pub(super) const PEER_CA: &str = "http.tls.peer_ca";

/// The `[http.tls]` table. All files are PEM, and an empty path stands for none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The certificate of the daemon, followed by those of the authorities between it and the root. The daemon serves HTTP
    /// without TLS if there is none.
    pub certificate: PathBuf,
    /// The private key of the certificate.
    pub key: PathBuf,
    /// The authorities that issue certificates to clients. If it is set, a client without such a certificate is refused.
    pub client_ca: PathBuf,
    /// The authorities that issued the certificates of the other instances. Empty stands for those of the system, and those in
    /// `certificate`.
    pub peer_ca: PathBuf,
}

impl Config {
    /// Whether the daemon serves with TLS.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.certificate().is_some()
    }

    /// Returns the scheme of the URLs of the daemon.
    #[must_use]
    pub fn scheme(&self) -> &'static str {
        if self.is_enabled() { "https" } else { "http" }
    }

    /// Returns the invalid values: the key in this table, and what would be valid. Reads the files.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let problem = |key: &str, why: String| vec![(key.to_owned(), why)];
        match (self.certificate(), self.key(), self.client_ca()) {
            (Some(_), None, _) => {
                let why = format!("expected {KEY} to be set as well");
                return problem("certificate", why);
            }
            (None, Some(_), _) => {
                let why = format!("expected {CERTIFICATE} to be set as well");
                return problem("key", why);
            }
            (None, _, Some(_)) => {
                let why = format!(
                    "expected {CERTIFICATE} to be set as well: without TLS, clients show no certificates"
                );
                return problem("client_ca", why);
            }
            _ => {}
        }
        match Certificates::load(self) {
            Ok(_) => Vec::new(),
            Err(error) => {
                let key = error.setting.rsplit('.').next().unwrap_or_default();
                problem(key, error.why)
            }
        }
    }

    /// Returns what is valid but should be looked at: the key in this table, and the reason. Reads the files.
    #[must_use]
    pub fn warnings(&self) -> Vec<(String, String)> {
        let Ok(certificates) = Certificates::load(self) else {
            return Vec::new();
        };
        let warnings = certificates.warnings().into_iter();
        let in_table = |(setting, why): (&str, String)| {
            let key = setting.rsplit('.').next().unwrap_or_default();
            (key.to_owned(), why)
        };
        warnings.map(in_table).collect()
    }

    pub(super) fn certificate(&self) -> Option<Source> {
        source(CERTIFICATE, &self.certificate)
    }

    pub(super) fn key(&self) -> Option<Source> {
        source(KEY, &self.key)
    }

    pub(super) fn client_ca(&self) -> Option<Source> {
        source(CLIENT_CA, &self.client_ca)
    }

    pub(super) fn peer_ca(&self) -> Option<Source> {
        source(PEER_CA, &self.peer_ca)
    }
}

fn source(setting: &'static str, path: &Path) -> Option<Source> {
    let path = path.to_owned();
    (!path.as_os_str().is_empty()).then_some(Source { setting, path })
}
