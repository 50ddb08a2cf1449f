//! The threads that run handlers: one a core, each with instances of its own. A partition always goes to the same
//! one, which keeps its order.

use std::{
    sync::{Arc, mpsc},
    thread,
    time::Duration,
};

use super::{lane::Parcel, restore::Restore, worker::Worker};
use crate::event::{Offset, Partition};

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
    Handle(Parcel),
    /// This partition is another member's now, with what is held and shown of it.
    Revoke(Partition),
    /// This partition is handled again from this offset on.
    Rewind(Partition, Offset),
    /// The view of a partition is to be rebuilt from here on.
    Restore(Arc<Restore>),
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
    pub(super) fn send(&self, parcel: Parcel) -> bool {
        self.give(parcel.batch.partition, Job::Handle(parcel))
    }

    /// Lets go of a partition, after what is still under way of it. A worker that has panicked holds nothing.
    pub(super) fn revoke(&self, partition: Partition) {
        self.give(partition, Job::Revoke(partition));
    }

    /// Begins to rebuild the view of a partition, after what is still under way of it.
    pub(super) fn restore(&self, restore: Arc<Restore>) {
        self.give(restore.partition, Job::Restore(restore));
    }

    fn give(&self, partition: Partition, job: Job) -> bool {
        let desk = &self.0[index(partition, self.0.len())];
        desk.jobs.send(job).is_ok()
    }

    /// Takes back what was shown of a partition from this offset on, and lets go of what is held of it.
    pub(super) fn rewind(&self, partition: Partition, to: Offset) {
        self.give(partition, Job::Rewind(partition, to));
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
        let patience = match () {
            () if worker.has_uncommitted() => Duration::ZERO,
            () if worker.holds_any() => LOOK,
            () => Duration::MAX,
        };
        let job = queue.recv_timeout(patience);
        if !matches!(job, Ok(Job::Handle(_))) {
            worker.commit();
        }
        match job {
            Ok(Job::Handle(parcel)) => worker.handle(parcel),
            Ok(Job::Revoke(partition)) => worker.revoke(partition),
            Ok(Job::Rewind(partition, to)) => worker.rewind(partition, to),
            Ok(Job::Restore(restore)) => worker.restore(&restore),
            Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => return,
        }
        worker.try_held_again();
    }
}

fn index(partition: Partition, workers: usize) -> usize {
    partition.0.unsigned_abs() as usize % workers
}
