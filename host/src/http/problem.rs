//! Problem details (RFC 9457): what the client sees of a failure. The cause for the log is kept apart.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::Serialize;

use crate::{
    event::{Fault, NotAnEvento},
    kafka::{self, ProduceError},
    telemetry::in_one_line,
};

/// A type of problem.
#[derive(Debug, Serialize)]
pub(super) struct Kind {
    #[serde(rename = "type")]
    name: &'static str,
    /// The last part of `name`.
    #[serde(skip)]
    word: &'static str,
    title: &'static str,
    status: u16,
}

macro_rules! kinds {
    ($($kind:ident: $status:ident, $name:literal, $title:literal;)*) => {
        $(pub(super) const $kind: &Kind = &Kind {
            name: concat!("urn:eventos:problem:", $name),
            word: $name,
            title: $title,
            status: StatusCode::$status.as_u16(),
        };)*
    };
}

kinds! {
    MALFORMED_JSON: BAD_REQUEST, "malformed-json", "Malformed JSON";
    INVALID_EVENTO: UNPROCESSABLE_ENTITY, "invalid-evento", "Invalid Evento";
    HTTPS_REQUIRED: BAD_REQUEST, "https-required", "HTTPS required";
    INVALID_QUERY: BAD_REQUEST, "invalid-query", "Invalid query";
    UNREADABLE_BODY: BAD_REQUEST, "unreadable-body", "Unreadable body";
    BODY_TIMEOUT: REQUEST_TIMEOUT, "body-timeout", "Body incomplete";
    URI_TOO_LONG: URI_TOO_LONG, "uri-too-long", "URI too long";
    LARGE_HEADERS: REQUEST_HEADER_FIELDS_TOO_LARGE, "large-headers", "Headers too large";
    TOO_LARGE: PAYLOAD_TOO_LARGE, "too-large", "Too large";
    MEDIA_TYPE: UNSUPPORTED_MEDIA_TYPE, "media-type", "Unsupported media type";
    ENCODING: UNSUPPORTED_MEDIA_TYPE, "content-encoding", "Unsupported content encoding";
    SATURATED: TOO_MANY_REQUESTS, "saturated", "Too many requests";
    UNAVAILABLE: SERVICE_UNAVAILABLE, "broker-unavailable", "Broker unavailable";
    TOPIC_MISSING: SERVICE_UNAVAILABLE, "topic-missing", "Topic missing";
    REFUSED: BAD_GATEWAY, "broker-refused", "Refused by the broker";
    INVALID_HANDLER: UNPROCESSABLE_ENTITY, "invalid-handler", "Invalid handler";
    OTHER_SITE: FORBIDDEN, "other-site", "Request from another site";
    HOST: BAD_REQUEST, "invalid-host", "Invalid host";
    MISDIRECTED: MISDIRECTED_REQUEST, "other-host", "Request for another host";
    UNAUTHORIZED: UNAUTHORIZED, "unauthorized", "Key missing or unknown";
    FORBIDDEN: FORBIDDEN, "forbidden", "Not permitted by the key";
    RATE_LIMITED: TOO_MANY_REQUESTS, "rate-limited", "Too many requests with this key";
    CONFLICT: CONFLICT, "conflict", "Conflict";
    STORAGE: INTERNAL_SERVER_ERROR, "storage", "Cannot write the file";
    BUSY: SERVICE_UNAVAILABLE, "busy", "Busy";
    NOT_READY: SERVICE_UNAVAILABLE, "not-ready", "Not ready";
    NOT_FOUND: NOT_FOUND, "not-found", "Not found";
    METHOD: METHOD_NOT_ALLOWED, "method-not-allowed", "Method not allowed";
}

/// A problem, in the form that the client gets.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Problem {
    #[serde(flatten)]
    kind: &'static Kind,
    detail: String,
    /// The faults of an invalid Evento.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<Fault>,
    /// What the daemon still waits for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pending: Vec<&'static str>,
    /// Seconds after which the client may try again.
    #[serde(skip)]
    retry_after: Option<u32>,
    /// The cause, for the log only.
    #[serde(skip)]
    cause: Option<String>,
}

impl Problem {
    /// Returns a problem without a cause for the log.
    pub(super) fn new(kind: &'static Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            pending: Vec::new(),
            retry_after: None,
            cause: None,
        }
    }

    /// Adds what the daemon still waits for.
    pub(super) fn pending(self, pending: Vec<&'static str>) -> Self {
        Self { pending, ..self }
    }

    /// Sets after how many seconds the client may try again.
    pub(super) fn retry_after(self, seconds: u32) -> Self {
        let retry_after = Some(seconds);
        Self {
            retry_after,
            ..self
        }
    }

    /// Returns the word for its type, such as `malformed-json`: one of a short list.
    pub(super) fn word(&self) -> &'static str {
        self.kind.word
    }

    /// Returns what the client gets to read.
    pub(super) fn detail(&self) -> &str {
        &self.detail
    }

    /// Takes the cause, so that it is logged only once.
    pub(super) fn take_cause(&mut self) -> Option<String> {
        self.cause.take()
    }

    /// Logs the cause, which the client does not see.
    pub(super) fn log(&self) {
        if let Some(cause) = &self.cause {
            tracing::warn!(problem = self.kind.name, cause, "a request failed");
        }
    }
}

impl From<NotAnEvento> for Problem {
    fn from(reason: NotAnEvento) -> Self {
        let detail = reason.to_string();
        match reason {
            NotAnEvento::Malformed(_) | NotAnEvento::HeaderName(_) => {
                Self::new(MALFORMED_JSON, detail)
            }
            NotAnEvento::Invalid(errors) => Self {
                errors,
                ..Self::new(INVALID_EVENTO, detail)
            },
        }
    }
}

impl From<ProduceError> for Problem {
    fn from(error: ProduceError) -> Self {
        let (problem, cause) = match error {
            ProduceError::QueueFull => {
                let detail =
                    "the queue of Eventos to the broker is full; send this one again later";
                (Self::new(SATURATED, detail).retry_after(1), None)
            }
            ProduceError::TooLarge => (Self::new(TOO_LARGE, error.to_string()), None),
            ProduceError::Disconnected => {
                let detail =
                    "no broker is connected, so the Evento was not sent; send it again later";
                (Self::new(UNAVAILABLE, detail).retry_after(5), None)
            }
            ProduceError::TopicMissing(cause) => {
                let detail = "the topic of Eventos does not exist, so the Evento was not stored; send it again once the \
                              topic was created";
                (Self::new(TOPIC_MISSING, detail).retry_after(5), Some(cause))
            }
            ProduceError::Unavailable(cause) => {
                let detail = "the broker did not acknowledge the Evento; it may have been stored nevertheless";
                (Self::new(UNAVAILABLE, detail).retry_after(5), Some(cause))
            }
            ProduceError::NotPermitted | ProduceError::NothingIsPermitted => {
                let detail =
                    "the broker denies this daemon Write on its topic; grant it that permission";
                (Self::new(REFUSED, detail), None)
            }
            // A record is sent again that was rejected because of another one, so this does not come here.
            ProduceError::Refused(_)
            | ProduceError::Excluded(_)
            | ProduceError::OtherRecordRefused => {
                let detail =
                    "the broker rejected the Evento; the reason is in the log of the daemon";
                (Self::new(REFUSED, detail), Some(error.to_string()))
            }
        };
        Self { cause, ..problem }
    }
}

impl From<kafka::Error> for Problem {
    fn from(error: kafka::Error) -> Self {
        if error.is_lack_of_permission() {
            return Self::new(REFUSED, in_one_line(&error));
        }
        if let kafka::Error::TopicMissing(topic) = &error {
            let detail = format!(
                "the topic {topic} does not exist; the log of the daemon says whether it is created again"
            );
            return Self::new(TOPIC_MISSING, detail).retry_after(5);
        }
        let detail = "the broker did not respond; the reason is in the log of the daemon";
        Self {
            cause: Some(in_one_line(&error)),
            ..Self::new(UNAVAILABLE, detail).retry_after(5)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.log();
        let status =
            StatusCode::from_u16(self.kind.status).expect("each kind has a valid status code");
        let body = serde_json::to_vec(&self).expect("strings and numbers are valid JSON");
        let content_type = [(header::CONTENT_TYPE, "application/problem+json")];
        let mut response = (status, content_type, body).into_response();
        if let Some(seconds) = self.retry_after {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
