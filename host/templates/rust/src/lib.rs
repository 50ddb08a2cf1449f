//! {{name}}: drops weak earthquakes, marks strong ones and emits them to a topic, and passes all other Eventos.
//!
//! `cargo doc --open -p eventos-sdk` documents what else a handler can do.

use eventos_sdk::{Evento, Outcome, Pointer, Record, config, emit, handler, log};
use serde::Deserialize;

handler!(Settings::handle, state = config::typed);

/// The settings of the handler. With invalid settings, the handler does not start.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The least magnitude of a strong earthquake.
    #[serde(default = "strong")]
    least: f64,
    /// The topic to emit strong earthquakes to.
    alerts: Option<String>,
}

fn strong() -> f64 {
    5.0
}

/// The members of an earthquake that the handler reads.
#[derive(Deserialize)]
struct Earthquake {
    mag: Option<f64>,
}

impl Settings {
    fn handle(&self, evento: &Evento) -> Outcome {
        if evento.is_tombstone() || evento.tipo() != "earthquake" {
            return Outcome::Pass;
        }
        match evento.json() {
            Err(error) => Outcome::reject(error.to_string()),
            Ok(Earthquake { mag: None }) => Outcome::reject("the earthquake has no magnitude"),
            Ok(Earthquake { mag: Some(mag) }) if mag < self.least => Outcome::Drop,
            Ok(Earthquake { mag: Some(mag) }) => self.mark(evento, mag),
        }
    }

    fn mark(&self, evento: &Evento, mag: f64) -> Outcome {
        log::info!("strong earthquake {} of magnitude {mag}", evento.id());
        if let Some(topic) = &self.alerts {
            // The topic has to be in the handler's setting `produce` as well.
            let alert = Record::new(evento.value().unwrap_or_default()).key(evento.id());
            emit::send(topic, evento, alert.header("mag", mag.to_string()));
        }
        // Sets one member, and leaves all others as they are, byte for byte.
        let level: Pointer = "/level".parse().expect("a pointer");
        match evento.set_at(&level, r#""strong""#) {
            Ok(value) => Outcome::replace([evento.to_record().value(value).header("marked-by", "{{handler}}")]),
            Err(error) => Outcome::reject(error),
        }
    }
}

/// `cargo test` runs these natively, without WebAssembly.
#[cfg(test)]
mod tests {
    use super::*;
    use eventos_sdk::testing::{self, Ran};

    fn run(value: &str) -> Ran {
        let settings = Settings { least: 4.0, alerts: Some("alerts".to_owned()) };
        testing::run(|evento| settings.handle(evento), [Record::new(value).key("k")])
    }

    #[test]
    fn weak_earthquakes_are_dropped_and_other_eventos_pass() {
        for (value, expected) in [
            (r#"{"id":1,"tipo":"earthquake","mag":3.9}"#, Outcome::Drop),
            (r#"{"id":3,"tipo":"explosion","mag":1.0}"#, Outcome::Pass),
        ] {
            assert_eq!(run(value).outcomes, [expected], "{value}");
        }
    }

    #[test]
    fn strong_earthquakes_are_marked_and_emitted() {
        let ran = run(r#"{"id":1,"tipo":"earthquake","mag":4.0}"#);
        let marked = Record::new(r#"{"id":1,"tipo":"earthquake","mag":4.0,"level":"strong"}"#);
        let marked = marked.key("k").header("marked-by", "{{handler}}");
        assert_eq!(ran.outcomes, [Outcome::replace([marked])]);
        assert_eq!(ran.emitted[0].topic, "alerts");
        assert_eq!(ran.emitted[0].record.headers, [("mag".to_owned(), Some(b"4".to_vec()))]);
    }

    #[test]
    fn an_earthquake_without_magnitude_is_rejected() {
        let evento = r#"{"id":1,"tipo":"earthquake","mag":null}"#;
        let reason = "the earthquake has no magnitude";
        assert_eq!(run(evento).outcomes, [Outcome::reject(reason)]);
    }
}
