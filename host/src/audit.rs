//! The audit trail: who changed something through the HTTP API, when, from where, and with which result. Each change is
//! logged, and produced to the topic `{group_id}-audit`.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde::Serialize;
use tokio::{
    sync::mpsc,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    kafka::{Cluster, TopicWriter},
    telemetry::in_one_line,
};

/// How many entries wait for the broker. Further ones are in the log only.
const QUEUE: usize = 1_000;

/// The pause before an entry that was not acknowledged is produced again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// The connection to the broker is closed after this long without an entry, since changes are rare.
const IDLE: Duration = Duration::from_secs(10);

/// Interval at which a continuing failure is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// A change that a client requested. It is one JSON object in the topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditEntry {
    /// When the request arrived (RFC 3339).
    pub time: String,
    /// The address of the client: that of a proxy if there is one before the daemon.
    pub client: Option<SocketAddr>,
    /// The name of the key, if requests need a key.
    pub key: Option<String>,
    /// The method of the request.
    pub method: String,
    /// The path of the request.
    pub path: String,
    /// The query of the request.
    pub query: Option<String>,
    /// The status of the response; `None` if the client went away before.
    pub status: Option<u16>,
}

/// Takes entries. Cheap to clone; all clones lead to the same topic.
#[derive(Clone)]
pub struct AuditLog(mpsc::Sender<AuditEntry>);

/// Produces the entries to the topic.
pub struct AuditWriter {
    entries: mpsc::Receiver<AuditEntry>,
    writer: TopicWriter,
    group: String,
    last_warning: Option<Instant>,
}

impl AuditLog {
    /// Returns a log for the audit topic of this daemon's group, and its writer.
    #[must_use]
    pub fn new(cluster: &Cluster) -> (Self, AuditWriter) {
        let (sender, entries) = mpsc::channel(QUEUE);
        let group = cluster.config().group_id.clone();
        let writer = AuditWriter {
            entries,
            writer: TopicWriter::new(cluster, format!("{group}-audit")),
            group,
            last_warning: None,
        };
        (Self(sender), writer)
    }

    /// Logs an entry, and has it produced in the background.
    pub fn record(&self, entry: AuditEntry) {
        let AuditEntry {
            client,
            key,
            method,
            path,
            query,
            status,
            ..
        } = &entry;
        let client = client.map(tracing::field::display);
        tracing::info!(client, key, method, path, query, status, "administration");
        if self.0.try_send(entry).is_err() {
            tracing::warn!(
                "too many entries of the audit trail wait for the broker; the last one is in the log only"
            );
        }
    }
}

impl AuditWriter {
    /// Produces entries until `stop` is cancelled, and then, once each, those that still wait.
    pub async fn run(mut self, stop: CancellationToken) {
        loop {
            let patience = match self.writer.is_open() {
                true => IDLE,
                false => Duration::MAX,
            };
            let next = timeout(patience, self.entries.recv());
            let entry = match stop.run_until_cancelled(next).await {
                Some(Ok(Some(entry))) => entry,
                Some(Err(_)) => {
                    self.writer.close();
                    continue;
                }
                Some(Ok(None)) | None => break,
            };
            // A record that is on its way is waited for, or it would be there twice.
            while !self.write(&entry).await {
                let pause = stop.run_until_cancelled(sleep(RETRY_PAUSE));
                if pause.await.is_none() {
                    break;
                }
            }
        }
        self.entries.close();
        while let Some(entry) = self.entries.recv().await {
            if !self.write(&entry).await {
                return;
            }
        }
    }

    /// Produces an entry. Returns whether it was acknowledged.
    async fn write(&mut self, entry: &AuditEntry) -> bool {
        let json = serde_json::to_string(entry).expect("an entry has a JSON form");
        // With the same key, all entries are in one partition, in their order.
        let Err(error) = self.writer.append(&self.group, &json).await else {
            return true;
        };
        let is_due = |last: Instant| last.elapsed() >= LOG_INTERVAL;
        if self.last_warning.is_none_or(is_due) {
            self.last_warning = Some(Instant::now());
            let (topic, error) = (self.writer.topic(), in_one_line(&error));
            tracing::warn!(
                topic,
                error,
                "cannot write the audit trail; trying again, meanwhile it is in the log"
            );
        }
        false
    }
}
