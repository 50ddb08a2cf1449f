//! Secrets of the configuration and of requests: neither the log, nor an answer, nor `eventos check` shows one.

use std::{fs, process::Command};

use eventos_testkit::{Broker, Setup};
use reqwest::Method;

use super::NewKey;
use crate::EVENTOS;

/// What every secret here begins with.
const MARK: &str = "s3cr3t";

/// Settings with secrets, for a broker without authentication.
const CONFIG: &str = r#"
[telemetry]
log = "trace"
[kafka.properties]
"sasl.username" = "app"
"sasl.password" = "s3cr3t-of-sasl"
"ssl.key.password" = "s3cr3t-of-a-key"
[peers]
secret = "s3cr3t-of-the-group-0123456789abcdef"
[handler.probe.config]
token = "s3cr3t-of-a-handler"
"#;

/// Configurations that are refused because of a secret, or beside it.
const REFUSED: [&str; 14] = [
    "[peers]\nsecret = \"s3cr3t",
    "[peers]\nsecret = 's3cr3t' 's3cr3t'",
    "[peers]\nsecret = \"s3cr3t\"",
    "[peers]\nsecret = [\"s3cr3t\"]",
    "[peers]\nsecrets = \"s3cr3t\"",
    "peers = \"s3cr3t\"",
    "[kafka.properties]\n\"sasl.pasword\" = \"s3cr3t\"",
    "[kafka.properties]\n\"sasl.password\" = [\"s3cr3t\"]",
    "[kafka]\nproperties = \"s3cr3t\"",
    "[kafka.properties]\n\"sasl.password\" = \"s3cr3t\"\n\"security.protocol\" = \"wrong\"",
    "[handler.probe]\nconfig = \"s3cr3t\"",
    "[[http.auth.keys]]\nhash = \"s3cr3t\"\nscopes = [\"read\"]",
    "[http.auth]\nkeys = \"s3cr3t\"",
    "[http.auth]\nkeys = [\n\"s3cr3t\" \"s3cr3t\"\n]",
];

/// Variables that are refused because of a secret, or beside it.
const VARIABLES: [(&str, &str); 7] = [
    ("EVENTOS__PEERS__SECRET", "s3cr3t"),
    ("EVENTOS__PEERS__SECRETS", "s3cr3t"),
    ("EVENTOS__PEERS", "{ secret = \"s3cr3t\" "),
    ("EVENTOS__KAFKA__PROPERTIES", "s3cr3t"),
    ("EVENTOS__KAFKA__PROPERTIES__SASL_PASSWORD", "[s3cr3t"),
    ("EVENTOS__HTTP__AUTH__KEYS", "[{ hash = \"s3cr3t\""),
    ("EVENTOS__HANDLER__PROBE__CONFIG", "s3cr3t"),
];

fn assert_hidden(what: &str, shown: &str) {
    let line = shown.lines().find(|line| line.contains(MARK));
    assert_eq!(line, None, "{what}");
}

#[test]
fn a_running_daemon_shows_no_secret() {
    let key = NewKey::with(&["--scopes", "read,send,admin"]);
    let config = format!("{CONFIG}{}", key.table);
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], &config);
    setup.key = Some(key.key.clone());
    let daemon = setup.start();
    daemon.send(r#"{"id":"a","tipo":"reject"}"#);
    let mut shown = String::new();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
        ("GET", "/handlers"),
        ("GET", "/handlers/probe"),
        ("GET", "/partitions"),
        ("GET", "/messages"),
        ("GET", "/dead-letters"),
        ("GET", "/peers/proof"),
        ("GET", "/peers/messages?partitions=0"),
        ("POST", "/peers/replay"),
        ("POST", "/replay?from=earliest&dry_run=true"),
        ("PUT", "/handlers/probe"),
    ] {
        for authorization in [
            None,
            Some("Bearer s3cr3t-guess"),
            Some("Basic s3cr3t-guess"),
            Some("Eventos-Peer 1 2 3 s3cr3t-guess"),
        ] {
            let method = method.parse::<Method>().expect("a method");
            let request = daemon.request(method, path);
            let request = match authorization {
                Some(value) => request.header("authorization", value),
                None => request,
            };
            let response = request.send().expect("an answer");
            shown += &format!("{:?}\n", response.headers());
            shown += &response.text().expect("a text");
        }
    }
    assert_hidden("an answer", &shown);
    let log = daemon.log();
    assert_hidden("the log", &log);
    for shown in [shown, log] {
        assert!(!shown.contains(&key.key));
    }
}

#[test]
fn no_error_shows_a_secret() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::create_dir(dir.path().join("plugins")).expect("created");
    let file = dir.path().join("eventos.toml");
    let run = |arguments: &[&str], variable: Option<(&str, &str)>| {
        let mut program = Command::new(EVENTOS);
        program.args(arguments).args(["--config", "eventos.toml"]);
        program.current_dir(dir.path()).envs(variable);
        let output = program.output().expect("started");
        let shown = [output.stdout, output.stderr].concat();
        let shown = String::from_utf8(shown).expect("UTF-8");
        (output.status.success(), shown)
    };
    let commands = [&["check"][..], &["check", "--json"]];
    for text in REFUSED {
        fs::write(&file, text).expect("written");
        for arguments in commands {
            let (success, shown) = run(arguments, None);
            assert!(!success, "{text}");
            assert_hidden(text, &shown);
        }
    }
    fs::write(&file, "").expect("written");
    for (name, value) in VARIABLES {
        for arguments in commands {
            assert_hidden(name, &run(arguments, Some((name, value))).1);
        }
    }
}
