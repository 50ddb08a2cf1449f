//! Copies Eventos to topics chosen by their tipo or by a value in them.
//!
//! ```toml
//! [handler.route]
//! produce = ["sismos", "explosiones"]
//! config = { topics = { earthquake = "sismos", explosion = "explosiones" } }
//! ```
//!
//! `topics` maps each tipo to a topic. With `pointer`, it maps the value at that JSON pointer instead: a string by its
//! text, any other value by its JSON. A copy has the key, value, headers and timestamp of its source. The source goes
//! on to the next handler, or is dropped with `then = "drop"`. Eventos without an entry in `topics` pass, and so do
//! tombstones.
//!
//! List every topic in `produce` too: a handler may emit only to the topics named there.

use std::{borrow::Cow, collections::BTreeMap};

use eventos_sdk::{Evento, Outcome, Pointer, config, emit, handler};
use serde::Deserialize;

handler!(Route::handle, state = Route::new);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Route {
    pointer: Option<Pointer>,
    #[serde(default)]
    topics: BTreeMap<String, String>,
    #[serde(default)]
    then: Then,
}

/// What happens to an Evento after it was copied.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Then {
    #[default]
    Pass,
    Drop,
}

impl Route {
    fn new() -> Result<Self, String> {
        let route: Self = config::typed()?;
        if route.topics.is_empty() {
            return Err(
                "`topics` is empty: map at least one tipo to a topic, as in { earthquake = \"sismos\" }"
                    .to_owned(),
            );
        }
        if let Some((value, _)) = route.topics.iter().find(|(_, topic)| topic.is_empty()) {
            return Err(format!("`topics`: the topic name for {value:?} is empty"));
        }
        Ok(route)
    }

    fn handle(&self, evento: &Evento) -> Outcome {
        let value = match &self.pointer {
            None => Some(Cow::Borrowed(evento.tipo())),
            Some(pointer) => evento.at(pointer).map(lookup_text),
        };
        let Some(topic) = value.and_then(|value| self.topics.get(&*value)) else {
            return Outcome::Pass;
        };
        emit::send(topic, evento, evento.to_record());
        match self.then {
            Then::Pass => Outcome::Pass,
            Then::Drop => Outcome::Drop,
        }
    }
}

/// Returns the text of a JSON string, without quotes and escapes, and any other JSON as it is.
fn lookup_text(json: &str) -> Cow<'_, str> {
    let string = json.starts_with('"').then(|| serde_json::from_str(json));
    match string {
        Some(Ok(string)) => Cow::Owned(string),
        _ => Cow::Borrowed(json),
    }
}

#[cfg(test)]
mod tests {
    use eventos_sdk::{
        Outcome, Record,
        testing::{self, Emitted},
    };

    use super::Route;

    fn route(settings: &[(&str, &str)]) -> Result<Route, String> {
        for (key, value) in settings {
            testing::set(*key, *value);
        }
        Route::new()
    }

    fn evento(tipo: &str, value: &str) -> Record {
        Record::new(format!(r#"{{"id":1,"tipo":"{tipo}","v":{value}}}"#)).header("h", "v")
    }

    fn emitted(topic: &str, cause: usize, record: Record) -> Emitted {
        let topic = topic.to_owned();
        Emitted {
            topic,
            cause,
            record,
        }
    }

    #[test]
    fn a_tipo_has_its_topic_and_the_rest_passes() {
        let route = route(&[("topics", r#"{"a":"as","b":"bs"}"#)]).expect("the settings fit");
        let records = [evento("a", "1"), evento("c", "1"), evento("b", "1")];
        let tombstone = Record::tombstone("k");
        let run = testing::run(
            |evento| route.handle(evento),
            records.into_iter().chain([tombstone]),
        );
        assert_eq!(run.outcomes, [const { Outcome::Pass }; 4]);
        let expected = [
            emitted("as", 0, evento("a", "1")),
            emitted("bs", 2, evento("b", "1")),
        ];
        assert_eq!(run.emitted, expected);
    }

    #[test]
    fn a_value_has_its_topic_and_what_is_copied_can_be_dropped() {
        let route = route(&[
            ("pointer", "/v"),
            ("topics", r#"{"uw":"t","1":"t","null":"t"}"#),
            ("then", "drop"),
        ])
        .expect("the settings fit");
        let values = [
            r#""uw""#,
            r#""\u0075w""#,
            "1",
            r#""1""#,
            "null",
            "1.0",
            "[]",
        ];
        let records = values.map(|value| evento("a", value));
        let run = testing::run(|evento| route.handle(evento), records);
        let causes: Vec<usize> = run.emitted.iter().map(|emitted| emitted.cause).collect();
        assert_eq!(causes, [0, 1, 2, 3, 4]);
        let dropped = |i| if i < 5 { Outcome::Drop } else { Outcome::Pass };
        assert!(run.outcomes.into_iter().eq((0..7).map(dropped)));
    }

    #[test]
    fn settings_without_a_topic_are_refused() {
        let error = |settings: &[(&str, &str)]| route(settings).err().expect("refused");
        assert_eq!(
            error(&[]),
            "`topics` is empty: map at least one tipo to a topic, as in { earthquake = \"sismos\" }"
        );
        assert_eq!(
            error(&[("topics", r#"{"a":""}"#)]),
            "`topics`: the topic name for \"a\" is empty"
        );
        assert_eq!(
            error(&[("topics", "sismos")]),
            "invalid settings: `topics`: invalid type: string \"sismos\", expected a map"
        );
    }
}
