//! The bodies of one request and its response, as they pass between a connection and the endpoints.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::body::{Body, Bytes, HttpBody};
use hyper::body::{Frame, Incoming, SizeHint};
use tokio::time::{Sleep, sleep};

use super::connections::Activity;

/// The client did not send the next part of a body in time.
#[derive(Debug, thiserror::Error)]
#[error("the next part of the body did not arrive within {0:?}")]
pub(super) struct BodyTimeout(Duration);

/// The body of a request, which fails if the client stops sending.
///
/// Only the time counts in which an endpoint waits for the client, so a body that is read slowly does not fail. For that
/// reason this is not the layer of tower-http, which counts the time between two reads as well.
pub(super) struct RequestBody {
    pub(super) body: Incoming,
    pub(super) activity: Arc<Activity>,
    /// How long the next part may take.
    pub(super) limit: Duration,
    /// Set while the next part is waited for.
    pub(super) deadline: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(context) {
            this.deadline = None;
            this.activity.body_is_late(false);
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        this.activity.body_is_late(true);
        let limit = this.limit;
        let deadline = this
            .deadline
            .get_or_insert_with(|| Box::pin(sleep(limit)))
            .as_mut();
        deadline
            .poll(context)
            .map(|()| Some(Err(BodyTimeout(limit).into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a response, together with what is held until all of it is handed to the connection or the client is gone.
pub(super) struct ResponseBody<T> {
    body: Body,
    held: T,
}

/// What a [`ResponseBody`] holds.
pub(super) trait Held: Unpin + Send + 'static {
    /// Called when the connection has room for more, and when it has got more.
    fn asked(&self, _has_room: bool) {}
}

impl<T: Held> ResponseBody<T> {
    /// Returns `body`, which drops `held` at its end.
    pub(super) fn holding(body: Body, held: T) -> Body {
        Body::new(Self { body, held })
    }
}

impl<T: Held> HttpBody for ResponseBody<T> {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Self { body, held } = &mut *self;
        held.asked(true);
        let frame = Pin::new(body).poll_frame(context);
        if frame.is_ready() {
            held.asked(false);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
