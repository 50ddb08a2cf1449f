//! The dead-letter topic, looked into and sent through again. It reads the topic as no member of any group, a page at a
//! time, and knows no HTTP.

mod letter_view;
mod page;
mod redrive;
mod selection;

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub use letter_view::{Past, Shown};
pub use page::Page;
pub use redrive::{Account, Answer, Fate, Status, Told};
pub use selection::{Choice, Cursor, Filter, NotPositions, Position, Positions, Which};

use crate::kafka::{self, Cluster, Producer};

/// So many read at once; others wait. Each has a client of its own.
const READERS: usize = 2;

/// The dead letters of a daemon. Cheap to clone.
#[derive(Clone)]
pub struct DeadLetters(Arc<Inner>);

struct Inner {
    cluster: Cluster,
    /// The topic that they are in.
    topic: String,
    producer: Producer,
    readers: Arc<Semaphore>,
}

impl DeadLetters {
    /// Those in `topic`. They are sent through again to the topic of Eventos, by this producer.
    #[must_use]
    pub fn new(cluster: Cluster, topic: String, producer: Producer) -> Self {
        let readers = Arc::new(Semaphore::new(READERS));
        Self(Arc::new(Inner {
            cluster,
            topic,
            producer,
            readers,
        }))
    }

    /// Reads the letters that were chosen: as many as a page takes, of those that are there now. To drop the
    /// future ends the reading.
    ///
    /// # Errors
    /// [`kafka::Error`], if the broker does not give them.
    pub async fn page(&self, choice: Choice) -> Result<Page, kafka::Error> {
        let permit = Arc::clone(&self.0.readers).acquire_owned().await;
        let inner = Arc::clone(&self.0);
        let gone = CancellationToken::new();
        let _guard = gone.clone().drop_guard();
        let read = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            Page::read(&inner, &choice, &gone)
        });
        read.await
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
    }
}
