//! What handlers can do, and what happens when they misbehave. The handler `probe` does with each Evento what its `tipo` says.

mod budget;
mod caching;
mod chain;
mod compiling;
mod crooked;
mod effects;
mod examples;
mod failures;
mod flat_memory;
mod folder;
mod languages;
mod limits;
mod messaging;
mod mistakes;
mod randomness;
mod remembering;
mod retrying;
mod sandbox;
mod seeing;
mod signing;
mod skipping;
mod start;
mod stopping;
mod swapping;
mod telling;
mod wasi;

use eventos_testkit::{Broker, Daemon, ReceivedRecord, Setup, eventually, produce};
use rdkafka::producer::BaseRecord;
use serde_json::Value;

use crate::EVENTOS;

/// Timestamp of the first Evento. Each Evento is one millisecond later than the one before.
const TIMESTAMP: i64 = 1_700_000_000_000;

fn evento(id: impl std::fmt::Display, tipo: &str) -> String {
    format!(r#"{{"id":"{id}","tipo":"{tipo}"}}"#)
}

/// Makes three Eventos. The second has this tipo and the id `it`.
fn in_the_middle(tipo: &str) -> [String; 3] {
    [
        evento("before", "good"),
        evento("it", tipo),
        evento("after", "good"),
    ]
}

/// Prepares a daemon with the handlers `probe` and `store`, and these settings of `probe`.
fn probe_setup(probe: &str) -> Setup {
    let toml = format!("[handler.probe]\n{probe}\n");
    Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], &toml)
}

/// Starts a daemon for the first time, of which one handler cannot be loaded, so that it is not ready. Returns the error of
/// the handler.
fn refusal(setup: &Setup) -> String {
    let daemon = setup.start_listening();
    let error = eventually("a handler to be refused", || {
        let handlers = daemon.get("/handlers").json();
        let handlers = handlers.as_array().expect("an array");
        let refused = handlers.iter().find(|one| one["state"] == "refused")?;
        refused["error"].as_str().map(str::to_owned)
    });
    eventually("the daemon to be unready for it", || {
        let detail = daemon.get("/readyz").problem(503, "not-ready");
        detail.contains(&error).then_some(())
    });
    error
}

/// Produces Eventos to a partition.
fn send_to(setup: &Setup, daemon: &Daemon, partition: i32, eventos: &[String]) {
    let topic = setup.topic();
    let records = eventos.iter().map(|evento| {
        BaseRecord::<[u8], [u8]>::to(&topic)
            .partition(partition)
            .payload(evento.as_bytes())
    });
    produce(daemon.broker(), records.collect::<Vec<_>>());
}

/// A daemon that has handled all records that were produced to it.
struct Fixture {
    setup: Setup,
    daemon: Daemon,
}

impl Fixture {
    /// Starts a daemon with the handlers `probe` and `store` and this configuration, on the built-in broker, and has it handle the
    /// Eventos.
    fn new(toml: &str, eventos: &[String]) -> Self {
        let setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], toml);
        Self::on(setup, eventos)
    }

    /// Starts a daemon, produces the Eventos to partition 0, all at once, and waits until they are handled.
    fn on(setup: Setup, eventos: &[String]) -> Self {
        let daemon = setup.start();
        let topic = setup.topic();
        let records = eventos.iter().zip(TIMESTAMP..).map(|(evento, at)| {
            let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
            record.timestamp(at).payload(evento.as_bytes())
        });
        produce(daemon.broker(), records);
        daemon.wait_for_consumed(u32::try_from(eventos.len()).expect("a count"));
        Self { setup, daemon }
    }

    /// Returns the ids of the stored Eventos, in order.
    fn stored(&self) -> Vec<String> {
        let stored: Vec<Value> =
            serde_json::from_str(&self.daemon.messages("?limit=1000")).expect("JSON");
        let id = |evento: &Value| evento["id"].as_str().expect("a text").to_owned();
        stored.iter().map(id).collect()
    }

    fn dead_letters(&self) -> Vec<ReceivedRecord> {
        self.setup.read_dead_letters(&self.daemon)
    }

    /// Returns the dead letter, of which there must be exactly one.
    fn dead_letter(&self) -> ReceivedRecord {
        let [letter] = <[_; 1]>::try_from(self.dead_letters()).expect("one dead letter");
        letter
    }

    /// Returns a metric of the handler `probe` with one more label, or 0 if it is not there yet.
    fn metric(&self, name: &str, label: &str, value: &str) -> f64 {
        let line = format!(r#"{name}{{handler="probe",{label}="{value}"}}"#);
        self.daemon.metric(&line).unwrap_or_default()
    }

    /// Returns how often the handler has failed in this way.
    fn errors(&self, kind: &str) -> f64 {
        self.metric("eventos_handler_errors_total", "kind", kind)
    }

    /// Returns how many records have had this outcome.
    fn outcomes(&self, outcome: &str) -> f64 {
        self.metric("eventos_handler_events_total", "outcome", outcome)
    }
}

/// Checks the reason in a dead letter of the handler `probe`.
fn assert_reason(letter: &ReceivedRecord, class: &str, message: &str, attempts: &str) {
    assert_eq!(letter.header("__connect.errors.stage"), "handle");
    let reason = ["class.name", "message"]
        .map(|name| letter.header(&format!("__connect.errors.exception.{name}")));
    assert_eq!(reason, [class, message]);
    assert_eq!(letter.header("eventos.handler"), "probe");
    assert_eq!(letter.header("eventos.attempts"), attempts);
}
