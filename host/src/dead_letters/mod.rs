//! Dead letters: listed from the dead-letter topic, and redriven, a page at a time.
//!
//! The topic is read without joining a consumer group. This module knows nothing of HTTP.

mod letter_view;
mod page;
mod redrive;
mod selection;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use letter_view::{LetterView, PastFailure};
pub use page::LetterPage;
pub use redrive::{LetterReport, RedriveOutcome, RedriveReport};
pub use selection::{
    InvalidPositions, LetterCursor, LetterFilter, LetterQuery, LetterSelection, RecordPosition,
    RecordPositions,
};

use crate::kafka::{self, Cluster, ProduceError, Producer, blocking};

/// Number of pages that are read at the same time, each by a client of its own. Further requests wait.
const MAX_READERS: usize = 2;

/// The dead letters of a daemon. Cheap to clone.
#[derive(Clone)]
pub struct DeadLetters {
    cluster: Cluster,
    topic: Arc<str>,
    producer: Producer,
    readers: Arc<Semaphore>,
}

impl DeadLetters {
    /// Returns the dead letters in `topic`. They are redriven with `producer`, to the topic of Eventos.
    #[must_use]
    pub fn new(cluster: Cluster, topic: &str, producer: Producer) -> Self {
        Self {
            cluster,
            topic: topic.into(),
            producer,
            readers: Arc::new(Semaphore::new(MAX_READERS)),
        }
    }

    /// Reads a page of the selected letters. Dropping the future stops the reading.
    ///
    /// # Errors
    /// [`kafka::Error`], if the topic cannot be read.
    pub async fn page(&self, query: LetterQuery) -> Result<LetterPage, kafka::Error> {
        let permit = Arc::clone(&self.readers).acquire_owned().await;
        let (cluster, topic) = (self.cluster.clone(), Arc::clone(&self.topic));
        let cancelled = CancellationToken::new();
        let _guard = cancelled.clone().drop_guard();
        blocking(move || {
            let _permit = permit;
            LetterPage::read(&cluster, &topic, &query, &cancelled)
        })
        .await
    }

    /// Redrives a page of the selected letters, and waits for the acknowledgements. A dry run produces nothing.
    ///
    /// # Errors
    /// [`kafka::Error`], if the letters cannot be read, and nothing was produced.
    pub async fn redrive(
        &self,
        query: LetterQuery,
        dry_run: bool,
    ) -> Result<RedriveReport<LetterReport<ProduceError>>, kafka::Error> {
        let page = self.page(query.clone()).await?;
        let letters = redrive::redrive(&self.producer, &query, &page, dry_run).await;
        Ok(RedriveReport::new(dry_run, letters, &page))
    }
}
