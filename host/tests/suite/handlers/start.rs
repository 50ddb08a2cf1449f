//! A file in the drop-in folder that is not a valid handler keeps a new daemon from handling anything, and the error names the
//! file.

use std::fs;

use eventos_testkit::{Broker, Setup, handler, root};
use sha2::{Digest, Sha256};

use super::{Fixture, in_the_middle, refusal};
use crate::EVENTOS;

/// Starts a daemon whose configuration keeps a handler from starting. Returns the error.
fn start_failure(toml: &str) -> String {
    refusal(&Setup::new(
        EVENTOS,
        Broker::Embedded,
        &["probe", "store"],
        toml,
    ))
}

#[test]
fn an_init_that_refuses_is_quoted() {
    let log = start_failure("[handler.probe.config]\nfail_init = \"not today\"\n");
    assert!(log.contains("plugins/00-probe.wasm"), "{log}");
    assert!(
        log.contains("init function failed: fail_init is set: not today"),
        "{log}"
    );
}

#[test]
fn an_init_that_fails_tells_how() {
    for (start, reason) in [
        ("panic", "asked to panic"),
        ("spin", "ran longer than its limit of 100ms"),
        ("grow", "its limit is 16777216"),
    ] {
        let log = start_failure(&format!(
            "[handler.probe]\nmemory = \"16MiB\"\ntimeout = \"100ms\"\nconfig = {{ start = {start:?} }}\n"
        ));
        assert!(log.contains("plugins/00-probe.wasm"), "{log}");
        let reasons = log.split("it does not start: ").skip(1);
        let matching = reasons.filter(|one| one.contains(reason));
        assert_eq!(matching.count(), 1, "{log}");
    }
}

#[test]
fn a_file_that_is_no_component_is_named() {
    let not_wasm = "it is not WebAssembly";
    for (name, bytes, reason) in [
        ("50-text.wasm", &b"not WebAssembly"[..], not_wasm),
        ("50-empty.wasm", b"", not_wasm),
        (
            "50-module.wasm",
            b"\0asm\x01\0\0\0",
            "it is a core WebAssembly module that exports no `handle`",
        ),
        (
            "50-cut.wasm",
            b"\0asm\x0d\0\x01\0\x01",
            "it is not a WebAssembly component",
        ),
    ] {
        let log = start_failure_with_file(name, bytes);
        assert_eq!(log.matches(reason).count(), 1, "{name}: {log}");
    }
}

/// Cargo builds a core module for wasm32-unknown-unknown, and componentize-qjs builds a component.
#[test]
fn a_core_module_is_taken_as_cargo_leaves_it_and_so_is_a_component() {
    let core = root().join("target/handlers/wasm32-unknown-unknown/handler/probe.wasm");
    for (file, header) in [
        (core, b"\0asm\x01\0\0\0"),
        (handler("probe-js"), b"\0asm\x0d\0\x01\0"),
    ] {
        let bytes = fs::read(&file).expect("a component that was built");
        assert!(bytes.starts_with(header), "{}", file.display());
        let toml = "[handler.probe]\ntimeout = \"10s\"\n";
        let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], toml);
        fs::write(setup.dir.path().join("plugins/00-probe.wasm"), &bytes)
            .expect("the file is written");
        let fixture = Fixture::on(setup, &in_the_middle("reject"));
        assert_eq!(fixture.stored(), ["before", "after"]);
        let digest = format!("{:x}", Sha256::digest(&bytes));
        let letter = fixture.dead_letter();
        assert_eq!(letter.header("eventos.handler.digest"), digest);
    }
}

#[test]
fn a_component_of_another_world_is_named() {
    let log = start_failure_with_file("50-nothing.wasm", b"\0asm\x0d\0\x01\0");
    assert!(
        log.contains("does not fit the world eventos:handler/handler"),
        "{log}"
    );
}

/// Starts a daemon with this file in its drop-in folder, which cannot be loaded. Returns the error, which names the file.
fn start_failure_with_file(name: &str, bytes: &[u8]) -> String {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    fs::write(setup.dir.path().join("plugins").join(name), bytes).expect("the file is written");
    let log = refusal(&setup);
    assert!(log.contains(&format!("plugins/{name}")), "{log}");
    log
}
