//! Partitions of which no record arrives although there are some: they are reported, and a batch that cannot be read is
//! passed.
//!
//! The client gives out no part of a batch that it cannot decompress or parse, and fetches it again and again. So the offset
//! that it fetches next stays the same. After [`PATIENCE`] the partition counts as stalled, and another client searches for
//! the first offset that can be read. The way there becomes one dead letter, and consuming goes on behind it.

use std::{
    sync::mpsc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::assignment::{Assignment, Generation};
use crate::{
    event::{Offset, TopicPartition},
    kafka::{self, BatchSearchResult, Cluster, search_readable},
    telemetry::{in_one_line, metrics::Metrics, readiness::Readiness},
};

/// The readiness latch that is closed while a partition is stalled.
const FETCHING: &str = "fetching";

/// How long no record may arrive although there are some.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a search rests after one that has led to nothing.
const REST: Duration = Duration::from_secs(30);

/// The fetches of one assignment: where they are, and since when.
#[derive(Default)]
pub(super) struct FetchProgress {
    /// The offset that is fetched next, and since when it has been that one while records were to be expected.
    waiting: Option<(Offset, Instant)>,
}

/// Follows the stalled partitions, and searches the way past what they cannot read.
pub(super) struct StallMonitor {
    cluster: Cluster,
    metrics: Metrics,
    readiness: Readiness,
    stop: CancellationToken,
    search: Option<RunningSearch>,
    /// When the next search may begin.
    rests_until: Option<Instant>,
    is_ready: bool,
}

struct RunningSearch {
    target: SearchTarget,
    thread: JoinHandle<()>,
    result: mpsc::Receiver<Result<BatchSearchResult, kafka::Error>>,
}

/// The place where the batches of an assignment cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SearchTarget {
    pub(super) partition: TopicPartition,
    pub(super) generation: Generation,
    /// The next offset to consume.
    pub(super) from: Offset,
}

/// The way past what cannot be read.
pub(super) struct Passage {
    pub(super) target: SearchTarget,
    /// Where consuming goes on.
    pub(super) to: Offset,
    /// Why the offsets before that cannot be read; none if they can.
    pub(super) reason: Option<String>,
}

impl FetchProgress {
    /// Takes note of the offset that is fetched next, while records should arrive. Returns whether it has been the
    /// same for too long.
    pub(super) fn observe(&mut self, fetching: Option<Offset>, now: Instant) -> bool {
        let Some(fetching) = fetching else {
            self.waiting = None;
            return false;
        };
        match self.waiting {
            Some((offset, since)) if offset == fetching => now.duration_since(since) >= PATIENCE,
            _ => {
                self.waiting = Some((fetching, now));
                false
            }
        }
    }
}

impl StallMonitor {
    pub(super) fn new(
        cluster: Cluster,
        metrics: Metrics,
        readiness: Readiness,
        stop: CancellationToken,
    ) -> Self {
        Self {
            cluster,
            metrics,
            readiness,
            stop,
            search: None,
            rests_until: None,
            is_ready: true,
        }
    }

    /// Reports a partition that has just stalled.
    pub(super) fn report(&self, assignment: &Assignment) {
        let partition = assignment.topic_partition();
        let (position, end) = (assignment.position(), assignment.end());
        self.metrics.stalled(partition.partition);
        tracing::error!(
            %partition, position = position.map(|it| it.0), end = end.map(|it| it.0),
            "no record has arrived for {} s although there are some; looking for a batch that can be read",
            PATIENCE.as_secs()
        );
    }

    /// Keeps the readiness current, and begins a search if a partition is stalled. Returns the result of a search that has
    /// ended, with which consuming can go on.
    pub(super) fn look_after(&mut self, assigned: &[Assignment]) -> Option<Passage> {
        let mut stalled = assigned.iter().filter(|one| one.is_stalled()).peekable();
        self.set_ready(stalled.peek().is_none());
        let passage = self.take_result();
        if self.search.is_none()
            && passage.is_none()
            && self.rests_until.is_none_or(|until| Instant::now() >= until)
            && let Some((target, end)) = stalled.find_map(Assignment::search_target)
        {
            self.begin(target, end);
        }
        passage
    }

    fn set_ready(&mut self, is_ready: bool) {
        if self.is_ready != is_ready {
            self.is_ready = is_ready;
            self.readiness.set(FETCHING, is_ready);
            if is_ready {
                tracing::info!("records arrive again");
            }
        }
    }

    fn begin(&mut self, target: SearchTarget, end: Offset) {
        let (sender, result) = mpsc::channel();
        let (cluster, partition) = (self.cluster.clone(), target.partition.clone());
        let (from, stop) = (target.from, self.stop.clone());
        let run = move || {
            // The receiver may be gone: the daemon stops.
            let _ = sender.send(search_readable(&cluster, &partition, (from, end), &stop));
        };
        let named = thread::Builder::new().name("batch-search".to_owned());
        match named.spawn(run) {
            Ok(thread) => {
                self.search = Some(RunningSearch {
                    target,
                    thread,
                    result,
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot search for a batch that can be read");
                self.rest();
            }
        }
    }

    fn rest(&mut self) {
        self.rests_until = Some(Instant::now() + REST);
    }

    fn take_result(&mut self) -> Option<Passage> {
        let search = self.search.as_ref()?;
        let result = match search.result.try_recv() {
            Err(mpsc::TryRecvError::Empty) => return None,
            Err(mpsc::TryRecvError::Disconnected) => None,
            Ok(result) => Some(result),
        };
        let RunningSearch { target, thread, .. } = self.search.take()?;
        if thread.join().is_err() {
            tracing::error!("the search for a batch that can be read panicked");
        }
        let partition = &target.partition;
        let (to, reason) = match result {
            Some(Ok(BatchSearchResult::Unreadable { next, reason })) => (next, Some(reason)),
            Some(Ok(BatchSearchResult::Readable)) => (target.from, None),
            Some(Ok(BatchSearchResult::NoAnswer)) | None => {
                tracing::warn!(%partition, "found no batch that can be read; searching again later");
                self.rest();
                return None;
            }
            Some(Err(error)) => {
                let error = in_one_line(&error);
                tracing::warn!(%partition, error, "cannot search for a batch that can be read");
                self.rest();
                return None;
            }
        };
        if reason.is_none() {
            // If that does not help, it is not tried again at once.
            self.rest();
        }
        Some(Passage { target, to, reason })
    }

    /// Waits until a running search has noticed that the daemon stops.
    pub(super) fn join(mut self) {
        self.set_ready(true);
        if let Some(search) = self.search.take() {
            // Cancelled before; a panic has been logged by its hook.
            let _ = search.thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_stalled_only_while_the_same_offset_is_fetched_in_vain() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut progress = FetchProgress::default();
        let fetching = Some(Offset(7));
        assert!(!progress.observe(fetching, at(0)));
        assert!(!progress.observe(fetching, at(29)));
        assert!(progress.observe(fetching, at(30)));
        // Compacted records and aborted transactions move the fetches on without a record.
        assert!(!progress.observe(Some(Offset(9)), at(31)));
        assert!(!progress.observe(Some(Offset(9)), at(60)));
        assert!(!progress.observe(None, at(61)));
        assert!(!progress.observe(Some(Offset(9)), at(62)));
        assert!(progress.observe(Some(Offset(9)), at(92)));
    }
}
