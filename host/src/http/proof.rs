//! Requests of other instances and the responses to them: both prove that the sender knows the secret of the group.

use axum::{
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    auth::Keys,
    body,
    problem::{Problem, UNAUTHORIZED},
};
use crate::peers::{ANSWER_PROOF, CheckedProof, PROOF_PATH, Proofs, ProvenRequest};

/// What requests of other instances are checked with.
#[derive(Clone)]
pub(super) struct PeerAccess {
    /// `None` without a secret.
    secret: Option<Proofs>,
    /// For handshakes without a secret.
    open: Proofs,
    keys: Keys,
}

impl PeerAccess {
    pub(super) fn new(secret: Option<&Proofs>, keys: Keys) -> Self {
        Self {
            secret: secret.cloned(),
            open: Proofs::new(""),
            keys,
        }
    }

    /// Returns what proves a request to this path, or `None` if it needs no proof.
    ///
    /// # Errors
    /// If other instances cannot be served.
    fn proofs(&self, path: &str) -> Result<Option<&Proofs>, Problem> {
        if self.secret.is_none() && self.keys.are_needed() {
            let detail = "other instances are served only with a secret; set the same peers.secret in all of them";
            return Err(Problem::new(UNAUTHORIZED, detail));
        }
        let open = (path == PROOF_PATH).then_some(&self.open);
        Ok(self.secret.as_ref().or(open))
    }
}

/// Refuses requests to `/peers/` without a proof, and adds that of the answer. Without a secret, all but handshakes are served
/// without one, as long as no keys are set.
pub(super) async fn require_proof(
    State(access): State<PeerAccess>,
    request: Request,
    next: Next,
) -> Response {
    if !request.uri().path().starts_with("/peers/") {
        return next.run(request).await;
    }
    let proofs = match access.proofs(request.uri().path()) {
        Ok(Some(proofs)) => proofs,
        Ok(None) => return next.run(request).await,
        Err(problem) => return problem.into_response(),
    };
    match check(proofs, request).await {
        Ok((request, answer)) => {
            let mut response = next.run(request).await;
            response.headers_mut().insert(ANSWER_PROOF, answer);
            response
        }
        Err(problem) => problem.into_response(),
    }
}

/// Returns the request with its body, and the proof of its answer. The body is read only after the head has been checked.
async fn check(proofs: &Proofs, request: Request) -> Result<(Request, HeaderValue), Problem> {
    let unauthorized = |detail: String| Problem::new(UNAUTHORIZED, detail);
    let (head, body) = request.into_parts();
    let text = |name| {
        head.headers
            .get(name)
            .and_then(|value: &HeaderValue| value.to_str().ok())
    };
    let proven = ProvenRequest {
        method: head.method.as_str(),
        host: text(header::HOST).unwrap_or_default(),
        path: head.uri.path_and_query().map_or("/", |it| it.as_str()),
    };
    let checked = proofs.check(text(header::AUTHORIZATION), proven);
    let proof: CheckedProof = checked.map_err(|invalid| unauthorized(invalid.to_string()))?;
    let body = body::read_command(body).await?;
    if !proof.is_of(&body) {
        return Err(unauthorized("the proof is that of another body".to_owned()));
    }
    let answer = HeaderValue::try_from(proof.answer).expect("it is hexadecimal");
    Ok((Request::from_parts(head, Body::from(body)), answer))
}
