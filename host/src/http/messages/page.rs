//! A response of `GET /messages`: a JSON array, and the headers that describe it.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, header},
    response::{IntoResponse, Response},
};

use super::{coverage::Coverage, listing::Listing};
use crate::{
    http::query::next_page_link,
    peers::TOTAL_COUNT,
    store::{Cursor, Order, Position},
};

/// A page of stored Eventos.
pub(super) struct Page {
    pub(super) body: Body,
    /// The number of Eventos that match in total.
    pub(super) total: u64,
    /// The cursor that continues after this page.
    pub(super) end: Cursor,
    /// Whether there may be more Eventos after it already.
    pub(super) more: bool,
    pub(super) coverage: Coverage,
}

impl Page {
    /// Returns the page as a response to a request with this query.
    pub(super) fn into_response(mut self, query: Option<&str>, listing: &Listing) -> Response {
        if listing.order == Order::Desc && listing.after.is_none() {
            // Nothing was read from these partitions. The cursor starts at their end, so that a later page covers them.
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
            let link = next_page_link(query, &end);
            headers.insert(header::LINK, link);
        }
        headers.insert("x-next-cursor", ascii(&end));
        self.coverage.add_headers(&mut headers);
        (headers, self.body).into_response()
    }
}

/// A part of a JSON array.
pub(super) struct Piece {
    text: Vec<u8>,
    separator: u8,
}

impl Piece {
    /// Returns the empty beginning of an array.
    pub(super) fn first() -> Self {
        let separator = b'[';
        Self {
            text: Vec::new(),
            separator,
        }
    }

    /// Returns an empty part that continues an array.
    pub(super) fn next() -> Self {
        let separator = b',';
        Self {
            text: Vec::new(),
            separator,
        }
    }

    /// Appends an element, which is JSON.
    pub(super) fn push(&mut self, value: &[u8]) {
        self.text.push(self.separator);
        self.text.extend_from_slice(value);
        self.separator = b',';
    }

    /// Returns the length of the text so far.
    pub(super) fn len(&self) -> usize {
        self.text.len()
    }

    /// Returns the text of a part that another follows.
    pub(super) fn text(self) -> Vec<u8> {
        self.text
    }

    /// Returns the text of the last part.
    pub(super) fn last(mut self) -> Vec<u8> {
        if self.separator == b'[' {
            self.text.push(b'[');
        }
        self.text.push(b']');
        self.text
    }
}

/// Returns a header value.
///
/// # Panics
/// If the text has other characters than visible ASCII.
pub(super) fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("cursors, partitions and reasons are visible ASCII")
}

/// Returns the header `Content-Type` of JSON.
pub(super) fn json() -> (HeaderName, HeaderValue) {
    let json = HeaderValue::from_static("application/json");
    (header::CONTENT_TYPE, json)
}
