//! Tests of [`Config::examine`] with their own files and variables.

mod refused;

use std::{ffi::OsString, io::Write, path::Path};

use jiff::SignedDuration;

use super::{known::Known, *};
use crate::{kafka::AutoOffsetReset, plugin::OnError};

/// The project's own configuration file.
const OWN_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/eventos.toml");

fn examine(text: &str, variables: &[(&str, &str)]) -> ConfigReport {
    let mut file = tempfile::NamedTempFile::new().expect("a temporary file");
    file.write_all(text.as_bytes()).expect("room");
    let pairs = variables
        .iter()
        .map(|&(name, value)| (name.into(), value.into()));
    let mut examined = Config::examine(Some(file.path()), pairs.collect::<Vec<_>>());
    let name = file.path().display().to_string();
    for problem in &mut examined.problems {
        problem.place = problem.place.replace(&name, "file");
    }
    examined
}

fn good(text: &str, variables: &[(&str, &str)]) -> Config {
    let examined = examine(text, variables);
    assert_eq!(problems(&examined), [""; 0], "{text}");
    examined.config
}

fn problems(examined: &ConfigReport) -> Vec<String> {
    examined.problems.iter().map(ToString::to_string).collect()
}

fn bad(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    problems(&examine(text, variables))
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(good("", &[]), Config::default());
}

#[test]
fn the_projects_own_file_has_the_defaults() {
    let text = std::fs::read_to_string(OWN_FILE).expect("the project has one");
    assert_eq!(good(&text, &[]), Config::default());
}

#[test]
fn the_projects_own_file_names_every_key_and_its_examples_are_valid() {
    let text = std::fs::read_to_string(OWN_FILE).expect("the project has one");
    let example = |line: &str| match line.strip_prefix('#') {
        Some(code) if !code.starts_with(' ') => code.to_owned(),
        _ => line.to_owned(),
    };
    let uncommented: Vec<_> = text.lines().map(example).collect();
    let uncommented = uncommented.join("\n");
    let config = good(&uncommented, &[]);
    assert!(config.handler.contains_key("store") && !config.kafka.properties.is_empty());
    let file = File::parse("file".to_owned(), uncommented).expect("valid TOML");
    for key in Known::default().values() {
        let key = key.to_string().replace("NAME", "store");
        let there = file.place(&key::Key::parse(&key)).is_some();
        assert!(there, "{key} is not in config/eventos.toml");
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_default() {
    let text = "[kafka]\ntopic = 'from-file'\ngroup_id = 'from-file'\n";
    let config = good(text, &[("EVENTOS__KAFKA__GROUP_ID", "from-variable")]);
    assert_eq!(config.kafka.topic, "from-file");
    assert_eq!(config.kafka.group_id, "from-variable");
    assert_eq!(config.kafka.connect_retries, 10);
}

#[test]
fn variables_take_the_type_that_is_asked_for() {
    let config = good(
        "",
        &[
            ("EVENTOS__KAFKA__GROUP_ID", "42"),
            ("EVENTOS__KAFKA__TOPIC", "true"),
            ("EVENTOS__KAFKA__CONNECT_RETRIES", "7"),
            ("EVENTOS__KAFKA__CONNECT_RETRY_DELAY", "250ms"),
            ("EVENTOS__KAFKA__AUTO_OFFSET_RESET", "latest"),
            ("EVENTOS__STORE__MAX_EVENTS", "2_000"),
            ("EVENTOS__STORE__MAX_BYTES", "1048576"),
            ("EVENTOS__HANDLERS__DEFAULTS__MEMORY", "2MiB"),
            ("eventos__http__listen", "127.0.0.2:80"),
            ("EVENTOS__HANDLER__ROUTE__RETRIES", "0"),
            ("EVENTOS__HANDLER__ROUTE__PRODUCE", "a, b"),
            ("EVENTOS__HANDLER__COPY__PRODUCE", "['42']"),
            ("EVENTOS__HANDLER__ONE__PRODUCE", "42"),
            ("EVENTOS__HANDLER__NONE__PRODUCE", ""),
            ("EVENTOS__HANDLER__ROUTE__CONFIG__LIMIT", "5"),
            ("EVENTOS_PORT", "tcp://10.0.0.1:80"),
            ("OTHER__KAFKA__TOPIC", "x"),
        ],
    );
    assert_eq!(
        (&*config.kafka.group_id, &*config.kafka.topic),
        ("42", "true")
    );
    assert_eq!(config.kafka.connect_retries, 7);
    assert_eq!(
        config.kafka.connect_retry_delay,
        SignedDuration::from_millis(250)
    );
    assert_eq!(config.kafka.auto_offset_reset, AutoOffsetReset::Latest);
    assert_eq!(
        (config.store.max_events, config.store.max_bytes.as_u64()),
        (2_000, 1 << 20)
    );
    assert_eq!(config.handlers.defaults.memory.as_u64(), 2 << 20);
    assert_eq!(config.http.listen.port(), 80);
    assert_eq!(config.handler["route"].retries, Some(0));
    assert_eq!(config.handler["route"].produce, ["a", "b"]);
    assert_eq!(config.handler["route"].config["limit"], "5");
    assert_eq!(config.handler["copy"].produce, ["42"]);
    assert_eq!(config.handler["one"].produce, ["42"]);
    assert!(config.handler["none"].produce.is_empty());
}

#[test]
fn names_of_the_users_own_keep_their_spelling() {
    let text = "[handler.My-Route]\nconfig = { dueDate = 'MaÑana', 'a.b' = 1 }\n";
    let config = good(text, &[("EVENTOS__HANDLER__MY_ROUTE__ON_ERROR", "skip")]);
    let route = &config.handler["My-Route"];
    assert_eq!(route.on_error, Some(OnError::Skip));
    assert_eq!(route.config["dueDate"], "MaÑana");
    assert_eq!(route.config["a.b"], 1);
    assert_eq!(config.handler.len(), 1);
}

#[test]
fn property_names_keep_their_dots_and_values_become_text() {
    let text = "[kafka.properties]\n'security.protocol' = 'SASL_SSL'\n'socket.timeout.ms' = 5000\n\
                'log.connection.close' = false\nsasl.username = 'Ana'\n";
    let variables = [
        ("EVENTOS__KAFKA__PROPERTIES__SASL__PASSWORD", "007"),
        ("EVENTOS__KAFKA__PROPERTIES__client.rack", "1"),
        ("EVENTOS__KAFKA__PROPERTIES__SSL_KEY", "k"),
        ("EVENTOS__KAFKA__PROPERTIES__SOCKET__TIMEOUT__MS", "6000"),
    ];
    let examined = examine(text, &variables);
    let set = |(name, value): (&String, &String)| format!("{name}={value}");
    let properties: Vec<_> = examined.config.kafka.properties.iter().map(set).collect();
    assert_eq!(
        properties,
        [
            "client.rack=1",
            "log.connection.close=false",
            "sasl.password=007",
            "sasl.username=Ana",
            "security.protocol=SASL_SSL",
            "socket.timeout.ms=6000",
            "ssl_key=k",
        ]
    );
}
