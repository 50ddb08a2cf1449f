//! The files of certificates: how they are replaced, refused and warned of.

use std::{fs, process::Command};

use eventos_testkit::{Authority, Broker, Setup, eventually};

use super::{LOOPBACK, assert_refused, is_trusted, setup};
use crate::EVENTOS;

#[test]
fn changed_files_are_served_without_a_restart_and_broken_ones_are_not() {
    let [first, second, third] = ["first", "second", "third"].map(Authority::new);
    let (setup, _) = setup(&first);
    let daemon = setup.start();
    assert!(is_trusted(&daemon, &first) && !is_trusted(&daemon, &second));

    // The certificate comes before its key, so that they do not match for a while.
    let issued = second.issue(LOOPBACK);
    setup.write("certificate.pem", &issued.certificate);
    daemon.wait_for_log("cannot use the changed certificate files");
    daemon.wait_for_log("this is the key of another");
    assert!(is_trusted(&daemon, &first));
    setup.write("key.pem", &issued.key);
    eventually("the new certificate", || {
        is_trusted(&daemon, &second).then_some(())
    });
    assert!(!is_trusted(&daemon, &first));
    daemon.wait_for_log("read changed certificate files");

    setup.write("certificate.pem", "no certificate");
    daemon.wait_for_log("expected a certificate");
    fs::remove_file(setup.path("certificate.pem")).expect("it is there");
    daemon.wait_for_log("there is no such file");
    assert!(is_trusted(&daemon, &second));

    // As Kubernetes does it: a link to a folder is replaced.
    let issued = third.issue(LOOPBACK);
    for name in ["certificate.pem", "key.pem"] {
        let _ = fs::remove_file(setup.path(name));
        let link = std::os::unix::fs::symlink(format!("data/{name}"), setup.path(name));
        link.expect("a link");
    }
    fs::create_dir(setup.path("version")).expect("a folder");
    setup.write("version/certificate.pem", &issued.certificate);
    setup.write("version/key.pem", &issued.key);
    std::os::unix::fs::symlink("version", setup.path("data")).expect("a link");
    eventually("the certificate behind a link", || {
        is_trusted(&daemon, &third).then_some(())
    });
    // Each failure once, although the files were read several times.
    let log = daemon.log();
    for text in ["this is the key of another", "expected a certificate: "] {
        assert_eq!(log.matches(text).count(), 1, "{text}: {log}");
    }
    assert!(!log.contains("PRIVATE KEY"), "{log}");
}

/// Runs `check` with this table, and returns the errors and the warnings.
fn check(setup: &Setup, table: &str) -> String {
    let path = setup.path("check.toml");
    let plugins = setup.path("plugins");
    let config = format!("[handlers]\ndir = {plugins:?}\n[http.tls]\n{table}\n");
    fs::write(&path, config).expect("written");
    let mut command = Command::new(EVENTOS);
    let output = command.args(["check", "--config"]).arg(&path).output();
    String::from_utf8(output.expect("it runs").stderr).expect("UTF-8")
}

#[test]
fn files_that_cannot_be_used_are_refused_with_the_setting_and_the_reason() {
    let authority = Authority::new("ours");
    let (setup, _) = setup(&authority);
    setup.write("other-key.pem", &authority.issue(LOOPBACK).key);
    let key = authority.issue(LOOPBACK).key;
    let encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
    setup.write("encrypted.pem", &encrypted);
    setup.write("nothing.pem", "nothing\n");
    setup.write("cut-off.pem", &authority.certificate[..200]);
    setup.write("garbage.pem", &key.replace('M', "?"));
    fs::write(setup.path("der"), b"\x30\x82\x01\x00\xff\xfe").expect("written");
    let pipe = Command::new("mkfifo").arg(setup.path("pipe")).status();
    assert!(pipe.expect("mkfifo runs").success());

    let [certificate, good_key] = ["certificate.pem", "key.pem"];
    for (certificate, key, setting, why) in [
        (certificate, "", "certificate", "http.tls.key to be set"),
        ("", good_key, "key", "http.tls.certificate to be set"),
        ("nowhere", good_key, "certificate", "there is no such file"),
        (certificate, "nowhere", "key", "there is no such file"),
        ("plugins", good_key, "certificate", "not a directory"),
        ("pipe", good_key, "certificate", "a regular file"),
        (certificate, "pipe", "key", "a regular file"),
        (
            "nothing.pem",
            good_key,
            "certificate",
            "expected a certificate",
        ),
        ("cut-off.pem", good_key, "certificate", "expected PEM"),
        (good_key, good_key, "certificate", "a private key instead"),
        ("der", good_key, "certificate", "openssl x509 -inform der"),
        (certificate, certificate, "key", "a certificate instead"),
        (certificate, "nothing.pem", "key", "expected a private key"),
        (certificate, "garbage.pem", "key", "expected PEM"),
        (certificate, "der", "key", "openssl pkey -inform der"),
        (certificate, "encrypted.pem", "key", "without a passphrase"),
        (certificate, "other-key.pem", "key", "the key of another"),
    ] {
        let path = |name: &str| match name {
            "" => String::new(),
            name => setup.path(name).display().to_string(),
        };
        let (certificate, key) = (path(certificate), path(key));
        let table = format!("certificate = {certificate:?}\nkey = {key:?}");
        let errors = check(&setup, &table);
        let line = errors.lines().find(|line| line.contains(why));
        let line = line.unwrap_or_else(|| panic!("{why}: {errors}"));
        assert!(line.contains(&format!("http.tls.{setting} = ")), "{line}");
        assert!(line.contains("check.toml:"), "{line}");
        assert!(!errors.contains("PRIVATE KEY-----\nM"), "{errors}");
    }
    let mut broken = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    broken.add_config("[http.tls]\ncertificate = 'nowhere'\nkey = 'nowhere'");
    let log = broken.expect_start_failure();
    assert!(log.contains("http.tls.certificate = \"nowhere\""), "{log}");
}

#[test]
fn settings_that_need_one_another_are_checked() {
    let (setup, _) = setup(&Authority::new("ours"));
    let pair = format!(
        "certificate = {:?}\nkey = {:?}\n",
        setup.path("certificate.pem"),
        setup.path("key.pem")
    );
    for (table, why) in [
        (
            "client_ca = 'ca.pem'".to_owned(),
            "clients show no certificates",
        ),
        (format!("{pair}client_ca = 'nowhere'"), "http.tls.client_ca"),
        (format!("{pair}peer_ca = 'nowhere'"), "http.tls.peer_ca"),
        ("peer_ca = '/'".to_owned(), "not a directory"),
        (
            format!("{pair}[http]\nadvertise = 'http://a:1'"),
            "an https URL",
        ),
    ] {
        let errors = check(&setup, &table);
        assert!(errors.contains(why), "{why}: {errors}");
    }
    assert_eq!(check(&setup, &pair), "");
}

#[test]
fn an_expired_certificate_and_a_key_that_others_can_read_are_warned_of() {
    let authority = Authority::new("ours");
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let expired = authority.issue_expired(&["elsewhere"]);
    setup.use_certificate(&expired, &authority.certificate);
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(setup.path("key.pem"), open).expect("it is ours");
    let daemon = setup.start_listening();
    let log = daemon.log();
    for text in [
        "the certificate has expired at 2020-01-01T00:00:00Z",
        "which has mode 644",
        "not for this host",
    ] {
        assert!(log.contains(text), "{text}: {log}");
    }
    let ca = setup.write("ca.pem", &authority.certificate);
    let ca = ca.display().to_string();
    assert_refused(&daemon.url(""), &["--ca", &ca], "is not valid now");

    let table = format!(
        "certificate = {:?}\nkey = {:?}\n",
        setup.path("certificate.pem"),
        setup.path("key.pem")
    );
    let warnings = check(&setup, &table);
    for text in ["warning: ", "has expired", "chmod 600"] {
        assert!(warnings.contains(text), "{text}: {warnings}");
    }
    assert!(!warnings.contains("error: "), "{warnings}");
}
