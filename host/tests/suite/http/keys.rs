//! Keys: a daemon that other machines can reach serves no request without one.

use std::process::Command;

use eventos_testkit::{Broker, Daemon, Setup, eventually, free_port};
use reqwest::Method;

use super::NewKey;
use crate::EVENTOS;

/// Sends a request with this value of the header `Authorization`, and returns the status code.
fn status(daemon: &Daemon, method: &str, path: &str, authorization: Option<&str>) -> u16 {
    let method = method.parse::<Method>().expect("a method");
    let mut request = daemon.request(method, path);
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    if path.starts_with("/send") {
        let evento = r#"{"id":1,"tipo":"t"}"#;
        request = request
            .header("content-type", "application/json")
            .body(evento);
    }
    request
        .send()
        .expect("the daemon answers")
        .status()
        .as_u16()
}

/// One request for each scope.
const READ: [&str; 6] = [
    "/messages",
    "/messages/1",
    "/handlers",
    "/partitions",
    "/dead-letters",
    "/metrics",
];
const SEND: [&str; 2] = ["/send", "/send/batch"];
const ADMIN: [(&str, &str); 4] = [
    ("POST", "/handlers/store/resume"),
    ("DELETE", "/handlers/nothing"),
    ("POST", "/replay?from=earliest&dry_run=true"),
    ("POST", "/dead-letters/redrive?all=true&dry_run=true"),
];

#[test]
fn each_scope_permits_its_requests_and_no_others() {
    let keys = ["read", "send", "admin"].map(|scope| NewKey::with(&["--scopes", scope]));
    let config = keys.each_ref().map(|key| key.table.as_str()).join("\n");
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], &config);
    let daemon = setup.start();
    let read = READ.map(|path| ("GET", path)).into_iter();
    let send = SEND.map(|path| ("POST", path)).into_iter();
    let requests = [read.collect::<Vec<_>>(), send.collect(), ADMIN.to_vec()];
    for (needed, requests) in requests.iter().enumerate() {
        for (method, path) in requests {
            assert_eq!(status(&daemon, method, path, None), 401, "{method} {path}");
            for (scope, NewKey { key, .. }) in keys.iter().enumerate() {
                let given = status(&daemon, method, path, Some(&format!("Bearer {key}")));
                match scope == needed {
                    true => assert!(
                        ![401, 403, 429].contains(&given),
                        "{method} {path}: {given}"
                    ),
                    false => assert_eq!(given, 403, "{method} {path}"),
                }
            }
        }
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(&daemon, "GET", path, None), 200, "{path}");
    }
    assert_eq!(status(&daemon, "GET", "/nothing", None), 401);
    // Without a secret, other instances could not prove themselves.
    assert_eq!(
        status(&daemon, "GET", "/peers/messages?partitions=0", None),
        401
    );
    let key = &keys[0].key;
    for wrong in [
        "",
        "Bearer",
        "Bearer ",
        "Bearer x",
        &format!("Basic {key}"),
        key,
        &format!("Bearer {key}x"),
    ] {
        assert_eq!(
            status(&daemon, "GET", "/messages", Some(wrong)),
            401,
            "{wrong}"
        );
    }
    assert_eq!(
        status(&daemon, "GET", "/messages", Some(&format!("bearer {key}"))),
        200
    );
}

#[test]
fn a_key_is_replaced_while_both_are_valid_and_shown_nowhere() {
    let (old, new) = (
        NewKey::with(&["--name", "old"]),
        NewKey::with(&["--scopes", "read,send,admin", "--name", "new"]),
    );
    let config = format!(
        "[http.auth]\nopen_metrics = true\n{}\n{}",
        old.table, new.table
    );
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], &config);
    setup.set_env("EVENTOS__TELEMETRY__LOG", "debug");
    let daemon = setup.start();
    for NewKey { key, .. } in [&old, &new] {
        assert_eq!(
            status(&daemon, "POST", "/send", Some(&format!("Bearer {key}"))),
            200
        );
    }
    assert_eq!(status(&daemon, "GET", "/metrics", None), 200);
    let paused = status(
        &daemon,
        "POST",
        "/handlers/store/pause",
        Some(&format!("Bearer {}", new.key)),
    );
    assert_eq!(paused, 200);
    eventually("the log to name who paused", || {
        let log = daemon.log();
        let line = log
            .lines()
            .find(|line| line.contains("/handlers/store/pause"))?
            .to_owned();
        line.contains("key=\"new\"").then_some(())
    });
    let shown = daemon.log() + &daemon.get("/metrics").text;
    for secret in [&old.key, &new.key] {
        assert!(!shown.contains(secret.as_str()), "{shown}");
    }
}

#[test]
fn a_key_with_a_rate_permits_so_many_requests() {
    let key = NewKey::with(&["--rate", "5"]);
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], &key.table);
    let daemon = setup.start();
    let authorization = format!("Bearer {}", key.key);
    let ask = || status(&daemon, "GET", "/messages", Some(&authorization));
    eventually("one request too many", || (ask() == 429).then_some(()));
    let limited = daemon
        .request(Method::GET, "/messages")
        .header("authorization", &authorization);
    let limited = limited.send().expect("the daemon answers");
    if limited.status() == 429 {
        assert_eq!(limited.headers()["retry-after"], "1");
    }
    eventually("requests to be permitted again", || {
        (ask() == 200).then_some(())
    });
}

#[test]
fn off_loopback_it_does_not_start_without_a_key() {
    let port = free_port();
    for (key, value) in [
        ("listen", format!("0.0.0.0:{port}")),
        ("listen", format!("[::]:{port}")),
        ("advertise", "http://eventos.example:8080".to_owned()),
        ("advertise", "http://192.0.2.1:8080".to_owned()),
    ] {
        let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
        let path = setup.write_config();
        for command in ["check", "serve"] {
            let mut program = Command::new(EVENTOS);
            program.arg(command).arg("--config").arg(&path);
            program.env(format!("EVENTOS__HTTP__{}", key.to_uppercase()), &value);
            let output = program.output();
            let output = output.expect("it runs");
            assert_eq!(output.status.code(), Some(1), "{value}");
            let text =
                String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
            assert!(text.contains(&format!("http.{key}")), "{text}");
            assert!(text.contains("eventos keys new"), "{text}");
        }
    }
}

#[test]
fn off_loopback_without_tls_it_warns_of_clear_text() {
    let key = NewKey::with(&["--scopes", "read"]);
    for (listen, warns) in [("0.0.0.0:0", true), ("127.0.0.1:0", false)] {
        let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], &key.table);
        setup.key = Some(key.key.clone());
        setup.set_env("EVENTOS__HTTP__LISTEN", listen);
        let daemon = setup.start();
        daemon.signal("TERM");
        let (_, log) = daemon.wait_for_exit();
        assert_eq!(log.contains("without encryption"), warns, "{log}");
    }
}

#[test]
fn commands_take_the_key_from_an_option_or_the_environment() {
    let key = NewKey::with(&["--scopes", "admin,read"]);
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], &key.table);
    let daemon = setup.start();
    let replay = |set: &dyn Fn(&mut Command)| {
        let mut command = Command::new(EVENTOS);
        command.args([
            "replay",
            "--from",
            "earliest",
            "--dry-run",
            "--url",
            &daemon.url(""),
        ]);
        set(&mut command);
        command.output().expect("it runs")
    };
    let without = replay(&|_| {});
    assert_eq!(without.status.code(), Some(1));
    let error = String::from_utf8_lossy(&without.stderr).into_owned();
    assert!(
        error.contains("a key is needed") && error.contains("--key"),
        "{error}"
    );
    for with in [
        replay(&|command| {
            command.args(["--key", &key.key]);
        }),
        replay(&|command| {
            command.env("EVENTOS_KEY", &key.key);
        }),
    ] {
        assert!(with.status.success(), "{with:?}");
    }
}
