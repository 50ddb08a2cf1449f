//! Keys: which requests need one, and what each permits.

mod config;
mod rate;

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use subtle::ConstantTimeEq as _;

pub use self::config::{AuthConfig, KeyConfig, Scope, hash_key};
use self::rate::RateLimit;
use super::problem::{FORBIDDEN, Problem, RATE_LIMITED, UNAUTHORIZED};

/// The keys that are accepted. Cheap to clone.
#[derive(Clone)]
pub(super) struct Keys {
    keys: Arc<[Key]>,
    open_metrics: bool,
}

struct Key {
    name: Arc<str>,
    hash: [u8; 32],
    scopes: Vec<Scope>,
    rate: Option<RateLimit>,
}

impl Keys {
    /// Returns the keys of a valid configuration.
    pub(super) fn new(config: &AuthConfig) -> Self {
        let keys = config.keys.iter().filter_map(|key| {
            Some(Key {
                name: key.name.as_str().into(),
                hash: config::parse_hash(&key.hash)?,
                scopes: key.scopes.clone(),
                rate: key.rate.map(RateLimit::new),
            })
        });
        Self {
            keys: keys.collect(),
            open_metrics: config.open_metrics,
        }
    }

    /// Returns whether requests need a key at all.
    pub(super) fn are_needed(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Returns the scope that a request needs, or `None` if it needs no key.
    fn needed_scope(&self, method: &Method, path: &str) -> Option<Scope> {
        match path {
            "/metrics" if self.open_metrics => None,
            _ => needed_scope(method, path),
        }
    }

    /// Returns the key that a request came with.
    fn find(&self, headers: &HeaderMap) -> Result<&Key, Problem> {
        let unauthorized = |detail: &str| Problem::new(UNAUTHORIZED, detail);
        let mut given = headers.get_all(header::AUTHORIZATION).iter();
        let (Some(given), None) = (given.next(), given.next()) else {
            let detail = "a key is needed, in one header `Authorization: Bearer KEY`";
            return Err(unauthorized(detail));
        };
        let key = given.as_bytes().split_at_checked("Bearer ".len());
        let key = key.filter(|(scheme, _)| scheme.eq_ignore_ascii_case(b"bearer "));
        let (_, key) = key.ok_or_else(|| unauthorized("expected `Authorization: Bearer KEY`"))?;
        let hash = config::hash(key.trim_ascii());
        // Every key is compared, so that the time does not say which one matched.
        let mut found = None;
        for key in &*self.keys {
            if bool::from(key.hash.ct_eq(&hash)) {
                found = Some(key);
            }
        }
        found.ok_or_else(|| unauthorized("the key is not one of this daemon"))
    }

    fn check(&self, scope: Scope, request: &Request) -> Result<&Key, Problem> {
        let key = self.find(request.headers())?;
        if !key.scopes.contains(&scope) {
            let (method, path) = (request.method(), request.uri().path());
            let detail = format!(
                "{method} {path} needs a key with the scope {}",
                scope.name()
            );
            return Err(Problem::new(FORBIDDEN, detail));
        }
        if key.rate.as_ref().is_some_and(|rate| !rate.permits()) {
            let detail = "the key permits fewer requests in a second; send this one again later";
            return Err(Problem::new(RATE_LIMITED, detail).retry_after(1));
        }
        Ok(key)
    }
}

/// The name of the key that a request came with.
#[derive(Clone, Debug)]
pub(super) struct KeyName(pub(super) Arc<str>);

/// Returns whether a request changes something other than by sending Eventos.
pub(super) fn is_administration(method: &Method, path: &str) -> bool {
    needed_scope(method, path) == Some(Scope::Admin)
}

/// Returns the scope that a request needs, or `None` if it needs no key.
fn needed_scope(method: &Method, path: &str) -> Option<Scope> {
    match path {
        "/" | "/docs" | "/healthz" | "/readyz" => None,
        "/send" | "/send/batch" => Some(Scope::Send),
        // Other instances prove themselves in another way.
        _ if path.starts_with("/peers/") => None,
        _ if method.is_safe() => Some(Scope::Read),
        _ => Some(Scope::Admin),
    }
}

/// Refuses requests without the key that they need.
pub(super) async fn require_key(
    State(keys): State<Keys>,
    mut request: Request,
    next: Next,
) -> Response {
    let needed = keys.needed_scope(request.method(), request.uri().path());
    let Some(scope) = needed.filter(|_| keys.are_needed()) else {
        return next.run(request).await;
    };
    match keys.check(scope, &request) {
        Ok(key) => {
            let name = KeyName(Arc::clone(&key.name));
            request.extensions_mut().insert(name);
            next.run(request).await
        }
        Err(problem) => {
            let mut response = problem.into_response();
            if response.status() == StatusCode::UNAUTHORIZED {
                let scheme = HeaderValue::from_static("Bearer");
                response
                    .headers_mut()
                    .insert(header::WWW_AUTHENTICATE, scheme);
            }
            response
        }
    }
}
