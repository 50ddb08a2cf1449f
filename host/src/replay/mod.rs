//! Rewinding the group: what was handled is handled again. Whoever asks gets a plan from the broker; each partition is
//! then rewound by the pipeline that has it, between two of its batches. It knows Kafka by its module, and no HTTP: that
//! each instance of the group is asked for its own part is [`crate::http`]'s.

mod plan;
mod report;
mod start;

use tokio::sync::{mpsc, oneshot};

pub use plan::{Plan, Targets};
pub use report::{Answer, Fate, MEDIA_TYPE, Rewound, Told};
pub use start::{NotAStart, Start};

use crate::{
    event::Partition,
    kafka::{self, Cluster},
};

/// So many commands wait for the pipeline at most; more are refused.
const WAITING: usize = 4;

/// For the pipeline: partitions to rewind, each to an offset.
pub struct Rewind {
    /// Which, and where to.
    pub targets: Targets,
    /// Takes what became of each.
    pub answer: oneshot::Sender<Vec<Rewound>>,
}

/// The pipeline's end.
pub type Commands = mpsc::Receiver<Rewind>;

/// Why nothing was rewound.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker does not say where the group is.
    #[error(transparent)]
    Kafka(#[from] kafka::Error),
    /// There is no such partition.
    #[error("the topic has no partition {0}")]
    NoPartition(Partition),
    /// Others are rewinding, or the pipeline does not run.
    #[error("the pipeline takes no command now")]
    Busy,
}

/// Rewinds. Cheap to clone.
#[derive(Clone)]
pub struct Replays {
    cluster: Cluster,
    commands: mpsc::Sender<Rewind>,
}

impl Replays {
    /// For the group of this configuration, and the end that its pipeline takes.
    #[must_use]
    pub fn new(cluster: Cluster) -> (Self, Commands) {
        let (commands, received) = mpsc::channel(WAITING);
        let replays = Self { cluster, commands };
        (replays, received)
    }

    /// Where every partition, or one, is to go back to for this start; never past where it stands.
    ///
    /// # Errors
    /// [`Error::Kafka`] and [`Error::NoPartition`].
    pub async fn plan(&self, start: Start, only: Option<Partition>) -> Result<Plan, Error> {
        let cluster = self.cluster.clone();
        let progress = tokio::task::spawn_blocking(move || {
            let at = match start {
                Start::Time(at) => Some(at),
                Start::Earliest | Start::Offset(_) => None,
            };
            kafka::progress(&cluster, at)
        });
        let progress = progress
            .await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        let plan = Plan::new(progress?, start);
        match only {
            None => Ok(plan),
            Some(only) => plan.only(only).ok_or(Error::NoPartition(only)),
        }
    }

    /// Has the pipeline of this instance rewind those of these that it has; what became of each, by number ascending. It
    /// begins at once, awaited or not.
    ///
    /// # Errors
    /// [`Error::Busy`]; nothing was rewound then.
    pub fn rewind(
        &self,
        targets: Targets,
    ) -> Result<impl Future<Output = Vec<Rewound>> + use<>, Error> {
        let partitions: Vec<_> = targets.keys().copied().collect();
        let (answer, rewound) = oneshot::channel();
        let command = Rewind { targets, answer };
        self.commands.try_send(command).map_err(|_| Error::Busy)?;
        Ok(async move {
            rewound.await.unwrap_or_else(|_| {
                let why = "the daemon is being stopped";
                Rewound::all(partitions, &Fate::Failed(why.to_owned()))
            })
        })
    }
}
