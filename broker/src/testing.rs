//! What the unit tests of several modules share.

use std::sync::Arc;

use tempfile::TempDir;

use crate::{Config, broker, shared::Shared};

/// A broker whose handlers can be called, but which serves no connections.
pub(crate) struct UnservedBroker {
    pub(crate) shared: Arc<Shared>,
}

/// Opens a broker on a folder of its own.
pub(crate) async fn broker() -> (TempDir, UnservedBroker) {
    let dir = tempfile::tempdir().expect("a folder");
    let config = Config {
        dir: dir.path().to_owned(),
        listen: ([127, 0, 0, 1], 0).into(),
        ..Config::default()
    };
    let (_, shared) = broker::open(&config)
        .await
        .expect("an empty folder can be opened");
    (dir, UnservedBroker { shared })
}
