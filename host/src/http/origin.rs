//! Who may administer: programs, and pages of this daemon.

use axum::{
    extract::Request,
    http::{HeaderMap, header},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::{OTHER_SITE, Problem};

/// A page of another site, open in a browser on this machine, can send requests here too, and some without asking first.
/// Browsers say whose page it is in the header Origin; programs send none.
pub(super) async fn refuse_other_sites(request: Request, next: Next) -> Response {
    let Some(origin) = other_origin(request.headers()) else {
        return next.run(request).await;
    };
    let path = request.uri().path();
    let detail = format!("a page of {origin} may not look at {path} or change anything there");
    Problem::new(OTHER_SITE, detail).into_response()
}

/// The site whose page asks, if it is not this one.
fn other_origin(headers: &HeaderMap) -> Option<String> {
    let text = |name| headers.get(name)?.to_str().ok();
    let (origin, host) = (
        text(header::ORIGIN)?,
        text(header::HOST).unwrap_or_default(),
    );
    let is_own = origin.split_once("://").is_some_and(|(_, at)| at == host);
    (!is_own).then(|| origin.to_owned())
}
