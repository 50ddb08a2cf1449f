//! {{name}}: drops weak earthquakes, and passes strong ones and all other Eventos.
//!
//! `cargo doc --open -p eventos-sdk` documents what else a handler can do.

use eventos_sdk::{Evento, Outcome, config, handler, log};
use serde::Deserialize;

handler!(Settings::handle, state = config::typed);

/// The settings of the handler. With invalid settings, the handler does not start.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// The least magnitude of a strong earthquake.
    #[serde(default = "strong")]
    least: f64,
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
            Ok(Earthquake { mag: Some(mag) }) => {
                log::info!("magnitude {mag}");
                Outcome::Pass
            }
        }
    }
}

/// `cargo test` runs these natively, without WebAssembly.
#[cfg(test)]
mod tests {
    use super::*;
    use eventos_sdk::{Record, testing};

    fn outcome(value: &str) -> Outcome {
        let settings = Settings { least: 4.0 };
        let ran = testing::run(|evento| settings.handle(evento), [Record::new(value)]);
        ran.outcomes[0].clone()
    }

    #[test]
    fn weak_earthquakes_are_dropped_and_strong_ones_pass() {
        for (value, expected) in [
            (r#"{"id":1,"tipo":"earthquake","mag":3.9}"#, Outcome::Drop),
            (r#"{"id":2,"tipo":"earthquake","mag":4.0}"#, Outcome::Pass),
            (r#"{"id":3,"tipo":"explosion","mag":1.0}"#, Outcome::Pass),
        ] {
            assert_eq!(outcome(value), expected, "{value}");
        }
    }

    #[test]
    fn an_earthquake_without_magnitude_is_rejected() {
        let evento = r#"{"id":1,"tipo":"earthquake","mag":null}"#;
        assert_eq!(outcome(evento), Outcome::reject("the earthquake has no magnitude"));
    }
}
