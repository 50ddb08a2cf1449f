//! The Eventos that this instance stores, as rows: for a peer at `GET /peers/messages`, and for its own merge.

use std::io;

use axum::{
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, stream};

use super::{PIECE, count, listing::Listing, page::ascii, scan_on};
use crate::{
    http::{
        Views,
        problem::Problem,
        query::{Query, invalid},
    },
    peers::{COVERED, MEDIA_TYPE, PeerRow, START, TOTAL_COUNT},
    store::{Cursor, Filter, PartitionFilter, Progress, Quota, Scan, Store},
};

/// Handles `GET /peers/messages`, see [`crate::http`]. It covers the partitions of this instance and asks no peer.
pub(in crate::http) async fn rows(
    State(Views { store, peers, .. }): State<Views>,
    Query(listing): Query<Listing>,
) -> Result<Response, Problem> {
    let asked = listing.partitions.as_ref();
    let asked =
        asked.ok_or_else(|| invalid("missing query parameter `partitions`, such as 0-3,5"))?;
    let assigned = peers.assigned();
    let shown = assigned.partitions().without(&assigned.restoring());
    let covered = asked.common(&shown);
    let filter = listing.filter(PartitionFilter::Only(covered.clone()));
    let own = OwnRows::find(&store, &listing, filter).await;

    let mut headers = HeaderMap::new();
    let media_type = HeaderValue::from_static(MEDIA_TYPE);
    headers.insert(header::CONTENT_TYPE, media_type);
    headers.insert(COVERED, ascii(&covered.to_string()));
    headers.insert(TOTAL_COUNT, HeaderValue::from(own.total));
    headers.insert(START, ascii(&own.start.to_string()));
    let body = Body::from_stream(own.pieces(store, listing.limit));
    Ok((headers, body).into_response())
}

/// The matching Eventos of this instance.
pub(super) struct OwnRows {
    /// The number of Eventos that match in total.
    pub(super) total: u64,
    /// The position of the first one in each partition.
    pub(super) start: Cursor,
    scan: Scan,
}

impl OwnRows {
    /// Counts the matching Eventos and finds the first.
    pub(super) async fn find(store: &Store, listing: &Listing, filter: Filter) -> Self {
        let total = count(store, &filter).await;
        let mut scan = listing.scan(filter);
        // With a quota of no values, the scan stops at the first match.
        scan_on(&mut scan, store, &mut Quota::values(0), |_| {}).await;
        Self {
            total,
            start: scan.cursor(),
            scan,
        }
    }

    /// Returns at most `limit` rows, in pieces. No lock of the store is held between two pieces.
    pub(super) fn pieces(
        self,
        store: Store,
        limit: usize,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send {
        let next = async |(store, left): (Store, Option<(Scan, usize)>)| {
            let (mut scan, values) = left?;
            let (mut piece, bytes) = (Vec::new(), PIECE);
            let mut quota = Quota { values, bytes };
            let take = |row: crate::store::Row<'_>| PeerRow::write(&row, &mut piece);
            let progress = scan_on(&mut scan, &store, &mut quota, take).await;
            let goes_on = progress == Progress::Enough && quota.values > 0;
            let left = goes_on.then_some((scan, quota.values));
            Some((Ok(Bytes::from(piece)), (store, left)))
        };
        stream::unfold((store, Some((self.scan, limit))), next)
    }
}
