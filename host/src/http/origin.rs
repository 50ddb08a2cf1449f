//! Protection of the administration from pages of other sites.

use axum::{
    extract::Request,
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::{OTHER_SITE, Problem};

/// Refuses requests from web pages of other sites.
///
/// A page that is open in a browser on this machine can send requests here, some of them without a preflight. Browsers
/// name the site of the page in the header `Origin`; other programs do not send it.
pub(super) async fn refuse_other_sites(request: Request, next: Next) -> Response {
    let Some(origin) = other_origin(request.headers()) else {
        return next.run(request).await;
    };
    let path = request.uri().path();
    let detail = format!("requests to {path} from pages of {origin} are not allowed");
    Problem::new(OTHER_SITE, detail).into_response()
}

/// Returns the site of the page that sent the request, unless it is this daemon.
fn other_origin(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name)?.to_str().ok();
    let (origin, host) = (
        text(header::ORIGIN)?,
        text(header::HOST).unwrap_or_default(),
    );
    let is_own = origin.split_once("://").is_some_and(|(_, at)| at == host);
    (!is_own).then(|| origin.to_owned())
}
