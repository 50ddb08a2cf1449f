//! Through [`Config::examine`], with files and variables of their own.

use std::{ffi::OsString, io::Write, path::Path};

use jiff::SignedDuration;

use super::{known::Known, *};
use crate::{kafka::AutoOffsetReset, plugin::OnError};

/// The file that the project carries.
const OWN_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../config/eventos.toml");

fn examine(text: &str, variables: &[(&str, &str)]) -> Examined {
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

fn problems(examined: &Examined) -> Vec<String> {
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
            ("eventos__http__listen", "0.0.0.0:80"),
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

#[test]
fn every_problem_is_told_at_once_with_its_line() {
    let text = "\
[kafka]
grup_id = 'x'
connect_retries = 'ten'

[http]
listen = 'localhost:8080'
[stroe]
max_events = 1
[handler.route]
produce = ['ok', 'not ok']
timeout = '0s'
on_error = 'explode'
";
    let variables = [
        ("EVENTOS__KAFKA__GRUP_ID", "x"),
        ("EVENTOS__STORE__MAX_EVENTS", "-5"),
        ("EVENTOS__EMBEDDED__PARTITION", "x"),
    ];
    assert_eq!(
        bad(text, &variables),
        [
            r#"file:3: kafka.connect_retries = "ten": expected a whole number from 0 to 4294967295"#,
            r#"file:6: http.listen = "localhost:8080": expected an address and port such as "127.0.0.1:8080""#,
            "file:7: unknown key stroe; did you mean store?",
            r#"file:10: handler.route.produce[1] = "not ok": expected only a-z, A-Z, 0-9, '.', '_' and '-'"#,
            r#"file:11: handler.route.timeout = "0s": expected more than 0"#,
            r#"file:12: handler.route.on_error = "explode": expected one of `dead_letter`, `retry`, `skip`, `stop`"#,
            "EVENTOS__EMBEDDED__PARTITION: unknown key embedded.partition; did you mean embedded.partitions?",
            "EVENTOS__KAFKA__GRUP_ID: unknown key kafka.grup_id; did you mean kafka.group_id?",
            r#"EVENTOS__STORE__MAX_EVENTS: store.max_events = "-5": expected a whole number from 0"#,
        ]
    );
}

#[test]
fn the_nearest_known_key_is_named() {
    for (text, nearest) in [
        ("kafak = { topic = 'x' }", "kafka"),
        ("topic = 'x'", "kafka.topic"),
        ("kafka.partitions = 4", "embedded.partitions"),
        ("kafka.bootstrap_server = 'x:1'", "kafka.bootstrap_servers"),
        ("handlers.store = { memory = '1MiB' }", "handler.store"),
        ("handlers.timeout = '1s'", "handlers.defaults.timeout"),
        ("handler.route.confg = { a = 1 }", "handler.route.config"),
        ("handler.route.time_out = '1s'", "handler.route.timeout"),
    ] {
        let found = bad(text, &[]);
        let asks = format!("; did you mean {nearest}?");
        assert!(
            matches!(&found[..], [one] if one.ends_with(&asks)),
            "{text}: {found:?}"
        );
    }
}

#[test]
fn a_key_like_no_other_is_told_what_its_table_has() {
    for (text, why) in [
        (
            "store.quota = true",
            "store.quota; [store] has max_bytes, max_events, restore",
        ),
        (
            "zzz = 1",
            "zzz; the tables are delivery, embedded, handler, handlers, http, kafka, output, store, telemetry",
        ),
        (
            "handler.a.xyz = 1",
            "handler.a.xyz; [handler.a] has config, max_failures, memory, on_error, output, produce, retries, stack, timeout",
        ),
    ] {
        assert_eq!(bad(text, &[]), [format!("file:1: unknown key {why}")]);
    }
}

#[test]
fn bad_values_are_refused() {
    let long = format!("kafka.topic = '{}'", "a".repeat(250));
    for (text, why) in [
        ("kafka = 1", "expected a table"),
        ("kafka.topic = 5", "expected a string"),
        ("kafka.topic = ''", "name of a topic"),
        ("kafka.topic = '..'", "not only dots"),
        ("kafka.topic = 'a b'", "expected only"),
        (&long, "at most 249"),
        ("kafka.group_id = ''", "consumer group"),
        ("kafka.bootstrap_servers = ''", "host:port"),
        ("kafka.bootstrap_servers = 'kafka'", "host:port"),
        ("kafka.bootstrap_servers = 'kafka:9092,'", "host:port"),
        ("kafka.bootstrap_servers = 'kafka:0'", "host:port"),
        (
            "kafka.bootstrap_servers = ['kafka:9092']",
            "expected a string",
        ),
        (
            "kafka.auto_offset_reset = 'newest'",
            "`earliest` or `latest`",
        ),
        ("kafka.connect_retries = -1", "a whole number from 0"),
        ("kafka.connect_retries = 2.5", "a whole number from 0"),
        ("kafka.connect_retries = true", "a whole number from 0"),
        ("kafka.connect_retries = '5'", "a whole number from 0"),
        ("kafka.connect_retry_delay = 3", "a duration such as"),
        ("kafka.connect_retry_delay = '3'", "duration"),
        ("kafka.connect_retry_delay = 'soon'", "duration"),
        ("kafka.connect_retry_delay = '-3s'", "0 or more"),
        ("kafka.properties = 'x'", "expected a table"),
        (
            "kafka.properties.'group.id' = 'x'",
            "set kafka.group_id instead",
        ),
        (
            "kafka.properties.bootstrap.servers = 'x'",
            "set kafka.bootstrap_servers instead",
        ),
        (
            "kafka.properties.'enable.auto.commit' = true",
            "cannot be set",
        ),
        ("kafka.properties.'a.b' = [1]", "expected a string"),
        ("kafka.properties = { a.b = 1, 'a.b' = 2 }", "set twice"),
        ("embedded.listen = '0.0.0.0:9092'", "loopback"),
        ("embedded.listen = 9092", "an address and port"),
        ("embedded.dir = ''", "a path"),
        ("embedded.partitions = 0", "1 to 1000"),
        ("embedded.partitions = 1001", "1 to 1000"),
        ("embedded.flush = 'always'", "\"each\" or a time"),
        ("embedded.flush = '5ms'", "from \"10ms\" to \"1h\""),
        ("handlers.dir = ''", "a path"),
        (
            "handlers.defaults.memory = '63KiB'",
            "\"64KiB\" to \"4GiB\"",
        ),
        ("handlers.defaults.memory = '5GiB'", "\"64KiB\" to \"4GiB\""),
        ("handlers.defaults.memory = 'lots'", "a size such as"),
        ("handlers.defaults.memory = -1", "a size such as"),
        ("handlers.defaults.memory = 1.5", "a size such as"),
        ("handlers.defaults.timeout = '0s'", "more than 0"),
        ("handlers.defaults.output = '1000'", "\"1KiB\" to \"1GiB\""),
        ("handlers.defaults.output = '2GiB'", "\"1KiB\" to \"1GiB\""),
        ("handlers.defaults.stack = '31KiB'", "\"32KiB\" to \"1MiB\""),
        ("handler.a.stack = '2MiB'", "\"32KiB\" to \"1MiB\""),
        ("handlers.cache_max_bytes = '1KiB'", "\"1MiB\" or more"),
        (
            "handlers.defaults.max_failures = -1",
            "a whole number from 0",
        ),
        (
            "handlers.defaults.on_error = 'ask'",
            "`dead_letter`, `retry`, `skip`, `stop`",
        ),
        (
            "handlers.defaults.retries = 4294967296",
            "a whole number from 0",
        ),
        ("handler.a.memory = '1KiB'", "\"64KiB\" to \"4GiB\""),
        ("handler.a.timeout = '-1s'", "more than 0"),
        ("handler.a.produce = 'b'", "a list such as"),
        ("handler.a.produce = [1]", "expected a string"),
        ("handler.a.produce = ['']", "name of a topic"),
        ("handler.a = 1", "expected a table"),
        ("delivery.guarantee = 'exactly_once'", "`at_least_once`"),
        (
            "delivery.dead_letter_topic = 'eventos'",
            "another topic than kafka.topic",
        ),
        (
            "kafka.topic = 'eventos.dead-letters'",
            "another topic than delivery.dead_letter_topic",
        ),
        (
            "output.topic = 'eventos'",
            "another topic than kafka.topic: what leaves the chain would come back in",
        ),
        (
            "output.topic = 'eventos.dead-letters'",
            "another topic than delivery.dead_letter_topic",
        ),
        ("output.topic = 'a b'", "expected only a-z"),
        ("store.max_events = 0", "more than 0"),
        ("store.max_bytes = 0", "more than 0"),
        ("http.listen = '127.0.0.1'", "an address and port"),
        (
            "http.listen = '127.0.0.1:9092'",
            "another address than embedded.listen",
        ),
        ("telemetry.log = 'infoo'", "no level"),
        ("telemetry.log = 'a=b=c'", "expected a filter"),
    ] {
        let found = bad(text, &[]);
        let one = matches!(&found[..], [one] if one.starts_with("file:1: ") && one.contains(why));
        assert!(one, "{text}: {found:#?}");
    }
}

#[test]
fn a_secret_is_not_repeated() {
    for text in [
        "kafka.properties.'sasl.password' = ['hunter2']",
        "kafka.properties.'sasl.pasword' = 'hunter2'",
        "kafka.properties.'group.id' = 'hunter2'",
    ] {
        assert!(
            !format!("{:?}", bad(text, &[])).contains("hunter2"),
            "{text}"
        );
    }
}

#[test]
fn variables_that_contradict_one_another_are_refused() {
    let found = bad(
        "",
        &[
            ("EVENTOS__HTTP__LISTEN", "127.0.0.1:1"),
            ("eventos__http__listen", "127.0.0.1:2"),
        ],
    );
    assert_eq!(
        found,
        ["eventos__http__listen: sets http.listen, but EVENTOS__HTTP__LISTEN sets http.listen"]
    );
    let found = bad(
        "",
        &[
            ("EVENTOS__HTTP", "x"),
            ("EVENTOS__HTTP__LISTEN", "127.0.0.1:2"),
        ],
    );
    assert_eq!(found.len(), 2, "{found:?}");
    let found = bad("", &[("EVENTOS__", "x")]);
    assert!(found[0].starts_with("EVENTOS__: unknown key"), "{found:?}");
}

#[test]
fn a_syntax_error_is_shown() {
    let found = bad("[kafka]\ntopic = = 'x'\n", &[]);
    assert_eq!(found.len(), 1);
    assert!(
        found[0].starts_with("file:2:9: invalid TOML: "),
        "{found:?}"
    );
    assert!(
        found[0].ends_with("\n    topic = = 'x'\n            ^"),
        "{found:?}"
    );
    let found = bad("[kafka]\ntopic = 'x'\ntopic = 'y'\n", &[]);
    assert!(
        found[0].starts_with("file:3:1: invalid TOML: duplicate key"),
        "{found:?}"
    );
}

#[test]
fn a_file_that_is_named_must_be_readable() {
    let none = std::iter::empty::<(OsString, OsString)>;
    let missing = Config::examine(Some(Path::new("no/such.toml")), none());
    assert!(problems(&missing)[0].starts_with("no/such.toml: cannot be read: "));
    let directory = Config::examine(Some(Path::new(".")), none());
    assert!(problems(&directory)[0].starts_with(".: cannot be read: "));
    assert_eq!(missing.config, Config::default());
}

#[test]
fn what_others_cannot_ask_is_not_advertised() {
    let good = good("http.advertise = 'http://10.0.0.7:8080'", &[]);
    let listening = "0.0.0.0:80".parse().expect("an address");
    let url = good.http.advertised(listening).expect("it is set");
    assert_eq!(url.to_string(), "http://10.0.0.7:8080");
    assert_eq!(Config::default().http.advertised(listening), None);
    for url in [
        "10.0.0.7:8080",
        "https://host:1",
        "http://u:p@host:1",
        "http://host:1/path",
    ] {
        let found = bad(&format!("http.advertise = {url:?}"), &[]);
        let asks = format!(
            "file:1: http.advertise = {url:?}: expected a URL such as http://10.0.0.7:8080"
        );
        assert!(
            matches!(&found[..], [one] if one.starts_with(&asks)),
            "{found:?}"
        );
    }
}
