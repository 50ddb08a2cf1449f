//! Results that the client has not read yet.
//!
//! They are kept as runs rather than as lines: a run is a number of consecutive Eventos that got consecutive
//! offsets of one partition, or the same refusal. The producer fills a partition for a while before it
//! turns to the next, so a run stands for hundreds of lines, and millions of results fit into the limit.

use std::{collections::VecDeque, io, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{Stream, stream};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::{super::problem::Problem, sender::SendResult};
use crate::kafka::Delivered;

/// Memory for results that the client has not read, in bytes. When it is used up, reading of the body pauses.
const MAX_UNREAD_BYTES: usize = 32 << 20;

/// How long a client that reads no results may block its own request before it is disconnected.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// About how many bytes of lines are written at a time.
const CHUNK_BYTES: usize = 32 << 10;

/// Adds results. If it is dropped before [`ResultWriter::finish`], the response is cut off: the client sees that it does not
/// have all of them, and sends the batch again.
pub(super) struct ResultWriter {
    shared: Arc<Shared>,
}

/// Takes results as lines of NDJSON.
pub(super) struct ResultReader {
    shared: Arc<Shared>,
    /// The index of the next line.
    index: u64,
}

#[derive(Default)]
struct Shared {
    // Held while a few runs are changed, never across an await.
    queue: Mutex<Queue>,
    readable: Notify,
    writable: Notify,
}

#[derive(Default)]
struct Queue {
    runs: VecDeque<Run>,
    /// Approximate memory of the runs.
    bytes: usize,
    end: Option<End>,
}

enum End {
    Finished,
    /// With the problem, for a client whose response has not begun.
    CutOff(Option<Problem>),
}

/// Consecutive results that differ only in their index and offset.
struct Run {
    result: RunResult,
    count: u64,
}

#[derive(PartialEq, Eq)]
enum RunResult {
    /// The Eventos were sent; `next` is the place of the first one.
    Sent { next: Delivered },
    /// The Eventos were not sent: the status, and the problem as JSON.
    NotSent(&'static str, Box<str>),
}

/// Returns the two ends of an empty queue.
pub(super) fn channel() -> (ResultWriter, ResultReader) {
    let shared = Arc::new(Shared::default());
    let writer = ResultWriter {
        shared: Arc::clone(&shared),
    };
    (writer, ResultReader { shared, index: 0 })
}

impl ResultWriter {
    /// Adds a result, as soon as there is room for it.
    ///
    /// # Errors
    /// If the client has not read anything for too long.
    pub(super) async fn push(&mut self, result: SendResult) -> io::Result<()> {
        let result = RunResult::from(result);
        while self.shared.queue.lock().bytes >= MAX_UNREAD_BYTES {
            let room = tokio::time::timeout(READ_TIMEOUT, self.shared.writable.notified()).await;
            room.map_err(|_| io::Error::other("the client does not read the results"))?;
        }
        self.shared.queue.lock().push(result);
        self.shared.readable.notify_one();
        Ok(())
    }

    /// Ends the response in order.
    pub(super) fn finish(self) {
        self.end(End::Finished);
    }

    /// Cuts off the response. If it has not begun yet, the client gets the problem instead.
    pub(super) fn cut_off(self, problem: Problem) {
        self.end(End::CutOff(Some(problem)));
    }

    fn end(&self, end: End) {
        self.shared.queue.lock().end.get_or_insert(end);
        self.shared.readable.notify_one();
    }
}

impl Drop for ResultWriter {
    fn drop(&mut self) {
        self.end(End::CutOff(None));
    }
}

impl ResultReader {
    /// Waits until the response can begin: there is a result, or the end of an empty batch. If it cannot be cut off later, it
    /// begins only when the batch ends, or when the memory for results is used up.
    ///
    /// # Errors
    /// The problem that ended the batch before.
    pub(super) async fn begin(&self, can_be_cut_off: bool) -> Result<(), Problem> {
        loop {
            if let Some(begun) = self.shared.queue.lock().begin(can_be_cut_off) {
                return begun;
            }
            self.shared.readable.notified().await;
        }
    }

    /// Returns the lines in chunks. Dropping the stream aborts the task that writes results.
    pub(super) fn into_stream<T: Send>(
        self,
        writing: AbortOnDropHandle<T>,
    ) -> impl Stream<Item = io::Result<Bytes>> {
        let next = async |(mut reader, writing): (Self, _)| {
            let chunk = reader.next().await?;
            Some((chunk, (reader, writing)))
        };
        stream::unfold((self, writing), next)
    }

    /// Waits for the next lines.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            let mut lines = Vec::new();
            let end = {
                let mut queue = self.shared.queue.lock();
                queue.take(&mut lines, &mut self.index);
                queue.is_finished()
            };
            self.shared.writable.notify_one();
            match end {
                _ if !lines.is_empty() => return Some(Ok(lines.into())),
                Some(true) => return None,
                Some(false) => {
                    // The connection drops what it has not written when the body fails, so it gets a chance to do so.
                    tokio::task::yield_now().await;
                    return Some(Err(io::Error::other("the batch was not finished")));
                }
                None => self.shared.readable.notified().await,
            }
        }
    }
}

impl Queue {
    fn push(&mut self, result: RunResult) {
        if let Some(last) = self.runs.back_mut()
            && last.continues_with(&result)
        {
            last.count += 1;
            return;
        }
        self.bytes += result.memory();
        self.runs.push_back(Run { result, count: 1 });
    }

    /// Returns whether the response can begin, or the problem to respond with instead; `None` if that is not known yet.
    fn begin(&mut self, can_be_cut_off: bool) -> Option<Result<(), Problem>> {
        let may_begin = match can_be_cut_off {
            true => !self.runs.is_empty(),
            false => self.bytes >= MAX_UNREAD_BYTES,
        };
        if may_begin {
            return Some(Ok(()));
        }
        match self.end.as_mut()? {
            End::CutOff(problem) => Some(problem.take().map_or(Ok(()), Err)),
            End::Finished => Some(Ok(())),
        }
    }

    /// Returns whether the results are complete, once they end.
    fn is_finished(&self) -> Option<bool> {
        let end = self.end.as_ref()?;
        Some(matches!(end, End::Finished))
    }

    /// Appends a chunk of lines.
    fn take(&mut self, lines: &mut Vec<u8>, index: &mut u64) {
        while lines.len() < CHUNK_BYTES
            && let Some(run) = self.runs.front_mut()
        {
            run.write_line(lines, *index);
            *index += 1;
            if run.count == 0 {
                self.bytes -= run.result.memory();
                self.runs.pop_front();
            }
        }
    }
}

impl Run {
    /// Whether the result continues this run.
    fn continues_with(&self, result: &RunResult) -> bool {
        match (&self.result, result) {
            (RunResult::Sent { next: first }, RunResult::Sent { next }) => {
                let offset = first.offset.0.checked_add_unsigned(self.count);
                first.partition == next.partition && offset == Some(next.offset.0)
            }
            (first, result) => first == result,
        }
    }

    /// Writes the first line of the run, and removes it from the run.
    fn write_line(&mut self, lines: &mut Vec<u8>, index: u64) {
        use std::io::Write;
        let written = match &mut self.result {
            RunResult::Sent { next } => {
                let Delivered { partition, offset } = *next;
                next.offset = offset.next();
                writeln!(
                    lines,
                    r#"{{"status":"message sent","index":{index},"partition":{partition},"offset":{offset}}}"#
                )
            }
            RunResult::NotSent(status, problem) => {
                writeln!(
                    lines,
                    r#"{{"status":"{status}","index":{index},"problem":{problem}}}"#
                )
            }
        };
        written.expect("writing to a Vec does not fail");
        self.count -= 1;
    }
}

impl RunResult {
    fn memory(&self) -> usize {
        size_of::<Run>()
            + match self {
                Self::Sent { .. } => 0,
                Self::NotSent(_, problem) => problem.len(),
            }
    }
}

impl From<SendResult> for RunResult {
    fn from(result: SendResult) -> Self {
        let json = |problem| {
            let json = serde_json::to_string(&problem);
            json.expect("strings and numbers are valid JSON")
                .into_boxed_str()
        };
        match result {
            SendResult::Sent(next) => Self::Sent { next },
            SendResult::Refused(problem) => Self::NotSent("refused", json(problem)),
            SendResult::Stopped(problem) => Self::NotSent("stopped", json(problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Offset, Partition};

    fn sent(partition: i32, offset: i64) -> RunResult {
        let (partition, offset) = (Partition(partition), Offset(offset));
        RunResult::Sent {
            next: Delivered { partition, offset },
        }
    }

    #[test]
    fn what_follows_on_costs_nothing() {
        let mut queue = Queue::default();
        (0..1_000_000).for_each(|offset| queue.push(sent(0, offset)));
        (5..7).for_each(|offset| queue.push(sent(1, offset)));
        let refused = || RunResult::NotSent("refused", "{}".into());
        (0..1_000_000).for_each(|_| queue.push(refused()));
        assert_eq!(
            (queue.runs.len(), queue.bytes),
            (3, 3 * size_of::<Run>() + 2)
        );
        let (mut lines, mut index) = (Vec::new(), 0);
        while !queue.runs.is_empty() {
            lines.clear();
            queue.take(&mut lines, &mut index);
            assert!(lines.len() <= CHUNK_BYTES + 200);
        }
        assert_eq!((index, queue.bytes), (2_000_002, 0));
        assert!(lines.ends_with(b"{\"status\":\"refused\",\"index\":2000001,\"problem\":{}}\n"));
    }

    #[tokio::test]
    async fn what_is_not_finished_is_cut_off() {
        for finished in [true, false] {
            let (writer, mut reader) = channel();
            if finished {
                writer.finish();
            } else {
                drop(writer);
            }
            let end = reader.next().await.map(|piece| piece.is_err());
            assert_eq!(end, (!finished).then_some(true));
        }
    }
}
