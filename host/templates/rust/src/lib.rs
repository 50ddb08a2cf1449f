//! {{name}}: lets strong earthquakes and whatever is none through, and drops the weak ones.
//!
//! `cargo doc --open -p eventos-sdk` says what else a handler can do.

use eventos_sdk::{Evento, Outcome, config, handler, log};
use serde::Deserialize;

handler!(Settings::handle, state = config::typed);

/// The handler's own settings; what does not fit refuses the handler.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// From which magnitude on an earthquake is strong.
    #[serde(default = "strong")]
    least: f64,
}

fn strong() -> f64 {
    5.0
}

/// What is read of an earthquake.
#[derive(Deserialize)]
struct Sismo {
    mag: Option<f64>,
}

impl Settings {
    fn handle(&self, evento: &Evento) -> Outcome {
        if evento.is_tombstone() || evento.tipo() != "earthquake" {
            return Outcome::Pass;
        }
        match evento.json() {
            Err(error) => Outcome::reject(error.to_string()),
            Ok(Sismo { mag: None }) => Outcome::reject("it has no magnitude"),
            Ok(Sismo { mag: Some(mag) }) if mag < self.least => Outcome::Drop,
            Ok(Sismo { mag: Some(mag) }) => {
                log::info!("magnitude {mag}");
                Outcome::Pass
            }
        }
    }
}

/// Without WebAssembly: `cargo test`.
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
        assert_eq!(outcome(evento), Outcome::reject("it has no magnitude"));
    }
}
