//! `POST /send` at a fixed rate, and how long an acknowledged Evento takes to be visible.

use std::{
    process,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use eventos_testkit::measure::latencies::Latencies;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{connection::Connection, schedule::Schedule};

/// Connections that send. Each has one request in flight.
const SENDERS: usize = 64;

/// Connections that look for acknowledged Eventos.
const WATCHERS: usize = 16;

/// The Eventos of a second that are looked for, at most.
const LOOKED_FOR: u64 = 500;

/// Time after which an acknowledged Evento is lost.
const DEADLINE: Duration = Duration::from_secs(30);

/// An acknowledged Evento that is looked for.
struct Acknowledged {
    id: String,
    at: Instant,
}

/// Sends Eventos to a daemon. Returns the latencies to the acknowledgement and from there to the response that has the
/// Evento, and the number of Eventos in a second.
pub(super) async fn measure(address: &str, rate: u64, seconds: u64) -> (Latencies, Latencies, f64) {
    let mut watchers = Vec::new();
    let mut to_watchers = Vec::new();
    for connection in Connection::open_all(address, WATCHERS).await {
        let (to, from) = mpsc::unbounded_channel();
        to_watchers.push(to);
        watchers.push(tokio::spawn(watch(connection, from)));
    }
    let connections = Connection::open_all(address, SENDERS).await;
    let (schedule, prefix) = (Schedule::begin(rate, seconds), prefix());
    let (mut senders, mut to_senders) = (Vec::new(), Vec::new());
    for (i, connection) in connections.into_iter().enumerate() {
        let (to, from) = mpsc::unbounded_channel();
        to_senders.push(to);
        let sender = Sender {
            connection,
            schedule,
            prefix: prefix.clone(),
            watcher: to_watchers[i % WATCHERS].clone(),
        };
        senders.push(tokio::spawn(sender.send_all(from)));
    }
    drop(to_watchers);
    let clock = thread::spawn(move || {
        schedule.run(|i| {
            let to = &to_senders[i as usize % SENDERS];
            to.send(i).expect("the sender has not failed");
        });
    });
    let sent = sum(senders).await;
    let elapsed = schedule.start.elapsed();
    clock.join().expect("no panic");
    let seen = sum(watchers).await;
    (sent, seen, schedule.count() as f64 / elapsed.as_secs_f64())
}

/// Sends what is due on one connection.
struct Sender {
    connection: Connection,
    schedule: Schedule,
    prefix: String,
    watcher: mpsc::UnboundedSender<Acknowledged>,
}

impl Sender {
    async fn send_all(mut self, mut due: mpsc::UnboundedReceiver<u64>) -> Latencies {
        let every = (self.schedule.rate / LOOKED_FOR).max(1);
        let mut latencies = Latencies::default();
        while let Some(i) = due.recv().await {
            let id = format!("{}-{i}", self.prefix);
            self.connection.post("/send", evento(&id)).await;
            let at = Instant::now();
            latencies.record(at.saturating_duration_since(self.schedule.due(i)));
            // Counted for each connection, so that they all take part.
            if (i / SENDERS as u64).is_multiple_of(every) {
                let _ = self.watcher.send(Acknowledged { id, at });
            }
        }
        latencies
    }
}

/// Asks for each Evento until the response has it.
async fn watch(
    mut connection: Connection,
    mut acknowledged: mpsc::UnboundedReceiver<Acknowledged>,
) -> Latencies {
    let mut latencies = Latencies::default();
    while let Some(Acknowledged { id, at }) = acknowledged.recv().await {
        let path = format!("/messages/{id}");
        while connection.get(&path).await.status != 200 {
            assert!(
                at.elapsed() < DEADLINE,
                "{id} was acknowledged and does not appear"
            );
        }
        latencies.record(at.elapsed());
    }
    latencies
}

/// Returns the sum of what several tasks have measured.
async fn sum(tasks: Vec<JoinHandle<Latencies>>) -> Latencies {
    let mut all = Latencies::default();
    for task in tasks {
        all.add(&task.await.expect("no panic"));
    }
    all
}

/// Returns an Evento of 100 bytes, if its id is not too long.
pub(super) fn evento(id: &str) -> String {
    let width = 76_usize.saturating_sub(id.len());
    format!(r#"{{"id":"{id}","tipo":"sismo","p":"{:-<width$}"}}"#, "")
}

/// Returns the beginning of ids that no other round and no other run has.
pub(super) fn prefix() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}-{}", process::id(), NEXT.fetch_add(1, Relaxed))
}
