//! An answer of `GET /messages`: a JSON array, and the headers that say what it is of.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::{coverage::Coverage, listing::Listing};
use crate::{
    http::query::Parameters,
    peers::TOTAL_COUNT,
    store::{Cursor, Order, Position},
};

/// A page, and where it ends.
pub(super) struct Page {
    pub(super) body: Body,
    /// How many match in all.
    pub(super) total: u64,
    pub(super) end: Cursor,
    /// Whether there may be more after it already.
    pub(super) more: bool,
    pub(super) coverage: Coverage,
}

impl Page {
    pub(super) fn answer(mut self, parameters: &Parameters, listing: &Listing) -> Response {
        if listing.order == Order::Desc && listing.after.is_none() {
            // Nothing of these was read: what they hold comes on a later page, if they can be asked then.
            for partition in self.coverage.missing().iter() {
                if !self.end.names(partition) {
                    self.end.set(partition, Position::END);
                }
            }
        }
        let mut headers = HeaderMap::from_iter([json()]);
        let end = self.end.to_string();
        headers.insert(TOTAL_COUNT, HeaderValue::from(self.total));
        if self.more {
            let query = parameters.with("after", &end);
            let link = format!("</messages?{query}>; rel=\"next\"");
            headers.insert(header::LINK, ascii(&link));
        }
        headers.insert("x-next-cursor", ascii(&end));
        self.coverage.tell(&mut headers);
        (headers, self.body).into_response()
    }
}

/// A part of a JSON array, which may be its beginning, and may be its end.
pub(super) struct Piece {
    text: Vec<u8>,
    separator: u8,
}

impl Piece {
    pub(super) fn first() -> Self {
        let separator = b'[';
        Self {
            text: Vec::new(),
            separator,
        }
    }

    pub(super) fn next() -> Self {
        let separator = b',';
        Self {
            text: Vec::new(),
            separator,
        }
    }

    pub(super) fn push(&mut self, value: &[u8]) {
        self.text.push(self.separator);
        self.text.extend_from_slice(value);
        self.separator = b',';
    }

    /// It goes on after this.
    pub(super) fn text(self) -> Vec<u8> {
        self.text
    }

    pub(super) fn last(mut self) -> Vec<u8> {
        if self.separator == b'[' {
            self.text.push(b'[');
        }
        self.text.push(b']');
        self.text
    }
}

pub(super) fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits, punctuation and what is percent-encoded")
}

pub(super) fn json() -> (HeaderName, HeaderValue) {
    let json = HeaderValue::from_static("application/json");
    (header::CONTENT_TYPE, json)
}
