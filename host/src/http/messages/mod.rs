//! The stored Eventos of this and the other instances of the group: `GET /messages` and `GET /messages/{id}`.

mod coverage;
mod listing;
mod merge;
mod page;
mod rows;

use std::convert::Infallible;

use axum::{
    body::{Body, Bytes},
    extract::{Path, RawQuery, State, rejection::PathRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use futures_util::{Stream, stream};

use self::{
    coverage::Coverage,
    listing::Listing,
    merge::merge_pages,
    page::{Page, Piece, json},
};
pub(super) use self::{merge::PAGES_MIB, rows::rows};
use super::{
    Views,
    exchange::ResponseBody,
    problem::{NOT_FOUND, Problem},
    query::{NoParameters, Query, invalid},
};
use crate::{
    peers::Ownership,
    store::{Filter, Order, PartitionFilter, Progress, Quota, Row, Scan, Store},
};

/// About how many bytes of a response are built and sent at a time.
const PIECE: usize = 64 << 10;

/// Handles `GET /messages`, see [`super`].
pub(super) async fn list(
    State(views): State<Views>,
    Query(listing): Query<Listing>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    if listing.partitions.is_some() {
        let detail = "query parameter partitions is only for GET /peers/messages";
        return Err(invalid(detail));
    }
    let ownership = views.peers.ownership().await;
    let page = if ownership.peers.is_empty() {
        own_page(views.store, &listing, &ownership).await
    } else {
        group_page(&views, &listing, &ownership).await
    };
    Ok(page.into_response(query.as_deref(), &listing))
}

/// Handles `GET /messages/{id}`, see [`super`].
pub(super) async fn newest(
    State(views): State<Views>,
    Query(NoParameters {}): Query<NoParameters>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Problem> {
    let unreadable = |rejection: PathRejection| Problem::new(NOT_FOUND, rejection.body_text());
    let Path(id) = id.map_err(unreadable)?;
    let ownership = views.peers.ownership().await;
    let listing = Listing::newest(id.clone());
    let (value, coverage) = if ownership.peers.is_empty() {
        let filter = listing.filter(PartitionFilter::Except(ownership.elsewhere.clone()));
        let value = views.store.latest(filter).map(Bytes::from);
        (value, Coverage::own(&ownership))
    } else {
        let mut merged = merge_pages(&views, &listing, &ownership).await;
        (merged.values.pop(), merged.coverage)
    };
    let mut response = match value {
        Some(value) => (HeaderMap::from_iter([json()]), value).into_response(),
        None => {
            let detail = format!(
                "no Evento with the id {id:?} is stored{}",
                coverage.remark()
            );
            Problem::new(NOT_FOUND, detail).into_response()
        }
    };
    coverage.add_headers(response.headers_mut());
    Ok(response)
}

/// Returns a page of the Eventos that this instance stores.
async fn own_page(store: Store, listing: &Listing, ownership: &Ownership) -> Page {
    let filter = listing.filter(PartitionFilter::Except(ownership.elsewhere.clone()));
    let total = count(&store, &filter).await;
    let mut scan = listing.scan(filter);

    let mut piece = Piece::first();
    let mut quota = Quota {
        values: listing.limit,
        bytes: PIECE,
    };
    let take = |row: Row<'_>| piece.push(row.value());
    let mut progress = scan_on(&mut scan, &store, &mut quota, take).await;
    let whole = quota.values == 0 || progress == Progress::End;
    let (body, end) = if whole {
        (Body::from(piece.last()), scan.cursor())
    } else {
        // The headers contain the cursor of the end, so the end is found before the rest is copied.
        let rest = scan.clone();
        let mut quota = Quota::values(quota.values);
        progress = scan_on(&mut scan, &store, &mut quota, |_| {}).await;
        let rest = rest.until(scan.cursor());
        let pieces = pieces(store, rest, piece);
        (Body::from_stream(pieces), scan.cursor())
    };
    Page {
        body,
        total,
        end,
        more: progress == Progress::Enough,
        coverage: Coverage::own(ownership),
    }
}

/// Returns a page of the Eventos that this instance and its peers store.
async fn group_page(views: &Views, listing: &Listing, ownership: &Ownership) -> Page {
    let merged = merge_pages(views, listing, ownership).await;
    let body = Body::from_stream(pieces_of(merged.values));
    Page {
        body: ResponseBody::holding(body, merged.memory),
        total: merged.total,
        end: merged.end,
        more: merged.more,
        coverage: merged.coverage,
    }
}

/// Returns the array in pieces, of which the first exists already. No lock of the store is held between two pieces.
fn pieces(store: Store, scan: Scan, first: Piece) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let next = async |(store, scan): (Store, Option<Scan>)| {
        let mut scan = scan?;
        let (mut piece, mut quota) = (Piece::next(), Quota::UNBOUNDED);
        quota.bytes = PIECE;
        let take = |row: Row<'_>| piece.push(row.value());
        let progress = scan_on(&mut scan, &store, &mut quota, take).await;
        Some(match progress {
            Progress::End => (Ok(piece.last().into()), (store, None)),
            _ => (Ok(piece.text().into()), (store, Some(scan))),
        })
    };
    let rest = stream::unfold((store, Some(scan)), next);
    stream::StreamExt::chain(stream::iter([Ok(first.text().into())]), rest)
}

/// Returns the array of these values in pieces.
fn pieces_of(values: Vec<Bytes>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let next = async |(values, piece): (std::vec::IntoIter<Bytes>, Option<Piece>)| {
        let (mut values, mut piece) = (values, piece?);
        for value in values.by_ref() {
            piece.push(&value);
            if piece.len() >= PIECE {
                return Some((Ok(piece.text().into()), (values, Some(Piece::next()))));
            }
        }
        Some((Ok(piece.last().into()), (values, None)))
    };
    stream::unfold((values.into_iter(), Some(Piece::first())), next)
}

/// Scans until the quota is used up or the end is reached, and lets other tasks run in between.
async fn scan_on(
    scan: &mut Scan,
    store: &Store,
    quota: &mut Quota,
    mut take: impl FnMut(Row<'_>),
) -> Progress {
    loop {
        match scan.step(store, quota, &mut take) {
            Progress::Paused => tokio::task::yield_now().await,
            progress => return progress,
        }
    }
}

/// Returns the number of Eventos that match.
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
