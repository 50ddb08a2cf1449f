//! The example handlers with the earthquakes of the example data and the settings from the docs.

use eventos_testkit::{Broker, ReceivedRecord, Setup, read_topic, root, sismos};

use super::{Fixture, TIMESTAMP, refusal};
use crate::EVENTOS;

/// Has a daemon with one example before `store` handle all earthquakes.
fn run(example: &str, toml: &str) -> Fixture {
    Fixture::on(
        Setup::new(EVENTOS, Broker::Embedded, &[example, "store"], toml),
        &sismos(),
    )
}

/// Checks that exactly these texts are stored, in this order.
fn assert_stored(fixture: &Fixture, expected: &[String]) {
    let stored = fixture.daemon.messages("?limit=2000");
    assert_eq!(stored, format!("[{}]", expected.join(",")));
}

/// Returns the value of `mag`.
fn magnitude(sismo: &str) -> f64 {
    let (_, after) = sismo.split_once(r#""mag":"#).expect("a magnitude");
    let (digits, _) = after.split_once(',').expect("another member");
    digits.parse().expect("a number")
}

#[test]
fn filter_keeps_the_strong_earthquakes() {
    let config = r#"tipos = ["earthquake"], pointer = "/mag", op = ">=", value = 5.0"#;
    let fixture = run(
        "filter",
        &format!("[handler.filter]\nconfig = {{ {config} }}\n"),
    );
    let mut strong = sismos();
    strong.retain(|sismo| sismo.contains(r#""tipo":"earthquake""#) && magnitude(sismo) >= 5.0);
    assert_eq!(strong.len(), 39);
    assert_stored(&fixture, &strong);
}

#[test]
fn filter_drops_what_it_is_told_to() {
    let config = r#"action = "drop", pointer = "/net", op = "==", value = "ci""#;
    let fixture = run(
        "filter",
        &format!("[handler.filter]\nconfig = {{ {config} }}\n"),
    );
    let mut others = sismos();
    others.retain(|sismo| !sismo.contains(r#""net":"ci""#));
    assert_eq!(others.len(), 1_707 - 386);
    assert_stored(&fixture, &others);
}

#[test]
fn enrich_adds_members_and_keeps_every_letter() {
    let config = r#"members = { source = "usgs", level = 3, mag = 0 }, record = { partition = "partition", offset = "offset", at = "timestamp" }"#;
    let fixture = run(
        "enrich",
        &format!("[handler.enrich]\nconfig = {{ {config} }}\n"),
    );
    let enriched = |(sismo, i): (&String, i64)| {
        let members = sismo.strip_suffix('}').expect("an object");
        let at = TIMESTAMP + i;
        format!(r#"{members},"at":{at},"level":3,"offset":{i},"partition":0,"source":"usgs"}}"#)
    };
    let enriched: Vec<_> = sismos().iter().zip(0..).map(enriched).collect();
    assert_stored(&fixture, &enriched);
}

#[test]
fn route_copies_by_tipo_and_lets_the_rest_pass() {
    let produce = r#"produce = ["explosiones", "canteras"]"#;
    let topics = r#"{ explosion = "explosiones", "quarry blast" = "canteras" }"#;
    let config = format!(r#"config = {{ topics = {topics}, then = "drop" }}"#);
    let fixture = run("route", &format!("[handler.route]\n{produce}\n{config}\n"));
    let (others, blasts): (Vec<_>, Vec<_>) = sismos()
        .into_iter()
        .partition(|sismo| sismo.contains(r#""tipo":"earthquake""#));
    assert_stored(&fixture, &others);
    let mut copies = Vec::new();
    for (topic, count) in [("explosiones", 15), ("canteras", 13)] {
        let copied = read_topic(fixture.daemon.broker(), topic);
        assert_eq!(copied.len(), count, "{topic}");
        copies.extend(copied.into_iter().map(ReceivedRecord::from));
    }
    copies.sort_by_key(|copy| copy.timestamp);
    assert!(copies.iter().map(ReceivedRecord::text).eq(&blasts));
}

#[test]
fn route_copies_by_a_value_and_lets_the_copied_pass() {
    let config = r#"pointer = "/net", topics = { us = "mundo", se = "mundo" }"#;
    let toml = format!("[handler.route]\nproduce = [\"mundo\"]\nconfig = {{ {config} }}\n");
    let fixture = run("route", &toml);
    assert_stored(&fixture, &sismos());
    assert_eq!(read_topic(fixture.daemon.broker(), "mundo").len(), 168 + 1);
}

#[test]
fn route_needs_the_permission_to_produce() {
    let config = r#"topics = { explosion = "explosiones" }"#;
    let fixture = run(
        "route",
        &format!("[handler.route]\nconfig = {{ {config} }}\n"),
    );
    let letters = fixture.dead_letters();
    assert_eq!(letters.len(), 15);
    let message = letters[0].header("__connect.errors.exception.message");
    assert_eq!(
        message,
        "emit.send: the topic explosiones is not permitted; add it to handler.route.produce"
    );
}

#[test]
fn settings_that_do_not_fit_keep_a_handler_from_loading_and_say_what_to_do() {
    for (example, config, error) in [
        (
            "filter",
            r#"pointer = "mag""#,
            r#"`pointer`: "mag" is not a JSON pointer: it must begin with a slash, as in "/mag""#,
        ),
        (
            "filter",
            "",
            "no condition to filter by: set `tipos`, `pointer` or both",
        ),
        (
            "enrich",
            "members = { tipo = 1 }",
            r#"cannot add a member "tipo", which every Evento already has: choose another name"#,
        ),
        ("route", "topic = {}", "unknown field `topic`"),
    ] {
        let toml = format!("[handler.{example}]\nconfig = {{ {config} }}\n");
        let setup = Setup::new(EVENTOS, Broker::Embedded, &[example], &toml);
        let log = refusal(&setup);
        assert!(log.contains(error), "{log}");
        assert!(log.contains(&format!("00-{example}.wasm")), "{log}");
    }
}

#[test]
fn no_example_runs_unasked() {
    for example in ["enrich", "filter", "route"] {
        let dropped_in = root().join(format!("plugins/{example}.wasm"));
        assert!(!dropped_in.exists(), "{}", dropped_in.display());
    }
}
