//! Handlers that run only if they are the file that the configuration names, or if a trusted key has signed them.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, process::Command};

use eventos_testkit::{Answer, Broker, Daemon, Setup, eventually, handler};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{refusal, swapping::probe};
use crate::EVENTOS;

/// The private keys of tests 2 and 3 in RFC 8032, section 7.1, as `openssl genpkey -algorithm ed25519` writes keys.
const TRUSTED: &str = "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbDRuwRTg9bijGfNaumJNqM9u1PuKb7";
const STRANGER: &str = "MC4CAQAwBQYDK2VwBCIEIMWqjfQ/n4N77bdELzHct7Fm04U1B28JS4XOOi4LRFj3";

/// The public key that belongs to [`TRUSTED`].
const PUBLIC: &str = "PUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=";

/// Returns the file with the signature of a handler.
fn signature(handler: &Path) -> std::path::PathBuf {
    handler.with_extension("wasm.sig")
}

/// Runs `eventos` with these arguments. Returns whether it succeeded, with all that it printed.
fn eventos(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(EVENTOS).args(arguments).output();
    let output = output.expect("started");
    let printed = [output.stdout, output.stderr].concat();
    let printed = String::from_utf8(printed).expect("UTF-8");
    (output.status.success(), printed)
}

/// Signs a file with this key. Returns the signature.
fn sign(key: &str, file: &Path) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a folder");
    let pem = dir.path().join("key.pem");
    let text = format!("-----BEGIN PRIVATE KEY-----\n{key}\n-----END PRIVATE KEY-----\n");
    fs::write(&pem, text).expect("written");
    let [pem, path] = [&pem, file].map(|path| path.to_str().expect("UTF-8"));
    let (success, printed) = eventos(&["sign", "--key", pem, path]);
    assert!(success, "{printed}");
    fs::read(signature(file)).expect("a signature")
}

/// Signs these bytes with this key. Returns the signature.
fn sign_bytes(key: &str, bytes: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("handler.wasm");
    fs::write(&file, bytes).expect("written");
    sign(key, &file)
}

/// A daemon that requires signatures, with the signed handler `store`.
struct Fixture {
    setup: Setup,
    daemon: Daemon,
}

impl Fixture {
    fn new() -> Self {
        let required = format!("require_signature = true\nkeys = [{PUBLIC:?}]\n");
        let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], &required);
        let log = refusal(&setup);
        assert!(log.contains("it is not signed"), "{log}");
        sign(TRUSTED, &setup.dir.path().join("plugins/00-store.wasm"));
        let daemon = setup.start();
        Self { setup, daemon }
    }

    fn file(&self, name: &str) -> std::path::PathBuf {
        self.setup.dir.path().join("plugins").join(name)
    }

    fn status(&self, name: &str) -> Value {
        self.daemon.get(&format!("/handlers/{name}")).json()
    }

    fn put(&self, name: &str, bytes: &[u8], signature: Option<&[u8]>, query: &str) -> Answer {
        let request = self
            .daemon
            .request(Method::PUT, &format!("/handlers/{name}{query}"))
            .header("content-type", "application/wasm")
            .body(bytes.to_vec());
        let request = match signature {
            Some(signature) => request.header("x-eventos-signature", signature.trim_ascii()),
            None => request,
        };
        request.send().expect("the daemon answers").into()
    }
}

#[test]
fn a_dropped_file_runs_once_its_signature_is_there() {
    let fixture = Fixture::new();
    assert_eq!(fixture.status("store")["signer"], PUBLIC);

    let bytes = probe(1);
    let file = fixture.file("50-probe.wasm");
    fs::write(&file, &bytes).expect("written");
    let refused = eventually("the handler to be refused", || {
        let status = fixture.status("probe");
        (status["state"] == "refused").then_some(status)
    });
    let why = refused["error"].as_str().expect("a text");
    assert!(why.contains("it is not signed"), "{why}");

    fs::write(signature(&file), sign_bytes(STRANGER, &bytes)).expect("written");
    eventually("the signature of a stranger to be refused", || {
        let why = fixture.status("probe")["error"].as_str()?.to_owned();
        why.contains("handlers.keys").then_some(())
    });
    sign(TRUSTED, &file);
    let running = eventually("the handler to run", || {
        let status = fixture.status("probe");
        (status["state"] == "running").then_some(status)
    });
    assert_eq!(
        (&running["signer"], &running["error"]),
        (&json!(PUBLIC), &Value::Null)
    );

    // A file that runs would not be admitted at the next start without its signature, so the error says that.
    fs::remove_file(signature(&file)).expect("removed");
    let why = eventually("the missing signature to be reported", || {
        let status = fixture.status("probe");
        (status["state"] == "running").then_some(status["error"].as_str()?.to_owned())
    });
    assert!(why.contains("it is not signed"), "{why}");
    sign(TRUSTED, &file);
    eventually("the signature to be back", || {
        fixture.status("probe")["error"].is_null().then_some(())
    });

    // The signature of the former file is not one of the next file, and the former one keeps running.
    fs::write(&file, probe(2)).expect("written");
    let status = eventually("the next file to be refused", || {
        let status = fixture.status("probe");
        status["error"].is_string().then_some(status)
    });
    assert_eq!(
        (&status["state"], &status["digest"]),
        (&json!("running"), &running["digest"])
    );
}

#[test]
fn an_upload_brings_its_signature_which_outlasts_a_restart_and_goes_with_the_handler() {
    let fixture = Fixture::new();
    let [one, two] = [1, 2].map(probe);
    let [of_one, of_two] = [&one, &two].map(|bytes| sign_bytes(TRUSTED, bytes));
    for signature in [None, Some(&b"nonsense"[..]), Some(&*of_two)] {
        fixture
            .put("probe", &one, signature, "")
            .problem(422, "invalid-handler");
    }
    assert_eq!(fixture.status("probe")["status"], 404);
    fixture
        .put("probe", &one, Some(&of_one), "")
        .assert_status(201);
    fixture
        .put("probe", &two, Some(&of_two), "")
        .assert_status(200);
    fixture
        .daemon
        .post("/handlers/probe/rollback")
        .assert_status(200);
    let file = fixture.file("probe.wasm");
    assert_eq!(
        fs::read(signature(&file)).expect("there").trim_ascii(),
        of_one.trim_ascii()
    );

    let Fixture { setup, daemon } = fixture;
    assert!(daemon.stop().success());
    let daemon = setup.start();
    let fixture = Fixture { setup, daemon };
    assert_eq!(fixture.status("probe")["signer"], PUBLIC);
    fixture.daemon.delete("/handlers/probe").assert_status(204);
    assert!(!signature(&file).exists());
}

#[test]
fn a_dry_run_of_an_upload_shows_what_it_may_do_and_changes_nothing() {
    let toml = "[handler.probe]\nproduce = [\"alerts\"]\n";
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], toml);
    let daemon = setup.start();
    let fixture = Fixture { setup, daemon };
    let answer = fixture.put("10-probe", &probe(1), None, "?dry_run=true");
    let answer = answer.assert_status(200).json();
    assert_eq!(answer["name"], "probe");
    assert_eq!(
        (&answer["produce"], &answer["signer"]),
        (&json!(["alerts"]), &Value::Null)
    );
    assert_eq!(answer["digest"], format!("{:x}", Sha256::digest(probe(1))));
    fixture
        .put("probe", b"no handler", None, "?dry_run=true")
        .problem(422, "invalid-handler");
    assert_eq!(fixture.status("probe")["status"], 404);
    assert!(!fixture.file("10-probe.wasm").exists());
}

#[test]
fn a_pin_admits_one_file() {
    let [pinned, other] = [1, 2].map(probe);
    let digest = format!("{:x}", Sha256::digest(&pinned));
    let toml = format!("[handler.probe]\nsha256 = {digest:?}\n");
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], &toml);
    let file = setup.dir.path().join("plugins/00-probe.wasm");
    fs::write(&file, &other).expect("written");
    let log = refusal(&setup);
    assert!(
        log.contains(&format!("the handler's setting sha256 is {digest}")),
        "{log}"
    );
    let config = setup.write_config();
    let (success, printed) = eventos(&["check", "--config", config.to_str().expect("UTF-8")]);
    assert!(!success && printed.contains(&digest), "{printed}");

    fs::write(&file, &pinned).expect("written");
    let daemon = setup.start();
    let fixture = Fixture { setup, daemon };
    fixture
        .put("probe", &other, None, "")
        .problem(422, "invalid-handler");
    assert_eq!(fixture.status("probe")["digest"], digest);
    assert_eq!(fs::read(&file).expect("there"), pinned);
}

#[test]
fn a_new_key_is_kept_from_others_and_signs() {
    let dir = tempfile::tempdir().expect("a folder");
    let [pem, file] = ["key.pem", "store.wasm"].map(|name| dir.path().join(name));
    fs::copy(handler("store"), &file).expect("copied");
    let [pem_path, path] = [&pem, &file].map(|path| path.to_str().expect("UTF-8"));
    let make = || eventos(&["keys", "new", "--signing", pem_path]);
    let (success, printed) = make();
    assert!(success, "{printed}");
    let mode = fs::metadata(&pem).expect("a file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let public = printed.lines().next().expect("a key");
    assert!(eventos(&["sign", "--key", pem_path, path]).0);
    let (success, printed) = eventos(&["verify", "--key", public, path]);
    assert!(success, "{printed}");
    assert!(!make().0, "a second key would overwrite the first");
}

#[test]
fn signatures_are_checked_on_the_command_line() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("store.wasm");
    fs::copy(handler("store"), &file).expect("copied");
    let path = file.to_str().expect("UTF-8");
    let verify = || eventos(&["verify", "--key", PUBLIC, path]);
    let (success, printed) = verify();
    assert!(
        !success && printed.contains("there is no signature"),
        "{printed}"
    );
    sign(STRANGER, &file);
    let (success, printed) = verify();
    assert!(
        !success && printed.contains("not one that a trusted key"),
        "{printed}"
    );
    sign(TRUSTED, &file);
    let (success, printed) = verify();
    assert!(
        success && printed.contains(&format!("signed by {PUBLIC}")),
        "{printed}"
    );
    let (success, printed) = eventos(&["sign", "--key", path, path]);
    assert!(
        !success && printed.contains("no private key in PEM format"),
        "{printed}"
    );
}
