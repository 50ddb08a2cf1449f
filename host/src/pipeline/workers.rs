//! The threads that run handlers: one a core, each with instances of its own. A partition always goes to the same
//! one, which keeps its order.

use std::{sync::mpsc, thread};

use super::worker::Worker;
use crate::event::{Partition, RawBatch};

pub(super) struct Workers(Vec<Desk>);

/// One worker, seen from outside.
struct Desk {
    /// Not bounded by itself: the intake pauses a partition that has too much under way.
    batches: mpsc::Sender<RawBatch>,
    thread: thread::JoinHandle<()>,
}

impl Workers {
    pub(super) fn start(workers: Vec<Worker>) -> Self {
        let desk = |(number, mut worker): (usize, Worker)| {
            let (batches, queue) = mpsc::channel::<RawBatch>();
            let work = move || queue.iter().for_each(|batch| worker.handle(batch));
            let named = thread::Builder::new().name(format!("worker-{number}"));
            let thread = named.spawn(work).expect("a thread can be started at start");
            Desk { batches, thread }
        };
        Self(workers.into_iter().enumerate().map(desk).collect())
    }

    /// Answers whether the worker took it: one that has panicked does not, and joining says why.
    #[must_use]
    pub(super) fn send(&self, batch: RawBatch) -> bool {
        let desk = &self.0[index(batch.partition, self.0.len())];
        desk.batches.send(batch).is_ok()
    }

    /// Lets every worker finish what it has.
    pub(super) fn join(self) {
        for Desk { batches, thread } in self.0 {
            drop(batches);
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
}

fn index(partition: Partition, workers: usize) -> usize {
    partition.0.unsigned_abs() as usize % workers
}
