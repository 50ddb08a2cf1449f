//! Why the answer of another instance is missing.

use std::time::Duration;

use crate::{
    http_client::{HttpClientError, StatusCode},
    tls::{TlsFailure, TlsFailureKind},
};

/// Why the response of a peer, or the rest of it, is missing. The text follows the URL of the peer, and is shown to
/// clients.
#[derive(Clone, Debug, thiserror::Error)]
pub enum PeerError {
    /// The peer took longer than this.
    #[error("did not respond within {0:?}")]
    Timeout(Duration),
    /// No connection to the peer could be made, so it has not received the request.
    #[error("cannot be reached: {0}")]
    Unreachable(String),
    /// The request has too many parameters, so it was not sent.
    #[error("cannot be asked: the query is too long")]
    TooLong,
    /// The configuration does not allow asking this URL.
    #[error(
        "is not asked: add its host:port to peers.allow, or set peers.secret if its port is that of this instance"
    )]
    NotAllowed,
    /// The response does not prove that it comes from an instance of the group, so it is not used.
    #[error(
        "did not prove that it is an instance of the group; set the same peers.secret in all of them"
    )]
    Unproven,
    /// The connection was lost after the request was sent.
    #[error("closed the connection: {0}")]
    Interrupted(String),
    /// The peer did not accept the proof of this instance.
    #[error(
        "refused the request; set the same peers.secret in all instances of the group, and the clocks of their machines"
    )]
    Unauthorized,
    /// The response is not that of an instance of this version.
    #[error("sent an unexpected response; it may run another version or another program: {0}")]
    Unexpected(String),
}

impl PeerError {
    pub(super) fn status(status: StatusCode) -> Self {
        Self::Unexpected(format!("status {status}"))
    }

    /// Returns the error of a check before a command, which the peer has therefore not received.
    pub(super) fn before_command(self) -> Self {
        match self {
            Self::NotAllowed | Self::Unreachable(_) => self,
            // These texts follow "cannot be reached: ".
            Self::Timeout(time) => Self::Unreachable(format!("no response within {time:?}")),
            other => Self::Unreachable(format!("it {other}")),
        }
    }
}

impl From<HttpClientError> for PeerError {
    fn from(error: HttpClientError) -> Self {
        match error {
            HttpClientError::Connect(cause) => Self::Unreachable(cause),
            HttpClientError::Tls(failure) => Self::Unreachable(explain(&failure)),
            HttpClientError::Incomplete(cause) => Self::Interrupted(cause),
        }
    }
}

/// Returns the text of a failure, and what to do about it.
fn explain(failure: &TlsFailure) -> String {
    let hint = match failure.kind {
        TlsFailureKind::Untrusted => {
            "set http.tls.peer_ca to the authority that issued its certificate"
        }
        TlsFailureKind::OtherName => "its certificate has to name the host of its http.advertise",
        TlsFailureKind::Expired => "replace its certificate",
        TlsFailureKind::ClientRefused => {
            "it needs a certificate from its http.tls.client_ca: set http.tls.certificate to one for servers and clients"
        }
        TlsFailureKind::NoTls => "it does not speak TLS at this port",
        TlsFailureKind::Other => return failure.to_string(),
    };
    format!("{failure}; {hint}")
}
