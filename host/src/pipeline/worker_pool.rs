//! The threads of the workers, one per core, each with its own instances of the handlers and a committer. A partition always goes
//! to the same worker, which keeps its order.

use std::{
    any::Any,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread,
};

use super::{
    assignment::AssignmentState,
    batch::BatchJob,
    committer::Committer,
    handled_batches::CommitQueue,
    worker::{Worker, WorkerCommand},
};
use crate::event::{Offset, TopicPartition, ViewStart};

/// The threads of the workers and their committers.
pub(super) struct Workers {
    threads: Vec<WorkerThreads>,
    /// Set by a thread that panics.
    panicked: Arc<AtomicBool>,
}

/// A worker and its committer, before they start.
pub(super) struct WorkerPair {
    pub(super) worker: Worker,
    pub(super) committer: Committer,
    pub(super) queue: CommitQueue,
}

struct WorkerThreads {
    /// Not bounded itself: the intake pauses a partition that has too much in flight.
    commands: mpsc::Sender<WorkerCommand>,
    worker: thread::JoinHandle<()>,
    committer: thread::JoinHandle<()>,
}

/// A worker or its committer panicked.
#[derive(Debug)]
pub(super) struct WorkerPanic {
    /// The name of its thread.
    pub(super) worker: String,
    /// The message of the panic.
    pub(super) message: String,
}

/// Sets a flag if its thread panics.
struct PanicAlarm(Arc<AtomicBool>);

impl Drop for PanicAlarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.store(true, Ordering::Release);
        }
    }
}

impl Workers {
    pub(super) fn start(pairs: Vec<WorkerPair>) -> Self {
        let panicked = Arc::new(AtomicBool::new(false));
        let spawn = |name: String, run: Box<dyn FnOnce() + Send>| {
            let alarm = PanicAlarm(Arc::clone(&panicked));
            let run = move || {
                let _alarm = alarm;
                run();
            };
            let spawned = thread::Builder::new().name(name).spawn(run);
            spawned.expect("the system has two threads for each core")
        };
        let start = |(number, pair): (usize, WorkerPair)| {
            let WorkerPair {
                worker,
                committer,
                queue,
            } = pair;
            let (sender, commands) = mpsc::channel();
            WorkerThreads {
                commands: sender,
                worker: spawn(
                    format!("worker-{number}"),
                    Box::new(move || worker.run(&commands)),
                ),
                committer: spawn(
                    format!("committer-{number}"),
                    Box::new(move || committer.run(&queue)),
                ),
            }
        };
        let threads = pairs.into_iter().enumerate().map(start).collect();
        Self { threads, panicked }
    }

    /// Returns whether a worker has panicked. [`Workers::join`] says which one.
    pub(super) fn have_panicked(&self) -> bool {
        self.panicked.load(Ordering::Acquire)
    }

    /// Hands a batch to the worker of its partition. A worker that has panicked takes nothing: the batch ends undone.
    pub(super) fn handle(&self, job: BatchJob) {
        let index = self.index_of(job.topic_partition());
        self.send(index, WorkerCommand::Handle(job));
    }

    /// Lets go of a partition, after the batches of it that the worker has.
    pub(super) fn revoke(&self, partition: TopicPartition) {
        let index = self.index_of(&partition);
        self.send(index, WorkerCommand::Revoke(partition));
    }

    /// Begins to restore the view of a partition, after the batches of it that the worker has.
    pub(super) fn restore(&self, state: &Arc<AssignmentState>, (from, view): (Offset, ViewStart)) {
        let index = self.index_of(state.topic_partition());
        let command = WorkerCommand::Restore(Arc::clone(state), from, view);
        self.send(index, command);
    }

    /// Takes back what the view of a partition holds from this offset on, and drops its halted batches.
    pub(super) fn rewind(&self, partition: TopicPartition, to: Offset) {
        let index = self.index_of(&partition);
        self.send(index, WorkerCommand::Rewind(partition, to));
    }

    fn send(&self, index: usize, command: WorkerCommand) {
        // Fails only if the worker has panicked, which the intake is about to notice.
        let _ = self.threads[index].commands.send(command);
    }

    fn index_of(&self, partition: &TopicPartition) -> usize {
        partition.partition.0.unsigned_abs() as usize % self.threads.len()
    }

    /// Lets every worker finish what it has, and waits for the end of each.
    pub(super) fn join(self) -> Result<(), WorkerPanic> {
        let mut joined = Ok(());
        for threads in self.threads {
            drop(threads.commands);
            // The committer ends after its worker.
            for thread in [threads.worker, threads.committer] {
                let worker = thread.thread().name().unwrap_or_default().to_owned();
                if let Err(panic) = thread.join() {
                    let message = message_of(&*panic);
                    joined = joined.and(Err(WorkerPanic { worker, message }));
                }
            }
        }
        joined
    }
}

/// The message of a panic, which nearly always is a text.
fn message_of(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "it left no message".to_owned())
}
