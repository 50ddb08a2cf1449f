//! TLS: the certificates that this process shows, and those that it trusts. They are read from PEM files, and read again when
//! the files change. The only module that names rustls, with the provider ring.
//!
//! | file | what it has |
//! |---|---|
//! | `config` | the `[http.tls]` table |
//! | `pem` | reads certificates and keys, and says what is wrong with a file |
//! | `trust` | which certificates of the other side are accepted |
//! | `validity` | from when and until when a certificate is valid |
//! | `certificates` | all of them together, and the watch on the files |
//! | `failure` | why a client could not establish a TLS connection |

mod certificates;
mod config;
mod failure;
mod pem;
mod trust;
mod validity;

use std::path::PathBuf;

pub(crate) use self::failure::{TlsFailure, TlsFailureKind};
pub use self::{certificates::Certificates, config::Config};

/// A file with certificates or a key that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{setting} = {path:?}: {why}")]
pub struct Error {
    /// The setting or option that names the file, such as `http.tls.key`.
    pub setting: &'static str,
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what to do.
    pub why: String,
}
