//! Answers that the client has not read yet.
//!
//! They are kept as runs rather than as lines: a run is a number of consecutive Eventos that got consecutive
//! offsets of one partition, or the same refusal. The broker's client fills a partition for a while before it
//! turns to the next, so a run stands for hundreds of lines, and millions of answers fit into the bound.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use super::pump::Answer;
use crate::kafka::Delivered;

/// Memory for answers that the client does not read, in bytes. When it is used up, no more is read of the body.
const BOUND: usize = 32 << 20;

/// How long a client that reads no answers may stand in its own way before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);

/// How much is written at a time.
const PIECE: usize = 32 << 10;

/// Where answers are put; dropped before [`Writer::finish`], it cuts the answer off.
pub(super) struct Writer {
    shared: Arc<Shared>,
}

/// Where their lines are taken.
pub(super) struct Reader {
    shared: Arc<Shared>,
    /// Of the next line.
    index: u64,
}

#[derive(Default)]
struct Shared {
    // A std mutex: held while a few runs are changed, never across an await.
    queue: Mutex<Queue>,
    readable: Notify,
    writable: Notify,
}

#[derive(Default)]
struct Queue {
    runs: VecDeque<Run>,
    /// Memory of the runs, roughly.
    bytes: usize,
    end: Option<End>,
}

#[derive(Clone, Copy)]
enum End {
    Finished,
    CutOff,
}

struct Run {
    what: What,
    count: u64,
}

#[derive(PartialEq, Eq)]
enum What {
    Sent {
        next: Delivered,
    },
    /// The status, and the problem as JSON.
    Not(&'static str, Box<str>),
}

/// The two ends of an empty queue.
pub(super) fn channel() -> (Writer, Reader) {
    let shared = Arc::new(Shared::default());
    let writer = Writer {
        shared: Arc::clone(&shared),
    };
    (writer, Reader { shared, index: 0 })
}

impl Writer {
    /// Adds an answer; waits while the client leaves no room.
    pub(super) async fn push(&mut self, answer: Answer) -> io::Result<()> {
        let what = What::from(answer);
        while self.shared.lock().bytes >= BOUND {
            let room = tokio::time::timeout(PATIENCE, self.shared.writable.notified()).await;
            room.map_err(|_| io::Error::other("the client reads no answers"))?;
        }
        self.shared.lock().push(what);
        self.shared.readable.notify_one();
        Ok(())
    }

    /// There are no more.
    pub(super) fn finish(self) {
        self.end(End::Finished);
    }

    fn end(&self, end: End) {
        self.shared.lock().end.get_or_insert(end);
        self.shared.readable.notify_one();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end(End::CutOff);
    }
}

impl Reader {
    /// The lines in pieces; dropped, it ends the task that writes them.
    pub(super) fn into_stream<T: Send>(
        self,
        writing: AbortOnDropHandle<T>,
    ) -> impl Stream<Item = io::Result<Bytes>> {
        let next = async |(mut reader, writing): (Self, _)| {
            let piece = reader.next().await?;
            Some((piece, (reader, writing)))
        };
        stream::unfold((self, writing), next)
    }

    /// Waits for lines.
    async fn next(&mut self) -> Option<io::Result<Bytes>> {
        loop {
            let mut lines = Vec::new();
            let end = self.shared.lock().take(&mut lines, &mut self.index);
            self.shared.writable.notify_one();
            match end {
                _ if !lines.is_empty() => return Some(Ok(lines.into())),
                Some(End::Finished) => return None,
                Some(End::CutOff) => return Some(Err(io::Error::other("the batch was cut off"))),
                None => self.shared.readable.notified().await,
            }
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("nothing under the lock panics")
    }
}

impl Queue {
    fn push(&mut self, what: What) {
        if let Some(last) = self.runs.back_mut()
            && last.goes_on_with(&what)
        {
            last.count += 1;
            return;
        }
        self.bytes += what.memory();
        self.runs.push_back(Run { what, count: 1 });
    }

    /// Takes a piece of lines, and tells whether more can come.
    fn take(&mut self, lines: &mut Vec<u8>, index: &mut u64) -> Option<End> {
        while lines.len() < PIECE
            && let Some(run) = self.runs.front_mut()
        {
            run.line(lines, *index);
            *index += 1;
            if run.count == 0 {
                self.bytes -= run.what.memory();
                self.runs.pop_front();
            }
        }
        self.end
    }
}

impl Run {
    fn goes_on_with(&self, what: &What) -> bool {
        match (&self.what, what) {
            (What::Sent { next: first }, What::Sent { next }) => {
                let offset = first.offset.0.checked_add_unsigned(self.count);
                first.partition == next.partition && offset == Some(next.offset.0)
            }
            (first, what) => first == what,
        }
    }

    /// Writes the first line of the run, and leaves the others.
    fn line(&mut self, lines: &mut Vec<u8>, index: u64) {
        use std::io::Write;
        let written = match &mut self.what {
            What::Sent { next } => {
                let Delivered { partition, offset } = *next;
                next.offset = offset.next();
                writeln!(
                    lines,
                    r#"{{"status":"message sent","index":{index},"partition":{partition},"offset":{offset}}}"#
                )
            }
            What::Not(status, problem) => {
                writeln!(
                    lines,
                    r#"{{"status":"{status}","index":{index},"problem":{problem}}}"#
                )
            }
        };
        written.expect("a Vec takes everything");
        self.count -= 1;
    }
}

impl What {
    fn memory(&self) -> usize {
        size_of::<Run>()
            + match self {
                Self::Sent { .. } => 0,
                Self::Not(_, problem) => problem.len(),
            }
    }
}

impl From<Answer> for What {
    fn from(answer: Answer) -> Self {
        let json = |problem| {
            let json = serde_json::to_string(&problem);
            json.expect("texts and numbers are JSON").into_boxed_str()
        };
        match answer {
            Answer::Sent(next) => Self::Sent { next },
            Answer::Refused(problem) => Self::Not("refused", json(problem)),
            Answer::Stopped(problem) => Self::Not("stopped", json(problem)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Offset, Partition};

    fn sent(partition: i32, offset: i64) -> What {
        let (partition, offset) = (Partition(partition), Offset(offset));
        What::Sent {
            next: Delivered { partition, offset },
        }
    }

    #[test]
    fn what_follows_on_costs_nothing() {
        let mut queue = Queue::default();
        (0..1_000_000).for_each(|offset| queue.push(sent(0, offset)));
        (5..7).for_each(|offset| queue.push(sent(1, offset)));
        let refused = || What::Not("refused", "{}".into());
        (0..1_000_000).for_each(|_| queue.push(refused()));
        assert_eq!(
            (queue.runs.len(), queue.bytes),
            (3, 3 * size_of::<Run>() + 2)
        );
        let (mut lines, mut index) = (Vec::new(), 0);
        while !queue.runs.is_empty() {
            lines.clear();
            queue.take(&mut lines, &mut index);
            assert!(lines.len() <= PIECE + 200);
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
