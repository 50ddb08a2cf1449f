//! The answer of several instances: each is asked for its own part, and the parts are merged in their order.

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
    http::Views,
    peers::{self, Ownership, Peer, PeerError, PeerRow, PeerRows, PeerUrl, RowStream, TIMEOUT},
    store::{Cursor, Order, PartitionFilter, Position},
};

/// So many bytes are gathered for one page, and the last Evento; `Link` goes on after them.
const MOST: usize = 64 << 20;

/// What an Evento costs beside its bytes, so that a peer that answers with nothings is bounded too.
const EACH: usize = 64;

/// How long the merge may take; those that are not done by then are missing.
const WHOLE: Duration = Duration::from_secs(20);

/// What several instances have.
pub(super) struct Gathered {
    pub(super) values: Vec<Bytes>,
    /// How many match in all.
    pub(super) total: u64,
    pub(super) end: Cursor,
    /// Whether there is more already.
    pub(super) more: bool,
    pub(super) coverage: Coverage,
}

/// Rows of one instance, in their order.
struct Source {
    /// None for this instance.
    url: Option<PeerUrl>,
    partitions: Partitions,
    rows: RowStream,
    /// The next row; None at the end.
    head: Option<PeerRow>,
}

/// Asks every peer at the same time, and merges.
pub(super) async fn gather(views: &Views, listing: &Listing, ownership: &Ownership) -> Gathered {
    let own = listing.filter_within(PartitionFilter::Except(ownership.elsewhere.clone()));
    let asked = ownership.peers.iter().map(|peer| async move {
        let query = listing.of_peer(&peer.partitions);
        (peer, views.peers.fetch_rows(&peer.url, &query).await)
    });
    let own = OwnRows::find(&views.store, listing, own);
    let (own, answers) = join(own, join_all(asked)).await;

    let mut gathered = Gathered {
        values: Vec::new(),
        total: own.total,
        end: own.start.clone(),
        more: false,
        coverage: Coverage::own(ownership),
    };
    let pieces = own.pieces(views.store.clone(), listing.limit.saturating_add(1));
    let mut sources = vec![Source::own(peers::rows(pieces), ownership)];
    for (peer, answer) in answers {
        match answer {
            Ok(answer) => sources.push(gathered.begin(peer, answer)),
            Err(fault) => gathered.miss(&peer.url, peer.partitions.clone(), &fault),
        }
    }
    gathered.merge(sources, listing).await;
    gathered
}

impl Gathered {
    /// Takes what a peer says of its rows.
    fn begin(&mut self, Peer { url, partitions }: &Peer, answer: PeerRows) -> Source {
        let covered = answer.covered.common(partitions);
        self.coverage.cover(&covered);
        let left = partitions.without(&covered);
        if !left.is_empty() {
            let reason = format!("{url} does not have them now");
            self.coverage.miss(left, reason);
        }
        self.total = self.total.saturating_add(answer.total);
        for (partition, position) in answer.start.iter() {
            if covered.contains(partition) {
                self.end.set(partition, position);
            }
        }
        Source {
            url: Some(url.clone()),
            partitions: covered,
            rows: answer.rows,
            head: None,
        }
    }

    async fn merge(&mut self, sources: Vec<Source>, listing: &Listing) {
        let deadline = Instant::now() + WHOLE;
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
            if self.values.len() == listing.limit || bytes >= MOST {
                self.more = true;
                return;
            }
            let mut source = sources.swap_remove(next);
            if let Some(row) = source.head.take() {
                bytes += row.value.len() + EACH;
                self.take(row, listing.order);
            }
            sources.extend(self.keep(source.advance(deadline).await));
            // Where every row is there already nothing is waited for, and others want to run too.
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

    /// A source that has more, or nothing; what failed is missing from here on.
    fn keep(&mut self, source: Result<Source, (Source, PeerError)>) -> Option<Source> {
        match source {
            Ok(source) => source.head.is_some().then_some(source),
            Err((
                Source {
                    url, partitions, ..
                },
                fault,
            )) => {
                if let Some(url) = url {
                    self.miss(&url, partitions, &fault);
                }
                None
            }
        }
    }

    fn miss(&mut self, url: &PeerUrl, partitions: Partitions, fault: &PeerError) {
        tracing::debug!(%url, %partitions, %fault, "a peer does not answer for its part");
        self.coverage.miss(partitions, format!("{url} {fault}"));
    }
}

impl Source {
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

    /// Goes to the next row.
    async fn advance(mut self, deadline: Instant) -> Result<Self, (Self, PeerError)> {
        let by = deadline.min(Instant::now() + TIMEOUT);
        let row = timeout_at(by, self.rows.next()).await;
        let of_others =
            |row: &PeerRow| self.url.is_some() && !self.partitions.contains(row.partition);
        let fault = match row {
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
        Err((self, fault))
    }
}

/// The source whose row comes first.
fn first_of(sources: &[Source], order: Order) -> Option<usize> {
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
        http::query::Parameters,
    };

    fn partitions(text: &str) -> Partitions {
        text.parse().expect(text)
    }

    /// A row that is its own name.
    fn row(partition: i32, offset: i64, time: i64) -> PeerRow {
        PeerRow {
            time: Timestamp(time),
            partition: Partition(partition),
            position: Position::before(Offset(offset)),
            value: format!("{partition}:{offset}").into(),
        }
    }

    fn source(of: &str, rows: Vec<io::Result<PeerRow>>) -> Source {
        Source {
            url: Some(format!("http://peer-{of}:80").parse().expect("a URL")),
            partitions: partitions(of),
            rows: Box::pin(stream::iter(rows)),
            head: None,
        }
    }

    async fn merged(sources: Vec<Source>, query: &str) -> Gathered {
        let parameters = Parameters::parse(Some(query), &Listing::KNOWN).expect("valid");
        let listing = Listing::read(&parameters).expect("valid");
        let ownership = Ownership {
            all: Some(partitions("0-3")),
            ours: partitions("0-3"),
            ..Ownership::default()
        };
        let mut gathered = Gathered {
            values: Vec::new(),
            total: 0,
            end: Cursor::default(),
            more: false,
            coverage: Coverage::own(&ownership),
        };
        gathered.merge(sources, &listing).await;
        gathered
    }

    fn shown(gathered: &Gathered) -> String {
        let texts = gathered
            .values
            .iter()
            .map(|value| std::str::from_utf8(value));
        let texts: Result<Vec<_>, _> = texts.collect();
        texts.expect("UTF-8").join(" ")
    }

    fn two() -> Vec<Source> {
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
        let gathered = merged(two(), "limit=4").await;
        assert_eq!(shown(&gathered), "3:1 0:1 1:1 0:2");
        assert_eq!(gathered.end.to_string(), "0:2.1,1:1.1,3:1.1");
        assert!(gathered.more);
        let gathered = merged(two(), "limit=6").await;
        assert_eq!(shown(&gathered), "3:1 0:1 1:1 0:2 2:1 2:2");
        assert!(!gathered.more && gathered.coverage.missing().is_empty());
    }

    #[tokio::test]
    async fn what_breaks_off_is_missing_and_the_rest_is_shown() {
        let cut = io::Error::other("cut off");
        let mut sources = two();
        sources[1] = source("2-3", vec![Ok(row(3, 1, 5)), Err(cut)]);
        let gathered = merged(sources, "limit=9").await;
        assert_eq!(shown(&gathered), "3:1 0:1 1:1 0:2");
        assert_eq!(gathered.coverage.missing(), partitions("2-3"));
        assert!(!gathered.more);
    }

    #[tokio::test]
    async fn a_row_of_a_partition_that_was_not_asked_for_is_not_taken() {
        let mut sources = two();
        sources[1] = source("2-3", vec![Ok(row(0, 7, 1)), Ok(row(2, 1, 20))]);
        let gathered = merged(sources, "limit=9").await;
        assert_eq!(shown(&gathered), "0:1 1:1 0:2");
        assert_eq!(gathered.end.to_string(), "0:2.1,1:1.1");
        assert_eq!(gathered.coverage.missing(), partitions("2-3"));
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
        let gathered = merged(vec![endless], "limit=18446744073709551615").await;
        assert_eq!(gathered.values.len(), MOST / EACH);
        assert!(gathered.more);
    }

    #[tokio::test]
    async fn one_that_stalls_is_given_up() {
        let mut sources = two();
        sources[1].rows = Box::pin(stream::iter([Ok(row(3, 1, 5))]).chain(stream::pending()));
        let gathered = merged(sources, "limit=9").await;
        assert_eq!(shown(&gathered), "3:1 0:1 1:1 0:2");
        assert_eq!(gathered.coverage.missing(), partitions("2-3"));
    }
}
