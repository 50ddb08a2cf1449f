//! What this instance has, as rows: for another instance at `GET /peers/messages`, and for its own merge.

use std::io;

use axum::{
    body::{Body, Bytes},
    extract::{RawQuery, State},
    http::{HeaderMap, HeaderValue, header},
    response::{IntoResponse, Response},
};
use futures_util::{Stream, stream};

use super::{PIECE, count, listing::Listing, page::ascii, scan_on};
use crate::{
    event::Partitions,
    http::{
        Views,
        problem::Problem,
        query::{Parameters, refused},
    },
    peers::{COVERED, MEDIA_TYPE, PeerRow, START, TOTAL_COUNT},
    store::{Cursor, Filter, PartitionFilter, Progress, Quota, Scan, Store},
};

/// See [`crate::http`]. Nobody else is asked for it.
pub(in crate::http) async fn rows(
    State(Views { store, peers, .. }): State<Views>,
    RawQuery(query): RawQuery,
) -> Result<Response, Problem> {
    let known = [&Listing::KNOWN[..], &["partitions"]].concat();
    let parameters = Parameters::parse(query.as_deref(), &known)?;
    let listing = Listing::read(&parameters)?;
    let asked = parameters.get("partitions").unwrap_or_default();
    let asked = asked.parse::<Partitions>();
    let asked = asked.map_err(|fault| refused(format!("partitions: {fault}")))?;
    let assigned = peers.assigned();
    let shown = assigned.partitions().without(&assigned.restoring());
    let covered = asked.common(&shown);
    let filter = listing.filter_within(PartitionFilter::Only(covered.clone()));
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

/// What matches here, and where it begins.
pub(super) struct OwnRows {
    /// How many match in all.
    pub(super) total: u64,
    pub(super) start: Cursor,
    scan: Scan,
}

impl OwnRows {
    pub(super) async fn find(store: &Store, listing: &Listing, filter: Filter) -> Self {
        let total = count(store, &filter).await;
        let mut scan = listing.scan(filter);
        // With nothing to take it goes to the first match, and no further.
        scan_on(&mut scan, store, &mut Quota::values(0), |_| {}).await;
        Self {
            total,
            start: scan.cursor(),
            scan,
        }
    }

    /// The rows, at most so many, piece by piece. Between two, nothing is held.
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
