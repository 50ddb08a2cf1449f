//! What handlers may do and what they cost when they do what they should not, with the handler
//! `probe`: it treats an Evento as its `tipo` says.

mod caching;
mod chain;
mod crooked;
mod effects;
mod examples;
mod failures;
mod languages;
mod limits;
mod messaging;
mod seeing;
mod skipping;
mod start;
mod stopping;
mod swapping;
mod telling;
mod wasi;

use eventos_testkit::{Broker, Daemon, Received, Setup, produce};
use rdkafka::producer::BaseRecord;
use serde_json::Value;

use crate::EVENTOS;

/// When the first Evento was made; each is a millisecond younger than the one before.
const TIMESTAMP: i64 = 1_700_000_000_000;

fn evento(id: impl std::fmt::Display, tipo: &str) -> String {
    format!(r#"{{"id":"{id}","tipo":"{tipo}"}}"#)
}

/// Three Eventos, of which the second has this tipo.
fn in_the_middle(tipo: &str) -> [String; 3] {
    [
        evento("before", "good"),
        evento("it", tipo),
        evento("after", "good"),
    ]
}

/// A daemon that has handled everything that was produced to it.
struct Ran {
    setup: Setup,
    daemon: Daemon,
}

impl Ran {
    /// With `probe` and `store` on the broker inside.
    fn new(more: &str, eventos: &[String]) -> Self {
        let setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], more);
        Self::on(setup, eventos)
    }

    /// Produces to one partition, at once.
    fn on(setup: Setup, eventos: &[String]) -> Self {
        let daemon = setup.start();
        let topic = setup.topic();
        let records = eventos.iter().zip(TIMESTAMP..).map(|(evento, at)| {
            let record = BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
            record.timestamp(at).payload(evento.as_bytes())
        });
        produce(daemon.broker(), records);
        daemon.wait_for_consumed(u32::try_from(eventos.len()).expect("few"));
        Self { setup, daemon }
    }

    /// The ids of what is stored, in order.
    fn stored(&self) -> Vec<String> {
        let stored: Vec<Value> =
            serde_json::from_str(&self.daemon.messages("?limit=1000")).expect("JSON");
        let id = |evento: &Value| evento["id"].as_str().expect("a text").to_owned();
        stored.iter().map(id).collect()
    }

    fn dead_letters(&self) -> Vec<Received> {
        self.setup.read_dead_letters(&self.daemon)
    }

    /// The only one.
    fn dead_letter(&self) -> Received {
        let [letter] = <[_; 1]>::try_from(self.dead_letters()).expect("one dead letter");
        letter
    }

    /// A metric of the handler `probe` with one more label; 0 if it is not there yet.
    fn metric(&self, name: &str, label: &str, value: &str) -> f64 {
        let line = format!(r#"{name}{{handler="probe",{label}="{value}"}}"#);
        self.daemon.metric(&line).unwrap_or_default()
    }

    fn errors(&self, kind: &str) -> f64 {
        self.metric("eventos_handler_errors_total", "kind", kind)
    }

    fn answers(&self, outcome: &str) -> f64 {
        self.metric("eventos_handler_events_total", "outcome", outcome)
    }
}

/// What the host says about the failure of a handler.
fn assert_says(letter: &Received, class: &str, message: &str, attempts: &str) {
    assert_eq!(letter.header("__connect.errors.stage"), "handle");
    let said = ["class.name", "message"]
        .map(|name| letter.header(&format!("__connect.errors.exception.{name}")));
    assert_eq!(said, [class, message]);
    assert_eq!(letter.header("eventos.handler"), "probe");
    assert_eq!(letter.header("eventos.attempts"), attempts);
}
