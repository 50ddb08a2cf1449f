//! What was stored: `GET /messages` and `GET /messages/{id}`.

use std::{convert::Infallible, num::NonZeroUsize};

use axum::{
    body::{Body, Bytes},
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, stream};

use super::{
    Views,
    problem::{INVALID_QUERY, NOT_FOUND, Problem},
    query::{Parameters, refused},
};
use crate::store::{Cursor, Filter, Order, Progress, Quota, Scan, Store};

const DEFAULT_LIMIT: usize = 1000;

/// A response is built and sent in pieces of about this many bytes.
const PIECE: usize = 256 << 10;

/// What `GET /messages` was asked for.
struct Listing {
    filter: Filter,
    order: Order,
    limit: usize,
    after: Option<Cursor>,
}

/// See [`super`].
pub(super) async fn list(
    State(Views { store, .. }): State<Views>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let known = ["tipo", "id", "limit", "after", "order"];
    let parameters = Parameters::parse(query.as_deref(), &known)?;
    let listing = Listing::read(&parameters)?;
    let total = count(&store, &listing.filter).await;
    let mut scan = Scan::new(listing.filter, listing.order, listing.after);

    let mut piece = Piece::first();
    let mut quota = Quota {
        values: listing.limit,
        bytes: PIECE,
    };
    let mut progress = scan_on(&mut scan, &store, &mut quota, |value| piece.push(value)).await;
    let whole = quota.values == 0 || progress == Progress::End;
    let (body, end) = if whole {
        (Body::from(piece.last()), scan.cursor())
    } else {
        // Headers tell where it ends, so the end is looked for before the rest is copied.
        let rest = scan.clone();
        let mut quota = Quota::values(quota.values);
        progress = scan_on(&mut scan, &store, &mut quota, |_| {}).await;
        let rest = rest.until(scan.cursor());
        let pieces = pieces(store, rest, piece);
        (Body::from_stream(pieces), scan.cursor())
    };
    let more = progress == Progress::Enough;
    Ok((headers(&parameters, total, &end, more), body).into_response())
}

/// See [`super`].
pub(super) async fn newest(
    State(Views { store, .. }): State<Views>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let unreadable = |rejection: PathRejection| Problem::new(NOT_FOUND, rejection.body_text());
    let Path(id) = id.map_err(unreadable)?;
    let missing = || Problem::new(NOT_FOUND, format!("no Evento with the id {id:?} is stored"));
    let value = store.latest(&id).ok_or_else(missing)?;
    Ok(([json()], value).into_response())
}

impl Listing {
    fn read(parameters: &Parameters) -> Result<Self, Problem> {
        let text = |name| parameters.get(name).map(str::to_owned);
        let order = match parameters.get("order") {
            None | Some("asc") => Order::Asc,
            Some("desc") => Order::Desc,
            Some(other) => return Err(refused(format!("order is {other:?}, not asc or desc"))),
        };
        let limit = match parameters.get("limit").map(|given| (given, given.parse())) {
            None => DEFAULT_LIMIT,
            Some((_, Ok(limit))) => NonZeroUsize::get(limit),
            Some((given, Err(_))) => {
                return Err(refused(format!(
                    "limit is {given:?}, not a number from 1 up"
                )));
            }
        };
        let cursor = parameters.get("after").map(str::parse::<Cursor>);
        let after = cursor.transpose().map_err(|fault| {
            Problem::new(INVALID_QUERY, format!("query parameter after: {fault}"))
        })?;
        let filter = Filter {
            tipo: text("tipo"),
            id: text("id"),
        };
        Ok(Self {
            filter,
            order,
            limit,
            after,
        })
    }
}

/// A part of a JSON array, which may be its beginning, and may be its end.
struct Piece {
    text: Vec<u8>,
    separator: u8,
}

impl Piece {
    fn first() -> Self {
        let separator = b'[';
        Self {
            text: Vec::new(),
            separator,
        }
    }

    fn next() -> Self {
        let separator = b',';
        Self {
            text: Vec::new(),
            separator,
        }
    }

    fn push(&mut self, value: &[u8]) {
        self.text.push(self.separator);
        self.text.extend_from_slice(value);
        self.separator = b',';
    }

    fn last(mut self) -> Vec<u8> {
        if self.separator == b'[' {
            self.text.push(b'[');
        }
        self.text.push(b']');
        self.text
    }
}

/// The array piece by piece; the first is there already. Between two, nothing is held.
fn pieces(store: Store, scan: Scan, first: Piece) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let next = async |(store, scan): (Store, Option<Scan>)| {
        let mut scan = scan?;
        let (mut piece, mut quota) = (Piece::next(), Quota::UNBOUNDED);
        quota.bytes = PIECE;
        let progress = scan_on(&mut scan, &store, &mut quota, |value| piece.push(value)).await;
        Some(match progress {
            Progress::End => (Ok(piece.last().into()), (store, None)),
            _ => (Ok(piece.text.into()), (store, Some(scan))),
        })
    };
    let rest = stream::unfold((store, Some(scan)), next);
    stream::StreamExt::chain(stream::iter([Ok(first.text.into())]), rest)
}

/// Steps until the quota is spent or nothing is left, and lets other tasks run in between.
async fn scan_on(
    scan: &mut Scan,
    store: &Store,
    quota: &mut Quota,
    mut take: impl FnMut(&[u8]),
) -> Progress {
    loop {
        match scan.step(store, quota, &mut take) {
            Progress::Paused => tokio::task::yield_now().await,
            progress => return progress,
        }
    }
}

async fn count(store: &Store, filter: &Filter) -> u64 {
    if let Some(count) = store.count(filter) {
        return count;
    }
    let mut count = 0;
    let mut scan = Scan::new(filter.clone(), Order::Asc, None);
    scan_on(&mut scan, store, &mut Quota::UNBOUNDED.clone(), |_| {
        count += 1
    })
    .await;
    count
}

fn headers(parameters: &Parameters, total: u64, end: &Cursor, more: bool) -> HeaderMap {
    let mut headers = HeaderMap::from_iter([json()]);
    let end = end.to_string();
    headers.insert("x-total-count", HeaderValue::from(total));
    if more {
        let link = format!(
            "</messages?{}>; rel=\"next\"",
            parameters.with("after", &end)
        );
        headers.insert(header::LINK, ascii(&link));
    }
    headers.insert("x-next-cursor", ascii(&end));
    headers
}

fn ascii(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("digits, punctuation and what is percent-encoded")
}

fn json() -> (header::HeaderName, HeaderValue) {
    let json = HeaderValue::from_static("application/json");
    (header::CONTENT_TYPE, json)
}
