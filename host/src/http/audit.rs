//! Records each request that changes something in the audit trail.

use std::net::SocketAddr;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};

use super::auth::{KeyName, is_administration};
use crate::audit::{AuditEntry, AuditLog};

/// The address of the client of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct ClientAddress(pub(super) SocketAddr);

/// A request in progress. It is recorded when it is dropped: also if its client goes away, since it may act nevertheless.
struct Pending {
    log: AuditLog,
    entry: Option<AuditEntry>,
}

/// Records requests that need the scope `admin`, or would with keys.
pub(super) async fn record_administration(
    State(log): State<AuditLog>,
    request: Request,
    next: Next,
) -> Response {
    if !is_administration(request.method(), request.uri().path()) {
        return next.run(request).await;
    }
    let mut pending = Pending {
        log,
        entry: Some(entry(&request)),
    };
    let response = next.run(request).await;
    if let Some(entry) = &mut pending.entry {
        entry.status = Some(response.status().as_u16());
    }
    response
}

fn entry(request: &Request) -> AuditEntry {
    let (uri, extensions) = (request.uri(), request.extensions());
    let client = extensions.get::<ClientAddress>();
    let key = extensions.get::<KeyName>();
    AuditEntry {
        time: format!("{:.3}", jiff::Timestamp::now()),
        client: client.map(|ClientAddress(address)| *address),
        key: key.map(|KeyName(name)| name.to_string()),
        method: request.method().to_string(),
        path: uri.path().to_owned(),
        query: uri.query().map(str::to_owned),
        status: None,
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            self.log.record(entry);
        }
    }
}
