//! Bodies of requests that are refused.
//!
//! Many clients send all of a body before they read anything. If the connection was closed with a part of it unread, they would
//! get a reset instead of the refusal, and a proxy in between would answer 502, which its clients take for an outage. So a bounded
//! part of the rest is read and discarded first, and then the connection is closed.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    http::{HeaderValue, header},
    middleware::Next,
    response::Response,
};
use futures_util::StreamExt;
use hyper::body::{Frame, SizeHint};
use parking_lot::Mutex;
use tokio::time::timeout;

/// How much of a body is discarded, in bytes.
const MAX_BYTES: usize = 16 << 20;

/// How long that may take. A client that waits for the refusal sends nothing in this time.
const MAX_TIME: Duration = Duration::from_secs(5);

/// A body that is still there after the endpoint has dropped it. The lock is held for a look only.
struct SharedBody(Arc<Mutex<Shared>>);

struct Shared {
    body: Body,
    /// Whether it has been read from. That also makes a client continue that sent `Expect: 100-continue`.
    is_begun: bool,
    /// Whether all of it has been read.
    is_ended: bool,
}

/// Discards the rest of the body of a request that is refused.
pub(super) async fn discard_refused_bodies(request: Request, next: Next) -> Response {
    if request.body().is_end_stream() {
        return next.run(request).await;
    }
    // A client that sent `Expect: 100-continue` sends no body after a refusal.
    let asks_first = request.headers().contains_key(header::EXPECT);
    let mut shared = None;
    let request = request.map(|body| {
        let body = Arc::new(Mutex::new(Shared {
            body,
            is_begun: false,
            is_ended: false,
        }));
        shared = Some(Arc::clone(&body));
        Body::new(SharedBody(body))
    });
    let mut response = next.run(request).await;
    let is_refusal = response.status().is_client_error() || response.status().is_server_error();
    // If it is still shared, the endpoint still reads it.
    let Some(rest) = shared.and_then(Arc::into_inner).map(Mutex::into_inner) else {
        return response;
    };
    if is_refusal && !rest.is_ended && !rest.body.is_end_stream() {
        if rest.is_begun || !asks_first {
            // The refusal is sent in any case.
            let _ = timeout(MAX_TIME, discard(rest.body)).await;
        }
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}

async fn discard(body: Body) {
    let mut chunks = body.into_data_stream();
    let mut discarded = 0;
    while discarded < MAX_BYTES
        && let Some(Ok(chunk)) = chunks.next().await
    {
        discarded += chunk.len();
    }
}

impl HttpBody for SharedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut shared = self.0.lock();
        shared.is_begun = true;
        let frame = Pin::new(&mut shared.body).poll_frame(context);
        shared.is_ended |= matches!(frame, Poll::Ready(None));
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.lock().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.0.lock().body.size_hint()
    }
}
