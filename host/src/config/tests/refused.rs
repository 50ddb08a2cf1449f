//! Tests of configurations that are refused, and of the messages about them.

use super::*;

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
            "zzz; the tables are delivery, embedded, evento, handler, handlers, http, kafka, output, peers, store, telemetry",
        ),
        (
            "handler.a.xyz = 1",
            "handler.a.xyz; [handler.a] has config, log_lines, max_failures, memory, on_error, output, produce, retries, sha256, stack, timeout",
        ),
    ] {
        assert_eq!(bad(text, &[]), [format!("file:1: unknown key {why}")]);
    }
}

/// A line of a file, and what is said about its value.
const BAD_VALUES: &[(&str, &str)] = &[
    ("kafka = 1", "expected a table"),
    ("kafka.topic = 5", "expected a string"),
    ("kafka.topic = ''", "name of a topic"),
    ("kafka.topic = '..'", "not only dots"),
    ("kafka.topic = 'a b'", "expected only"),
    ("kafka.group_id = ''", "consumer group"),
    ("kafka.group_id = ' '", "consumer group"),
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
    ("handlers.compile_memory = '64MiB'", "\"128MiB\" or more"),
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
    (
        "delivery.guarantee = 'once'",
        "`at_least_once` or `exactly_once`",
    ),
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
        "another topic than kafka.topic: records that leave the chain would be consumed again",
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
    ("http.advertise = 'http://10.0.0.7:80'", "eventos keys new"),
    ("http.listen = '[::]:80'", "eventos keys new"),
    ("http.hosts = ['']", "a host name"),
    ("http.hosts = ['*.example']", "a host name"),
    ("http.hosts = ['a.example:80']", "a host name"),
    ("http.hosts = ['http://a.example']", "a host name"),
    ("http.hosts = ['user@a.example']", "a host name"),
    ("http.hosts = 'a.example'", "a list such as"),
    ("peers.secret = 'short'", "at least 32 bytes"),
    ("peers.allow = ['eventos-1']", "host:port"),
    ("peers.allow = ['http://eventos-1:80']", "host:port"),
    ("peers.allow = [':80']", "host:port"),
    ("peers.allow = ['*:*']", "host:port"),
    ("peers.allow = ['a:65536']", "host:port"),
    ("telemetry.log = 'infoo'", "not a log level"),
    ("telemetry.log = 'a=b=c'", "expected a filter"),
];

#[test]
fn bad_values_are_refused() {
    let long = format!("kafka.topic = '{}'", "a".repeat(250));
    let long = [(&*long, "at most 249")];
    for &(text, why) in BAD_VALUES.iter().chain(&long) {
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
        "peers.secret = 'hunter2'",
        "peers.secret = ['hunter2']",
        "peers = 'hunter2'",
        "http.auth = 'hunter2'",
        "http.auth.keys = 'hunter2'",
        "http.auth.keys = ['hunter2']",
        "http.auth.keys = [{ hash = 'hunter2', scopes = ['read'] }]",
        "http.auth.keys = [{ hash = ['hunter2'], scopes = ['read'] }]",
        "http.auth.keys = [{ key = 'hunter2', scopes = ['read'] }]",
    ] {
        assert!(
            !format!("{:?}", bad(text, &[])).contains("hunter2"),
            "{text}"
        );
    }
}

#[cfg(not(feature = "gssapi"))]
#[test]
fn a_login_with_kerberos_needs_a_build_that_has_it() {
    for (properties, key) in [
        ("'security.protocol' = 'SASL_SSL'", "security.protocol"),
        (
            "'security.protocol' = 'sasl_plaintext', 'sasl.mechanism' = 'GSSAPI'",
            "sasl.mechanism",
        ),
        (
            "'security.protocol' = 'sasl_ssl', 'sasl.mechanisms' = 'GSSAPI'",
            "sasl.mechanisms",
        ),
    ] {
        let found = bad(&format!("kafka.properties = {{ {properties} }}"), &[]);
        let named = found
            .iter()
            .any(|one| one.contains(key) && one.contains("--features gssapi"));
        assert!(named, "{properties}: {found:#?}");
    }
    good(
        "kafka.properties = { 'security.protocol' = 'SASL_SSL', 'sasl.mechanism' = 'SCRAM-SHA-512' }",
        &[],
    );
}

#[test]
fn a_daemon_that_others_can_reach_needs_keys() {
    let hash = "5".repeat(64);
    let keys = format!("[{{ hash = \"{hash}\", scopes = [\"read\"] }}]");
    let listen = ("EVENTOS__HTTP__LISTEN", "0.0.0.0:80");
    assert!(bad("", &[listen])[0].contains("eventos keys new"));
    let config = good("", &[listen, ("EVENTOS__HTTP__AUTH__KEYS", &keys)]);
    assert_eq!(config.http.auth.keys[0].hash, hash);
    for (keys, why) in [
        (
            "[{ hash = \"5\", scopes = [\"read\"] }]",
            "64 hexadecimal digits",
        ),
        (&*keys.replace("\"read\"", ""), "at least one of"),
        (&*keys.replace("read", "write"), "read"),
    ] {
        let found = bad("", &[("EVENTOS__HTTP__AUTH__KEYS", keys)]);
        assert!(found[0].contains(why), "{found:?}");
    }
    let found = bad("[[http.auth.keys]]\nscopes = ['read']\nhash = '5'", &[]);
    let place = "file:3: http.auth.keys[0].hash: ";
    assert!(found[0].starts_with(place), "{found:?}");
    let misspelled = "[[http.auth.keys]]\nscopes = ['read']\nhsah = '5'";
    let has =
        "unknown key http.auth.keys[0].hsah; [http.auth.keys[0]] has hash, name, rate, scopes";
    let found = bad(misspelled, &[]);
    assert!(found.iter().any(|one| one.contains(has)), "{found:?}");
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
    let hash = "5".repeat(64);
    let keys = format!("[[http.auth.keys]]\nhash = '{hash}'\nscopes = ['read']");
    let text = format!("http.advertise = 'http://10.0.0.7:8080'\n{keys}");
    let good = good(&text, &[]);
    let listening = "0.0.0.0:80".parse().expect("an address");
    let url = good.http.advertised(listening).expect("it is set");
    assert_eq!(url.to_string(), "http://10.0.0.7:8080");
    assert_eq!(Config::default().http.advertised(listening), None);
    for url in [
        "10.0.0.7:8080",
        "https://u:p@host:1",
        "ftp://host:1",
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
