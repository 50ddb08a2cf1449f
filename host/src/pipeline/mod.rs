//! The pipeline: from a consumed record to its committed offset.
//!
//! The `intake` thread polls the consumer and fills batches. The `worker`s take each batch through the
//! handler `chain` and gather its `effects`. The `committer` of each worker takes the `handled_batches` that are there,
//! delivers their effects together (`delivery`, group by group from their `delivery_queue`s, with a `verdict` about each record),
//! shows what they store, and commits their offsets, after the delivery or with it (`exactly_once`). The worker handles the next
//! batches meanwhile. The pipeline knows Kafka, handlers and the store by their modules, and nothing of HTTP.
//!
//! # A rebalance
//!
//! 1. librdkafka calls back while the intake polls: partitions were assigned, are about to be revoked, or are lost.
//! 2. Before an assignment is accepted, the broker is asked for the committed offset and the bounds of each partition. It
//!    begins as far before its committed offset as its view does.
//! 3. The intake starts an `Assignment` for it, with a generation of its own. Its worker first
//!    restores the view (`restore`) from the records before the committed offset, which have no other effects.
//! 4. Before a revocation is accepted, the assignment is `Leaving`: no batch of it begins any more. The callback waits until
//!    the batches that have begun are finished and their offsets stored, for at most 25 s. Lost partitions are not waited for.
//! 5. Then the assignment is `Revoked`: whatever is still in flight of it is never committed.
//! 6. librdkafka commits the stored offsets and gives the partitions back. Their next owner begins at the committed offset.
//! 7. The intake drops the assignment with its open batch, and the worker drops its kept batches and its view.
//!
//! # Invariants
//!
//! - An offset is stored only after every effect of the records before it has happened. A committer that leaves a batch undone
//!   does nothing after it, nor does its worker; a thread of either that panics ends the daemon.
//! - A batch is committed only by the assignment that consumed it. Its `InFlight` guard knows the
//!   assignment, and ends the batch when it is dropped, whatever happened.
//! - The records of a partition are handled in order, by one worker. What is produced is ordered by the offsets of its sources.
//! - A batch is replayed as a whole, or not at all. Of a replayed batch only the view is restored.
//! - The intake never waits for a worker, except in a rebalance, a rewind and the shutdown. What is in flight is bounded by
//!   pausing partitions.
//! - Of what one worker produces to a partition of a topic, only one batch is in flight, and nothing is sent behind a record
//!   that the broker has not accepted yet. So no record overtakes one that is rejected and sent again.
//! - The files depend on one another in one direction: `intake` on `rewind`, on `worker_pool`, on `worker`, on `committer`, on `exactly_once` with
//!   `transaction_size` and `handled_batches`, on `delivery` with `record_group` and `chain` with `breaker`, on `batch` with `passage` and `partitions`, on `assignment` and `delivery_queue`, on
//!   `effects` and `verdict`, on `restore`; every file may use `config`, `failpoint`, `observer` and `shutdown`.

mod assignment;
mod batch;
mod breaker;
mod chain;
mod chain_step;
mod committer;
mod config;
mod delivery;
mod delivery_queue;
mod dry_run;
mod effects;
mod exactly_once;
mod excluded_records;
mod failpoint;
mod handled_batches;
mod intake;
mod observer;
mod partitions;
mod passage;
mod record_group;
mod restore;
mod rewind;
mod shutdown;
mod stall;
mod transaction_size;
mod verdict;
mod worker;
mod worker_pool;

use std::{collections::BTreeMap, sync::Arc, thread, time::Instant};

use tokio::{runtime::Handle, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use config::{Config, Guarantee, Output, OutputConfig};
pub use dry_run::{DryRun, RecordEnd, RecordReport};

use self::{
    assignment::Assignments,
    chain::HandlerChain,
    committer::{Commits, Committer, DeliveryGuarantee},
    delivery::Deliverer,
    exactly_once::Transactor,
    intake::{Intake, IntakeEnd},
    partitions::{Assigned, Publisher, give_up},
    restore::RestoreMonitor,
    shutdown::ShutdownSignal,
    stall::StallMonitor,
    worker::Worker,
    worker_pool::{WorkerPair, WorkerPanic, Workers},
};
use crate::{
    event::{AssignedPartitions, EventoLimits},
    kafka::{
        self, Cluster, CommitStrategy, Consumer, ConsumerOptions, OrderedProducer, ProducedTopics,
        Refusals, Revocation, TopicLimits,
    },
    plugin::ChainReceiver,
    replay::RewindCommands,
    store::Store,
    telemetry::{metrics::Metrics, readiness::Readiness},
};

/// The parts that a pipeline is made of.
pub struct Pipeline {
    /// The cluster, topic and group to consume.
    pub cluster: Cluster,
    /// The client id of the group member.
    pub client_id: String,
    /// The `[delivery]` table.
    pub config: Config,
    /// The limits of Eventos.
    pub evento: EventoLimits,
    /// The topic for the records that leave the handler chain, if there is one.
    pub output: Option<Output>,
    /// The handler chain, as it is and as it changes.
    pub chains: ChainReceiver,
    /// The name of this instance, unique among all clients of the cluster: its transactional ids begin with the group and
    /// this name.
    pub instance: String,
    /// The store for what handlers store.
    pub store: Store,
    /// Restores the views of assigned partitions. If the start of a view was not committed, this many records are replayed.
    pub restore: Option<u64>,
    /// The metrics to count in.
    pub metrics: Metrics,
    /// The latches to set: `group` once the group was joined, `restored` once all views are restored, `broker_responses` while
    /// the brokers answer, and `fetching` unless a partition is stalled.
    pub readiness: Readiness,
    /// Takes note of the permissions that the broker denies.
    pub refusals: Refusals,
    /// The largest batch that each topic accepts.
    pub limits: TopicLimits,
    /// Takes note of the topics that are missing, or that records wait for.
    pub topics: ProducedTopics,
    /// Where the assigned partitions are published.
    pub assigned: Arc<watch::Sender<Arc<AssignedPartitions>>>,
    /// The partitions to rewind.
    pub rewinds: RewindCommands,
    /// Cancelled to drain and to leave the group.
    pub stop: CancellationToken,
}

/// Why a pipeline ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing more can be consumed.
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    /// A worker panicked. Its batch is not committed, and nothing after it.
    #[error(
        "{worker} panicked while it handled a batch: {message}; the batch was not committed and is handled again after a \
         restart; please report this bug"
    )]
    WorkerPanicked {
        /// The name of the thread.
        worker: String,
        /// The message of the panic.
        message: String,
    },
}

impl From<WorkerPanic> for Error {
    fn from(WorkerPanic { worker, message }: WorkerPanic) -> Self {
        Self::WorkerPanicked { worker, message }
    }
}

/// A pipeline that has begun to join the group.
struct Run {
    consumer: Arc<Consumer>,
    assignments: Assignments,
    workers: Vec<WorkerPair>,
    stop: CancellationToken,
}

impl Pipeline {
    /// Joins the group and starts to work, within a tokio runtime. The task ends when it was stopped and has drained, or with
    /// the error after which it cannot go on. If the topic is replaced by another one, everything begins anew.
    ///
    /// # Errors
    /// [`kafka::Error`], if the group cannot be joined.
    pub fn start(mut self) -> Result<JoinHandle<Result<(), Error>>, kafka::Error> {
        let runtime = Handle::current();
        let mut run = self.prepare(&runtime)?;
        Ok(tokio::task::spawn_blocking(move || {
            while self.run(run)? == IntakeEnd::TopicReplaced {
                run = self.prepare(&runtime)?;
            }
            Ok(())
        }))
    }

    fn prepare(&self, runtime: &Handle) -> Result<Run, kafka::Error> {
        let stop = self.stop.child_token();
        let assignments = Assignments::default();
        let consumer = Arc::new(self.join(&assignments, &stop)?);
        let shutdown = ShutdownSignal::new(stop.clone(), runtime.clone());
        let guarantees = self.guarantees(&shutdown)?.into_iter();
        let workers = guarantees.map(|guarantee| self.worker(guarantee, &consumer, &shutdown));
        Ok(Run {
            workers: workers.collect(),
            consumer,
            assignments,
            stop,
        })
    }

    fn run(&mut self, run: Run) -> Result<IntakeEnd, Error> {
        let Run {
            consumer,
            assignments,
            mut workers,
            stop,
        } = run;
        for pair in &mut workers {
            if pair.committer.init().is_err() {
                return Ok(IntakeEnd::Stopped);
            }
        }
        let restores = self.restore.map(|_| RestoreMonitor {
            store: self.store.clone(),
            metrics: self.metrics.clone(),
            readiness: self.readiness.clone(),
            reported_at: Instant::now(),
        });
        let intake = Intake {
            consumer,
            assignments,
            assigned: Assigned::default(),
            evento: self.evento,
            workers: Workers::start(workers),
            restores,
            stalls: StallMonitor::new(
                self.cluster.clone(),
                self.metrics.clone(),
                self.readiness.clone(),
                stop.clone(),
            ),
            publisher: Publisher {
                changes: self.assigned.borrow().changes,
                sender: Arc::clone(&self.assigned),
                published_at: Instant::now(),
            },
            metrics: self.metrics.clone(),
            readiness: self.readiness.clone(),
            topics: self.topics.clone(),
            rewinds: &mut self.rewinds,
            stop,
            is_topic_replaced: false,
        };
        intake.run()
    }

    fn join(
        &self,
        assignments: &Assignments,
        stop: &CancellationToken,
    ) -> Result<Consumer, kafka::Error> {
        let options = ConsumerOptions {
            client_id: &self.client_id,
            restore: self.restore,
            commits: match self.config.guarantee {
                Guarantee::AtLeastOnce => CommitStrategy::InBackground,
                Guarantee::ExactlyOnce => CommitStrategy::InTransactions,
            },
            refusals: self.refusals.clone(),
            stop,
        };
        let (assignments, publisher) = (assignments.clone(), Arc::clone(&self.assigned));
        let on_revocation = move |revocation: &Revocation| {
            give_up(&assignments, &publisher, revocation);
        };
        Consumer::join(&self.cluster, options, on_revocation)
    }

    /// The means of each worker to keep the delivery guarantee.
    fn guarantees(
        &self,
        shutdown: &ShutdownSignal,
    ) -> Result<Vec<DeliveryGuarantee>, kafka::Error> {
        let workers = 0..thread::available_parallelism().map_or(1, usize::from);
        match self.config.guarantee {
            Guarantee::AtLeastOnce => workers
                .map(|_| {
                    let producer = OrderedProducer::new(&self.cluster, &self.limits)?;
                    Ok(DeliveryGuarantee::AtLeastOnce(producer))
                })
                .collect(),
            Guarantee::ExactlyOnce => workers
                .map(|worker| {
                    let group = &self.cluster.config().group_id;
                    let transactor = Transactor::new(
                        &self.cluster,
                        format!("{group}-{}-{worker}", self.instance),
                        &self.limits,
                        self.refusals.clone(),
                        shutdown.clone(),
                    )?;
                    Ok(DeliveryGuarantee::ExactlyOnce(transactor))
                })
                .collect(),
        }
    }

    fn worker(
        &self,
        guarantee: DeliveryGuarantee,
        consumer: &Arc<Consumer>,
        shutdown: &ShutdownSignal,
    ) -> WorkerPair {
        let commits = Commits {
            store: self.store.clone(),
            consumer: Arc::clone(consumer),
            metrics: self.metrics.clone(),
        };
        let (handled, queue) = handled_batches::queue();
        let worker = Worker {
            chain: HandlerChain::new(self.chains.clone(), self.metrics.clone()),
            handled,
            commits: commits.clone(),
            finishes_alone: self.config.guarantee == Guarantee::AtLeastOnce,
            has_output: self.output.is_some(),
            stopped: false,
            kept: BTreeMap::new(),
        };
        let committer = Committer {
            deliverer: Deliverer {
                guarantee: self.config.guarantee,
                dead_letter_topic: self.config.dead_letter_topic.clone(),
                output: self.output.clone(),
                metrics: self.metrics.clone(),
                refusals: self.refusals.clone(),
                topics: self.topics.clone(),
                shutdown: shutdown.clone(),
            },
            guarantee,
            commits,
        };
        WorkerPair {
            worker,
            committer,
            queue,
        }
    }
}
