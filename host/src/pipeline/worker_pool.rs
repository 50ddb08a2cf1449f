//! The threads of the workers, one per core, each with its own instances of the handlers. A partition always goes to the same
//! worker, which keeps its order.

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
    worker::{Worker, WorkerCommand},
};
use crate::event::{Offset, TopicPartition, ViewStart};

/// The worker threads.
pub(super) struct Workers {
    threads: Vec<WorkerThread>,
    /// Set by a worker that panics.
    panicked: Arc<AtomicBool>,
}

struct WorkerThread {
    /// Not bounded itself: the intake pauses a partition that has too much in flight.
    commands: mpsc::Sender<WorkerCommand>,
    thread: thread::JoinHandle<()>,
}

/// A worker panicked.
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
    pub(super) fn start(workers: Vec<Worker>) -> Self {
        let panicked = Arc::new(AtomicBool::new(false));
        let start = |(number, worker): (usize, Worker)| {
            let (commands, queue) = mpsc::channel();
            let alarm = PanicAlarm(Arc::clone(&panicked));
            let run = move || {
                let _alarm = alarm;
                worker.run(&queue);
            };
            let named = thread::Builder::new().name(format!("worker-{number}"));
            let thread = named
                .spawn(run)
                .expect("the system has a thread for each worker");
            WorkerThread { commands, thread }
        };
        Self {
            threads: workers.into_iter().enumerate().map(start).collect(),
            panicked,
        }
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
        for WorkerThread { commands, thread } in self.threads {
            drop(commands);
            let worker = thread.thread().name().unwrap_or_default().to_owned();
            if let Err(panic) = thread.join() {
                let message = message_of(&*panic);
                joined = joined.and(Err(WorkerPanic { worker, message }));
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
