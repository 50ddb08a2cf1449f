//! The proof of a request to another instance, and of its answer.

use super::{PeerError, Proofs, ProvenRequest, proof::IssuedProof};
use crate::http_client::{
    HttpResponse, StatusCode, Uri,
    header::{HeaderName, HeaderValue},
};

/// The header with the proof of an answer, if there is a secret.
pub const ANSWER_PROOF: HeaderName = HeaderName::from_static("x-eventos-proof");

/// The proof of one request, which also checks that of its answer.
pub(super) struct RequestProof<'a> {
    proofs: &'a Proofs,
    issued: IssuedProof,
}

impl<'a> RequestProof<'a> {
    pub(super) fn issue(
        proofs: &'a Proofs,
        method: &str,
        uri: &Uri,
        body: &[u8],
    ) -> Result<Self, PeerError> {
        let request = ProvenRequest {
            method,
            host: &host_header(uri),
            path: uri.path_and_query().map_or("/", |it| it.as_str()),
        };
        let issued = proofs.issue(request, body);
        let no_numbers = || PeerError::Unreachable("the system has no random numbers".to_owned());
        let issued = issued.ok_or_else(no_numbers)?;
        Ok(Self { proofs, issued })
    }

    /// Returns the header `Authorization` of a request with this proof, or `None` without one.
    pub(super) fn header(proof: Option<&Self>) -> Option<&str> {
        proof.map(|proof| proof.issued.header.as_str())
    }

    /// Checks that a response comes from an instance that knows the secret.
    pub(super) fn check(&self, response: &HttpResponse) -> Result<(), PeerError> {
        let answer = response.headers().get(ANSWER_PROOF);
        let answer = answer.map(HeaderValue::as_bytes);
        match (
            self.proofs.confirms(&self.issued, answer),
            response.status(),
        ) {
            (true, _) => Ok(()),
            (false, StatusCode::UNAUTHORIZED) => Err(PeerError::Unauthorized),
            (false, StatusCode::OK | StatusCode::NO_CONTENT) => Err(PeerError::Unproven),
            (false, status) => Err(PeerError::status(status)),
        }
    }
}

/// Returns the header `Host` as the HTTP client sends it: without the default port of the scheme.
fn host_header(uri: &Uri) -> String {
    let host = uri.host().unwrap_or_default();
    match (uri.scheme_str(), uri.port_u16()) {
        (_, None) | (Some("http"), Some(80)) | (Some("https"), Some(443)) => host.to_owned(),
        (_, Some(port)) => format!("{host}:{port}"),
    }
}
