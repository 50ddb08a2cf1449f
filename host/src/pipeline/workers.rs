//! The threads that run handlers: one a core, each with instances of its own. A partition always goes to the same
//! one, which keeps its order.

use std::{sync::mpsc, thread, time::Duration};

use super::worker::Worker;
use crate::event::{Offset, Partition, RawBatch};

pub(super) struct Workers(Vec<Desk>);

/// One worker, seen from outside.
struct Desk {
    /// Not bounded by itself: the intake pauses a partition that has too much under way.
    jobs: mpsc::Sender<Job>,
    thread: thread::JoinHandle<()>,
}

// Queued one by one, and nearly always the large one.
#[allow(clippy::large_enum_variant)]
enum Job {
    Handle(RawBatch),
    /// What is held of this partition is another member's now.
    Revoke(Partition),
    /// This partition is handled again from this offset on.
    Rewind(Partition, Offset),
}

/// How soon a worker that holds a stopped partition sees that it may go on.
const LOOK: Duration = Duration::from_millis(100);

impl Workers {
    pub(super) fn start(workers: Vec<Worker>) -> Self {
        let desk = |(number, worker): (usize, Worker)| {
            let (jobs, queue) = mpsc::channel();
            let work = move || work(worker, &queue);
            let named = thread::Builder::new().name(format!("worker-{number}"));
            let thread = named.spawn(work).expect("a thread can be started at start");
            Desk { jobs, thread }
        };
        Self(workers.into_iter().enumerate().map(desk).collect())
    }

    /// Answers whether the worker took it: one that has panicked does not, and joining says why.
    #[must_use]
    pub(super) fn send(&self, batch: RawBatch) -> bool {
        let desk = &self.0[index(batch.partition, self.0.len())];
        desk.jobs.send(Job::Handle(batch)).is_ok()
    }

    /// Lets go of what is held of a partition. A worker that has panicked holds nothing.
    pub(super) fn revoke(&self, partition: Partition) {
        let desk = &self.0[index(partition, self.0.len())];
        let _ = desk.jobs.send(Job::Revoke(partition));
    }

    /// Takes back what was shown of a partition from this offset on, and lets go of what is held of it.
    pub(super) fn rewind(&self, partition: Partition, to: Offset) {
        let desk = &self.0[index(partition, self.0.len())];
        let _ = desk.jobs.send(Job::Rewind(partition, to));
    }

    /// Lets every worker finish what it has.
    pub(super) fn join(self) {
        for Desk { jobs, thread } in self.0 {
            drop(jobs);
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn work(mut worker: Worker, queue: &mpsc::Receiver<Job>) {
    loop {
        let patience = if worker.holds_any() {
            LOOK
        } else {
            Duration::MAX
        };
        match queue.recv_timeout(patience) {
            Ok(Job::Handle(batch)) => worker.handle(batch),
            Ok(Job::Revoke(partition)) => worker.revoke(partition),
            Ok(Job::Rewind(partition, to)) => worker.rewind(partition, to),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        worker.try_held_again();
    }
}

fn index(partition: Partition, workers: usize) -> usize {
    partition.0.unsigned_abs() as usize % workers
}
