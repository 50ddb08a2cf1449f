//! The Eventos of several instances: each is asked for its own partitions, and their rows are merged in order.

use std::{io, time::Duration};

use axum::body::Bytes;
use futures_util::{
    Stream, StreamExt as _,
    future::{join, join_all},
};
use tokio::{
    task::coop,
    time::{Instant, timeout_at},
};

use super::{coverage::Coverage, listing::Listing, rows::OwnRows};
use crate::{
    event::Partitions,
    http::{Views, limits::Memory},
    peers::{self, Ownership, Peer, PeerError, PeerRow, PeerUrl, RowStream, TIMEOUT},
    store::{Cursor, Order, PartitionFilter, Position},
};

/// The size at which a page ends, in bytes; it exceeds that by at most one Evento. `Link` continues it.
const MAX_PAGE_BYTES: usize = 64 << 20;

/// What an Evento adds to the size beside its own bytes, which bounds a peer that sends endless empty rows.
const OVERHEAD_BYTES: usize = 64;

/// How long the merge may take. Instances that have not sent all rows by then are missing from the page.
const MERGE_TIMEOUT: Duration = Duration::from_secs(20);

/// Memory for the pages of several instances that their clients have not read yet, in MiB. When it is used up, a page ends
/// earlier, with one Evento at least.
pub(in crate::http) const PAGES_MIB: usize = 256;

/// A page of the Eventos of several instances.
pub(super) struct MergedPage {
    /// The Eventos, in order.
    pub(super) values: Vec<Bytes>,
    /// The number of Eventos that match in total.
    pub(super) total: u64,
    /// The cursor that continues after this page.
    pub(super) end: Cursor,
    /// Whether there are more Eventos already.
    pub(super) more: bool,
    pub(super) coverage: Coverage,
    /// The memory that the Eventos take.
    pub(super) memory: Memory,
}

/// The rows of one instance, in order.
struct RowSource {
    /// The URL of the peer; None for this instance.
    url: Option<PeerUrl>,
    partitions: Partitions,
    rows: RowStream,
    /// The next row; None before the first and after the last.
    head: Option<PeerRow>,
}

/// Asks all peers at the same time, and merges their rows with those of this instance.
pub(super) async fn merge_pages(
    views: &Views,
    listing: &Listing,
    ownership: &Ownership,
) -> MergedPage {
    let own = listing.filter(PartitionFilter::Except(ownership.elsewhere.clone()));
    let asked = ownership.peers.iter().map(|peer| async move {
        let query = listing.query_for_peer(&peer.partitions);
        (peer, views.peers.fetch_rows(&peer.url, &query).await)
    });
    let own = OwnRows::find(&views.store, listing, own);
    let (own, answers) = join(own, join_all(asked)).await;

    let mut merged = MergedPage {
        values: Vec::new(),
        total: own.total,
        end: own.start.clone(),
        more: false,
        coverage: Coverage::own(ownership),
        memory: views.pages.share(),
    };
    let pieces = own.pieces(views.store.clone(), listing.limit.saturating_add(1));
    let mut sources = vec![RowSource::own(peers::rows(pieces), ownership)];
    for (peer, answer) in answers {
        match answer {
            Ok(answer) => sources.push(merged.begin(peer, answer)),
            Err(error) => merged.miss(&peer.url, peer.partitions.clone(), &error),
        }
    }
    merged.merge(sources, listing).await;
    merged
}

impl MergedPage {
    /// Adds what a peer reports about its rows, and returns them.
    fn begin(&mut self, Peer { url, partitions }: &Peer, answer: peers::PeerRows) -> RowSource {
        let covered = answer.covered.common(partitions);
        self.coverage.cover(&covered);
        let left = partitions.without(&covered);
        if !left.is_empty() {
            let reason = format!("{url} does not own them now");
            self.coverage.miss(left, reason);
        }
        self.total = self.total.saturating_add(answer.total);
        for (partition, position) in answer.start.iter() {
            if covered.contains(partition) {
                self.end.set(partition, position);
            }
        }
        RowSource {
            url: Some(url.clone()),
            partitions: covered,
            rows: answer.rows,
            head: None,
        }
    }

    async fn merge(&mut self, sources: Vec<RowSource>, listing: &Listing) {
        let deadline = Instant::now() + MERGE_TIMEOUT;
        let first = sources
            .into_iter()
            .map(|source| source.advance(deadline))
            .collect::<Vec<_>>();
        let mut sources = Vec::new();
        for source in join_all(first).await {
            sources.extend(self.keep(source));
        }
        let mut bytes = 0;
        while let Some(next) = first_of(&sources, listing.order) {
            let is_full = self.values.len() == listing.limit || bytes >= MAX_PAGE_BYTES;
            if is_full || (bytes > 0 && !self.memory.grow_to(bytes)) {
                self.more = true;
                return;
            }
            let mut source = sources.swap_remove(next);
            if let Some(row) = source.head.take() {
                bytes += row.value.len() + OVERHEAD_BYTES;
                self.take(row, listing.order);
            }
            sources.extend(self.keep(source.advance(deadline).await));
            // If all rows have arrived, nothing above waits: let other tasks run.
            coop::consume_budget().await;
        }
    }

    fn take(&mut self, row: PeerRow, order: Order) {
        let Position { offset, n } = row.position;
        let next = match order {
            Order::Asc => n.saturating_add(1),
            Order::Desc => n,
        };
        self.end.set(row.partition, Position { offset, n: next });
        self.values.push(row.value);
    }

    /// Returns the source if it has another row. If it failed, its partitions are missing from here on.
    fn keep(&mut self, source: Result<RowSource, (RowSource, PeerError)>) -> Option<RowSource> {
        match source {
            Ok(source) => source.head.is_some().then_some(source),
            Err((
                RowSource {
                    url, partitions, ..
                },
                error,
            )) => {
                if let Some(url) = url {
                    self.miss(&url, partitions, &error);
                }
                None
            }
        }
    }

    fn miss(&mut self, url: &PeerUrl, partitions: Partitions, error: &PeerError) {
        tracing::debug!(%url, %partitions, %error, "a peer did not send its rows");
        self.coverage.miss(partitions, format!("{url} {error}"));
    }
}

impl RowSource {
    fn own(
        rows: impl Stream<Item = io::Result<PeerRow>> + Send + 'static,
        ownership: &Ownership,
    ) -> Self {
        Self {
            url: None,
            partitions: ownership.ours.clone(),
            rows: Box::pin(rows),
            head: None,
        }
    }

    /// Waits for the next row.
    async fn advance(mut self, deadline: Instant) -> Result<Self, (Self, PeerError)> {
        let by = deadline.min(Instant::now() + TIMEOUT);
        let row = timeout_at(by, self.rows.next()).await;
        let of_others =
            |row: &PeerRow| self.url.is_some() && !self.partitions.contains(row.partition);
        let error = match row {
            Err(_) => PeerError::Timeout(TIMEOUT),
            Ok(Some(Err(error))) => PeerError::Unexpected(error.to_string()),
            Ok(Some(Ok(row))) if of_others(&row) => {
                PeerError::Unexpected(format!("a row of partition {}", row.partition))
            }
            Ok(row) => {
                self.head = row.and_then(Result::ok);
                return Ok(self);
            }
        };
        Err((self, error))
    }
}

/// Returns the index of the source whose row comes first.
fn first_of(sources: &[RowSource], order: Order) -> Option<usize> {
    let heads = sources
        .iter()
        .enumerate()
        .filter_map(|(i, source)| Some((i, source.head.as_ref()?)));
    heads
        .min_by(|(_, a), (_, b)| a.cmp(b, order))
        .map(|(i, _)| i)
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;
    use crate::{
        event::{Offset, Partition, Timestamp},
        http::{limits::MemoryBudget, query},
    };

    fn partitions(text: &str) -> Partitions {
        text.parse().expect(text)
    }

    /// A row whose value is its partition and offset.
    fn row(partition: i32, offset: i64, time: i64) -> PeerRow {
        PeerRow {
            time: Timestamp(time),
            partition: Partition(partition),
            position: Position::before(Offset(offset)),
            value: format!("{partition}:{offset}").into(),
        }
    }

    fn source(of: &str, rows: Vec<io::Result<PeerRow>>) -> RowSource {
        RowSource {
            url: Some(format!("http://peer-{of}:80").parse().expect("a URL")),
            partitions: partitions(of),
            rows: Box::pin(stream::iter(rows)),
            head: None,
        }
    }

    async fn merge(sources: Vec<RowSource>, query: &str) -> MergedPage {
        merge_within(&MemoryBudget::of_mib(PAGES_MIB), sources, query).await
    }

    async fn merge_within(
        budget: &MemoryBudget,
        sources: Vec<RowSource>,
        query: &str,
    ) -> MergedPage {
        let uri = format!("/messages?{query}").parse().expect("a URI");
        let listing: Listing = query::read(&uri).expect("valid");
        let ownership = Ownership {
            all: Some(partitions("0-3")),
            ours: partitions("0-3"),
            ..Ownership::default()
        };
        let mut merged = MergedPage {
            values: Vec::new(),
            total: 0,
            end: Cursor::default(),
            more: false,
            coverage: Coverage::own(&ownership),
            memory: budget.share(),
        };
        merged.merge(sources, &listing).await;
        merged
    }

    fn shown(merged: &MergedPage) -> String {
        let texts = merged.values.iter().map(|value| std::str::from_utf8(value));
        let texts: Result<Vec<_>, _> = texts.collect();
        texts.expect("UTF-8").join(" ")
    }

    fn two() -> Vec<RowSource> {
        vec![
            source(
                "0-1",
                vec![Ok(row(0, 1, 10)), Ok(row(1, 1, 20)), Ok(row(0, 2, 20))],
            ),
            source(
                "2-3",
                vec![Ok(row(3, 1, 5)), Ok(row(2, 1, 20)), Ok(row(2, 2, 30))],
            ),
        ]
    }

    #[tokio::test]
    async fn rows_are_merged_by_time_and_partition_and_the_cursor_is_after_what_is_shown() {
        let merged = merge(two(), "limit=4").await;
        assert_eq!(shown(&merged), "3:1 0:1 1:1 0:2");
        assert_eq!(merged.end.to_string(), "0:2.1,1:1.1,3:1.1");
        assert!(merged.more);
        let merged = merge(two(), "limit=6").await;
        assert_eq!(shown(&merged), "3:1 0:1 1:1 0:2 2:1 2:2");
        assert!(!merged.more && merged.coverage.missing().is_empty());
    }

    #[tokio::test]
    async fn what_breaks_off_is_missing_and_the_rest_is_shown() {
        let cut = io::Error::other("cut off");
        let mut sources = two();
        sources[1] = source("2-3", vec![Ok(row(3, 1, 5)), Err(cut)]);
        let merged = merge(sources, "limit=9").await;
        assert_eq!(shown(&merged), "3:1 0:1 1:1 0:2");
        assert_eq!(merged.coverage.missing(), partitions("2-3"));
        assert!(!merged.more);
    }

    #[tokio::test]
    async fn a_row_of_a_partition_that_was_not_asked_for_is_not_taken() {
        let mut sources = two();
        sources[1] = source("2-3", vec![Ok(row(0, 7, 1)), Ok(row(2, 1, 20))]);
        let merged = merge(sources, "limit=9").await;
        assert_eq!(shown(&merged), "0:1 1:1 0:2");
        assert_eq!(merged.end.to_string(), "0:2.1,1:1.1");
        assert_eq!(merged.coverage.missing(), partitions("2-3"));
    }

    #[tokio::test]
    async fn one_that_never_ends_is_bounded() {
        let empty = (0..).map(|offset| {
            Ok(PeerRow {
                value: Bytes::new(),
                ..row(0, offset, 1)
            })
        });
        let mut endless = source("0-1", Vec::new());
        endless.rows = Box::pin(stream::iter(empty));
        let merged = merge(vec![endless], "limit=18446744073709551615").await;
        assert_eq!(merged.values.len(), MAX_PAGE_BYTES / OVERHEAD_BYTES);
        assert!(merged.more);
    }

    #[tokio::test]
    async fn pages_that_are_not_read_leave_room_for_one_evento_each() {
        let budget = MemoryBudget::of_mib(PAGES_MIB);
        let endless = |_| {
            let large = Bytes::from(vec![b'1'; 1 << 20]);
            let rows = (0..).map(move |offset| {
                Ok(PeerRow {
                    value: large.clone(),
                    ..row(0, offset, 1)
                })
            });
            let mut source = source("0-1", Vec::new());
            source.rows = Box::pin(stream::iter(rows));
            merge_within(&budget, vec![source], "limit=1000")
        };
        let mut unread: Vec<_> = join_all((0..8).map(endless)).await;
        let total: usize = unread.iter().map(|page| page.values.len()).sum();
        assert!(total <= PAGES_MIB + 8, "{total} MiB");
        let last = endless(0).await;
        assert_eq!((last.values.len(), last.more), (1, true));
        unread.clear();
        assert_eq!(endless(0).await.values.len(), 64);
    }

    #[tokio::test]
    async fn one_that_stalls_is_given_up() {
        let mut sources = two();
        sources[1].rows = Box::pin(stream::iter([Ok(row(3, 1, 5))]).chain(stream::pending()));
        let merged = merge(sources, "limit=9").await;
        assert_eq!(shown(&merged), "3:1 0:1 1:1 0:2");
        assert_eq!(merged.coverage.missing(), partitions("2-3"));
    }
}
