//! From a record consumed to its offset committed: an intake thread polls and batches, workers run
//! the handlers and bring about their effects. It knows Kafka, handlers and the store by their modules, and no HTTP.

mod assignment;
mod batch;
mod chain;
mod config;
mod delivery;
mod dry_run;
mod effects;
mod exactly_once;
mod failpoint;
mod intake;
mod observer;
mod restore;
mod rewind;
mod shutdown;
mod worker;

use std::{
    collections::BTreeMap,
    sync::{Arc, mpsc},
    thread,
};

use tokio::{runtime::Handle, task::JoinHandle};
use tokio_util::sync::CancellationToken;

pub use config::{Config, Guarantee, Output, OutputConfig};
pub use dry_run::{Account, End, Problem, Rehearsal};

use self::{
    assignment::{Flight, Tenures},
    chain::Links,
    delivery::Deliverer,
    exactly_once::{Group, Transactions, Transactor, Uncommitted},
    intake::Intake,
    restore::Restores,
    shutdown::Stop,
    worker::{Way, Worker, Workers},
};
use crate::{
    assigned::Assigned,
    kafka::{self, Cluster, Commits, Consumer, Notice, Producer, Refusals, Terms},
    plugin::ChainReceiver,
    replay::RewindCommands,
    store::Store,
    telemetry::{metrics::Metrics, readiness::Readiness},
};

/// What a pipeline is made of.
pub struct Pipeline<'a> {
    /// Where to consume and to produce, and in which group.
    pub cluster: Cluster,
    /// What it calls itself in the group.
    pub client_id: &'a str,
    /// What is promised.
    pub config: &'a Config,
    /// Where that goes which leaves the chain.
    pub output: Option<Output>,
    /// The handlers, as they are and as they change.
    pub chains: ChainReceiver,
    /// What tells this instance from all others that the broker ever has: its transactional ids begin with it.
    pub instance: &'a str,
    /// For what handlers store.
    pub store: Store,
    /// Whether the store is rebuilt from the topic, and how many records at most are replayed of a partition where
    /// nobody has committed what is needed.
    pub restore: Option<u64>,
    /// Where it counts.
    pub metrics: Metrics,
    /// Where it says that it has joined: the latch `group`; and that the store is rebuilt: `restored`.
    pub readiness: Readiness,
    /// Where it says what the broker refuses.
    pub refusals: Refusals,
    /// Where it says which partitions it has.
    pub assigned: Assigned,
    /// What it is told to rewind.
    pub rewinds: RewindCommands,
    /// Cancel it to drain and leave the group.
    pub stop: CancellationToken,
}

impl Pipeline<'_> {
    /// Joins the group and starts to work. The task ends when it was told to stop and has drained, or with the
    /// error after which nothing more can be consumed. Call it within a runtime.
    ///
    /// # Errors
    /// [`kafka::Error`], if there is no joining.
    pub fn start(self) -> Result<JoinHandle<Result<(), kafka::Error>>, kafka::Error> {
        let (flight, tenures) = <(Arc<Flight>, Arc<Tenures>)>::default();
        let (sender, notices) = mpsc::channel();
        let (drained, ended) = (Arc::clone(&flight), Arc::clone(&tenures));
        let notify = move |notice: Notice| {
            if let Notice::Revoking(partitions) = &notice
                && !drained.leave(partitions, intake::DRAIN)
            {
                tracing::warn!(
                    ?partitions,
                    "given up with batches under way; their new owner handles them again"
                );
            }
            if let Notice::Revoking(partitions) | Notice::Lost(partitions) = &notice {
                ended.end(partitions);
                drained.have_left(partitions);
            }
            // Nobody listens any more when the consumer is being dropped.
            let _ = sender.send(notice);
        };
        let terms = Terms {
            client_id: self.client_id,
            restore: self.restore,
            commits: match self.config.guarantee {
                Guarantee::AtLeastOnce => Commits::InBackground,
                Guarantee::ExactlyOnce => Commits::InTransactions,
            },
            refusals: self.refusals.clone(),
            stop: &self.stop,
        };
        let consumer = Arc::new(Consumer::join(&self.cluster, terms, notify)?);
        let stop = Stop::new(self.stop.clone(), Handle::current());
        let mut workers = Vec::new();
        for way in self.ways(&stop)? {
            let group = Group {
                consumer: Arc::clone(&consumer),
                tenures: Arc::clone(&tenures),
            };
            workers.push(self.worker(way, group, &flight, &stop));
        }
        let restores = self.restore.map(|_| {
            let (store, metrics) = (self.store.clone(), self.metrics.clone());
            Restores::new(store, metrics, self.readiness.clone())
        });
        let intake = move |workers| Intake {
            workers: Workers::start(workers),
            restores,
            consumer,
            notices,
            flight,
            tenures,
            metrics: self.metrics,
            readiness: self.readiness,
            assigned: self.assigned,
            rewinds: self.rewinds,
            stop: self.stop,
        };
        Ok(tokio::task::spawn_blocking(move || {
            for worker in &mut workers {
                if worker.init().is_err() {
                    return Ok(());
                }
            }
            intake(workers).run()
        }))
    }

    /// One a worker.
    fn ways(&self, stop: &Stop) -> Result<Vec<Way>, kafka::Error> {
        let workers = 0..thread::available_parallelism().map_or(1, usize::from);
        match self.config.guarantee {
            Guarantee::AtLeastOnce => {
                let producer = Producer::patient(&self.cluster)?;
                Ok(workers
                    .map(|_| Way::AtLeastOnce(producer.clone()))
                    .collect())
            }
            Guarantee::ExactlyOnce => workers
                .map(|worker| {
                    let id = format!(
                        "{}-{}-{worker}",
                        self.cluster.config().group_id,
                        self.instance
                    );
                    let transactions = Transactions::new(
                        self.cluster.clone(),
                        id,
                        self.refusals.clone(),
                        stop.clone(),
                    )?;
                    Ok(Way::ExactlyOnce(Box::new(Transactor { transactions })))
                })
                .collect(),
        }
    }

    fn worker(&self, way: Way, group: Group, flight: &Arc<Flight>, stop: &Stop) -> Worker {
        Worker {
            chain: Links::new(self.chains.clone(), self.metrics.clone(), stop.clone()),
            deliverer: Deliverer {
                config: self.config.clone(),
                output: self.output.clone(),
                metrics: self.metrics.clone(),
                refusals: self.refusals.clone(),
                stop: stop.clone(),
            },
            way,
            store: self.store.clone(),
            group,
            flight: Arc::clone(flight),
            metrics: self.metrics.clone(),
            stopped: false,
            held: BTreeMap::new(),
            uncommitted: Uncommitted::default(),
        }
    }
}
