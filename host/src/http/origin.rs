//! Protection from web pages of other sites, which can send requests here from a browser on this machine.

use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, Method, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::problem::{MEDIA_TYPE, OTHER_SITE, Problem};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// What other sites may link to. These pages contain no data by themselves.
const PAGES: [&str; 2] = ["/", "/docs"];

/// Refuses requests from web pages of other sites, and bodies without a media type, which such pages may send without asking
/// first. Forbids browsers to frame, embed or reinterpret what is answered.
pub(super) async fn refuse_other_sites(request: Request, next: Next) -> Response {
    let mut response = match fault(&request) {
        None => next.run(request).await,
        Some(problem) => problem.into_response(),
    };
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (RESOURCE_POLICY, "same-origin"),
    ] {
        let headers = response.headers_mut();
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn fault(request: &Request) -> Option<Problem> {
    let headers = request.headers();
    if is_of_other_site(request.method(), request.uri().path(), headers) {
        let path = request.uri().path();
        let detail = format!("requests to {path} from pages of other sites are not allowed");
        return Some(Problem::new(OTHER_SITE, detail));
    }
    let length = headers.get(header::CONTENT_LENGTH);
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || length.is_some_and(|length| length.as_bytes() != b"0");
    if has_body && !headers.contains_key(header::CONTENT_TYPE) {
        let detail = "a request with a body needs the header Content-Type";
        return Some(Problem::new(MEDIA_TYPE, detail));
    }
    None
}

/// Returns whether a page of another site sent the request. Only browsers say where a request comes from: in the header
/// `Origin` unless it is a plain GET, and current ones also in `Sec-Fetch-Site`.
fn is_of_other_site(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    if is_navigation(method, path, headers) {
        return false;
    }
    let origins = headers.get_all(header::ORIGIN).iter();
    let host = headers.get(header::HOST);
    let is_own_origin = origins.into_iter().all(|origin| is_own(origin, host));
    let mut sites = headers.get_all(SEC_FETCH_SITE).iter();
    let is_own_site = sites.all(|site| matches!(site.as_bytes(), b"same-origin" | b"none"));
    !is_own_origin || !is_own_site
}

/// Returns whether a browser opens one of the [`PAGES`] in a tab, for example by a link on another site.
fn is_navigation(method: &Method, path: &str, headers: &HeaderMap) -> bool {
    let is = |name, value: &str| headers.get(name).is_some_and(|given| given == value);
    method.is_safe()
        && PAGES.contains(&path)
        && !headers.contains_key(header::ORIGIN)
        && is(SEC_FETCH_MODE, "navigate")
        && is(SEC_FETCH_DEST, "document")
}

/// Returns whether an origin is that of the host of the request. The scheme may differ, since a proxy may have ended TLS.
fn is_own(origin: &HeaderValue, host: Option<&HeaderValue>) -> bool {
    let host = host.and_then(|host| host.to_str().ok()?.parse::<Authority>().ok());
    let origin = origin.to_str().ok().and_then(|origin| {
        let (scheme, authority) = origin.split_once("://")?;
        Some((scheme.to_owned(), authority.parse::<Authority>().ok()?))
    });
    let (Some((scheme, origin)), Some(host)) = (origin, host) else {
        return false;
    };
    let default = match scheme.as_str() {
        "http" => 80,
        "https" => 443,
        _ => return false,
    };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    origin.host().eq_ignore_ascii_case(host.host()) && port(&origin) == port(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns whether a request with these headers counts as one of another site.
    fn is_foreign(method: &Method, path: &str, headers: &[(&str, &str)]) -> bool {
        let mut map = HeaderMap::new();
        map.insert(header::HOST, HeaderValue::from_static("127.0.0.1:8080"));
        for (name, value) in headers {
            let name = HeaderName::try_from(*name).expect("a header name");
            map.append(name, HeaderValue::from_str(value).expect("a header value"));
        }
        is_of_other_site(method, path, &map)
    }

    #[test]
    fn programs_and_pages_of_the_daemon_itself_are_served() {
        for headers in [
            &[][..],
            &[("origin", "http://127.0.0.1:8080")],
            &[("origin", "https://127.0.0.1:8080")],
            &[("sec-fetch-site", "same-origin")],
            &[("sec-fetch-site", "none"), ("sec-fetch-mode", "navigate")],
        ] {
            assert!(
                !is_foreign(&Method::GET, "/messages", headers),
                "{headers:?}"
            );
            assert!(!is_foreign(&Method::POST, "/send", headers), "{headers:?}");
        }
    }

    #[test]
    fn pages_of_other_sites_are_not() {
        for headers in [
            &[("origin", "http://127.0.0.1:3000")][..],
            &[("origin", "http://127.0.0.1")],
            &[("origin", "http://evil.example")],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "file://")],
            &[
                ("origin", "http://127.0.0.1:8080"),
                ("origin", "http://evil.example"),
            ],
            &[("sec-fetch-site", "cross-site")],
            &[("sec-fetch-site", "same-site")],
            &[
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", "document"),
            ],
        ] {
            assert!(
                is_foreign(&Method::GET, "/messages", headers),
                "{headers:?}"
            );
            assert!(is_foreign(&Method::POST, "/send", headers), "{headers:?}");
        }
    }

    #[test]
    fn other_sites_may_link_to_pages_and_not_embed_them() {
        let navigation = |dest| {
            [
                ("sec-fetch-site", "cross-site"),
                ("sec-fetch-mode", "navigate"),
                ("sec-fetch-dest", dest),
            ]
        };
        assert!(!is_foreign(&Method::GET, "/", &navigation("document")));
        assert!(!is_foreign(&Method::GET, "/docs", &navigation("document")));
        assert!(is_foreign(&Method::GET, "/", &navigation("iframe")));
        assert!(is_foreign(&Method::POST, "/", &navigation("document")));
        assert!(is_foreign(
            &Method::GET,
            "/handlers",
            &navigation("document")
        ));
    }
}
