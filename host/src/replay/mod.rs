//! Replay: the group is rewound, so that records are processed again.
//!
//! A [`ReplayPlan`] is made from what the broker knows of the group. Each partition is then rewound by the pipeline
//! that owns it, between two batches. [`crate::http`] forwards the rewind of other partitions to the instances that own
//! them; this module knows nothing of HTTP.

mod plan;
mod report;
mod start;

use tokio::sync::{mpsc, oneshot};

pub use plan::{ReplayPlan, RewindTargets};
pub use report::{MEDIA_TYPE, PartitionReport, ReplayReport, RewindOutcome};
pub use start::{InvalidReplayStart, ReplayStart};

use crate::{
    event::Partition,
    kafka::{self, Cluster},
};

/// Number of commands that may wait for the pipeline. Further ones fail with [`Error::Busy`].
const QUEUE_CAPACITY: usize = 4;

/// A command to the pipeline: rewind these partitions.
pub struct RewindCommand {
    /// The partitions to rewind, each with its target offset.
    pub targets: RewindTargets,
    /// Receives one report per partition.
    pub reply: oneshot::Sender<Vec<PartitionReport>>,
}

/// The pipeline's end of the queue of commands.
pub type RewindCommands = mpsc::Receiver<RewindCommand>;

/// Why nothing was rewound.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The positions of the group could not be read from the broker.
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    /// The topic has no such partition.
    #[error("the topic has no partition {0}")]
    NoPartition(Partition),
    /// Too many other replays are waiting, or the pipeline does not run.
    #[error("the pipeline cannot take another replay now; try again")]
    Busy,
}

/// Plans replays and has the pipeline of this instance carry them out. Cheap to clone.
#[derive(Clone)]
pub struct Replayer {
    cluster: Cluster,
    commands: mpsc::Sender<RewindCommand>,
}

impl Replayer {
    /// Returns a replayer for the group of this cluster, and the queue from which the pipeline takes its commands.
    #[must_use]
    pub fn new(cluster: Cluster) -> (Self, RewindCommands) {
        let (commands, received) = mpsc::channel(QUEUE_CAPACITY);
        (Self { cluster, commands }, received)
    }

    /// Plans a replay of every partition, or of one. No partition is moved past its current position.
    ///
    /// # Errors
    /// [`Error::Kafka`] and [`Error::NoPartition`].
    pub async fn plan(
        &self,
        start: ReplayStart,
        only: Option<Partition>,
    ) -> Result<ReplayPlan, Error> {
        let at = match start {
            ReplayStart::Time(at) => Some(at),
            ReplayStart::Earliest | ReplayStart::Offset(_) => None,
        };
        let positions = kafka::group_positions(&self.cluster, at).await?;
        let plan = ReplayPlan::new(positions, start);
        match only {
            None => Ok(plan),
            Some(only) => plan.only(only).ok_or(Error::NoPartition(only)),
        }
    }

    /// Has the pipeline rewind those of these partitions that this instance owns. The future returns one report per
    /// partition, in ascending order of partitions. The rewind starts at once, whether or not the future is awaited.
    ///
    /// # Errors
    /// [`Error::Busy`], and nothing was rewound.
    pub fn rewind(
        &self,
        targets: RewindTargets,
    ) -> Result<impl Future<Output = Vec<PartitionReport>> + use<>, Error> {
        let partitions: Vec<_> = targets.keys().copied().collect();
        let (reply, reports) = oneshot::channel();
        let command = RewindCommand { targets, reply };
        self.commands.try_send(command).map_err(|_| Error::Busy)?;
        Ok(async move {
            reports.await.unwrap_or_else(|_| {
                let failed = RewindOutcome::failed("the daemon is shutting down");
                PartitionReport::for_each(partitions, &failed)
            })
        })
    }
}
