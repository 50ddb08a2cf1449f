//! Why a client could not establish a TLS connection.

use std::{error::Error, io};

use rustls::{AlertDescription, CertificateError, Error as RustlsError};

/// A TLS connection that was not established, so the server has not seen the request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub(crate) struct TlsFailure {
    /// Whose fault it is.
    pub(crate) kind: TlsFailureKind,
    text: String,
}

/// The kinds of failures that a user can do something about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsFailureKind {
    /// The certificate of the server is not issued by an authority that this client trusts.
    Untrusted,
    /// The certificate of the server is for other names than the one in the URL.
    OtherName,
    /// The certificate of the server has expired, or is not valid yet.
    Expired,
    /// The server refused the certificate of this client, or it demands one.
    ClientRefused,
    /// The server does not speak TLS.
    NoTls,
    /// Anything else.
    Other,
}

impl TlsFailure {
    /// Finds the TLS error among an error and its causes, if there is one.
    pub(crate) fn find(error: &(dyn Error + 'static)) -> Option<Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(error) = error.downcast_ref::<RustlsError>() {
                return Some(error.into());
            }
            // The source of an I/O error is that of the error in it.
            let inner = error.downcast_ref::<io::Error>();
            let inner = inner.and_then(io::Error::get_ref);
            next = match inner {
                Some(inner) => Some(inner),
                None => error.source(),
            };
        }
        None
    }
}

impl From<&RustlsError> for TlsFailure {
    fn from(error: &RustlsError) -> Self {
        use CertificateError as Certificate;
        let kind = match error {
            RustlsError::InvalidCertificate(certificate) => match certificate {
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                    TlsFailureKind::OtherName
                }
                Certificate::Expired
                | Certificate::ExpiredContext { .. }
                | Certificate::NotValidYet
                | Certificate::NotValidYetContext { .. } => TlsFailureKind::Expired,
                _ => TlsFailureKind::Untrusted,
            },
            RustlsError::AlertReceived(
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA,
            ) => TlsFailureKind::ClientRefused,
            RustlsError::InvalidMessage(_) => TlsFailureKind::NoTls,
            _ => TlsFailureKind::Other,
        };
        Self {
            kind,
            text: error.to_string(),
        }
    }
}
