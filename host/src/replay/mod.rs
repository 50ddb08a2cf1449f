//! Rewinding the group: what was handled is handled again. Whoever asks gets a plan from the broker; each partition is
//! then rewound by the pipeline that has it, between two of its batches. It knows Kafka by its module, and no HTTP.

mod start;
mod told;

use tokio::sync::{mpsc, oneshot};

pub use start::{NotAStart, Start};
pub use told::{Answer, Told};

use crate::{
    event::{Offset, Partition},
    kafka::{self, Progress},
};

/// So many commands wait for the pipeline at most; more are refused.
const WAITING: usize = 4;

/// For the pipeline: partitions to rewind, each to an offset.
pub struct Rewind {
    /// Which, and where to.
    pub targets: Vec<(Partition, Offset)>,
    /// Takes what became of each.
    pub answer: oneshot::Sender<Vec<Rewound>>,
}

/// The pipeline's end.
pub type Commands = mpsc::Receiver<Rewind>;

/// What became of a partition.
#[derive(Clone, Debug)]
pub struct Rewound {
    /// Which.
    pub partition: Partition,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a partition, or would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It stood at the first, and stands at the second: that is handled next.
    Rewound(Offset, Offset),
    /// It would be.
    WouldBeRewound(Offset, Offset),
    /// It stands there, and nothing before that was asked for.
    Unchanged(Offset),
    /// This instance does not have it.
    Elsewhere,
    /// It stands where it stood, for this reason.
    Failed(String),
}

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
    kafka: kafka::Config,
    servers: String,
    commands: mpsc::Sender<Rewind>,
}

impl Replays {
    /// For the group of this configuration, and the end that its pipeline takes.
    #[must_use]
    pub fn new(kafka: kafka::Config, servers: String) -> (Self, Commands) {
        let (commands, received) = mpsc::channel(WAITING);
        let replays = Self {
            kafka,
            servers,
            commands,
        };
        (replays, received)
    }

    /// Rewinds every partition, or one, to `start`; never past where it stands. A dry run only tells what would
    /// become of each, whoever has it.
    ///
    /// # Errors
    /// [`Error`]; nothing was rewound then.
    pub async fn replay(
        &self,
        start: Start,
        only: Option<Partition>,
        dry_run: bool,
    ) -> Result<Vec<Rewound>, Error> {
        let mut plan = self.plan(start).await?;
        if let Some(only) = only {
            plan.retain(|(progress, _)| progress.partition == only);
            if plan.is_empty() {
                return Err(Error::NoPartition(only));
            }
        }
        if dry_run {
            let would = plan.into_iter().map(|(progress, to)| Rewound {
                partition: progress.partition,
                fate: match to < progress.next {
                    true => Fate::WouldBeRewound(progress.next, to),
                    false => Fate::Unchanged(progress.next),
                },
            });
            return Ok(would.collect());
        }
        let targets = plan.iter().map(|(progress, to)| (progress.partition, *to));
        let (answer, rewound) = oneshot::channel();
        let command = Rewind {
            targets: targets.collect(),
            answer,
        };
        self.commands.try_send(command).map_err(|_| Error::Busy)?;
        rewound.await.map_err(|_| Error::Busy)
    }

    /// Where each partition stands, and where it is to begin again.
    async fn plan(&self, start: Start) -> Result<Vec<(Progress, Offset)>, kafka::Error> {
        let (config, servers) = (self.kafka.clone(), self.servers.clone());
        let plan = tokio::task::spawn_blocking(move || {
            let at = match start {
                Start::Time(at) => Some(at),
                Start::Earliest | Start::Offset(_) => None,
            };
            let progress = kafka::progress(&config, &servers, at)?;
            let with_target = |progress: Progress| {
                let to = start.in_partition(&progress);
                (progress, to)
            };
            Ok(progress.into_iter().map(with_target).collect())
        });
        plan.await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}
