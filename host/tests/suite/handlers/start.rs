//! A file in the folder that does not become a handler stops the start, and is named.

use std::fs;

use eventos_testkit::{Broker, Setup, handler, root};
use sha2::{Digest, Sha256};

use super::{Ran, in_the_middle};
use crate::EVENTOS;

fn refused(more: &str) -> String {
    Setup::new(EVENTOS, Broker::Embedded, &["probe", "store"], more).refused()
}

#[test]
fn an_init_that_refuses_is_quoted() {
    let said = refused("[handler.probe.config]\nfail_init = \"not today\"\n");
    assert!(said.contains("plugins/00-probe.wasm"), "{said}");
    assert!(
        said.contains("init function failed: fail_init is set: not today"),
        "{said}"
    );
    assert!(
        said.lines().any(|line| line.starts_with("error: ")),
        "{said}"
    );
}

#[test]
fn an_init_that_fails_tells_how() {
    for (start, reason) in [
        ("panic", "asked to panic"),
        ("spin", "ran longer than its limit of 100ms"),
        ("grow", "its limit is 16777216"),
    ] {
        let said = refused(&format!(
            "[handler.probe]\nmemory = \"16MiB\"\ntimeout = \"100ms\"\nconfig = {{ start = {start:?} }}\n"
        ));
        assert!(said.contains("plugins/00-probe.wasm"), "{said}");
        let told = said.split("it does not start: ").skip(1);
        let told: Vec<_> = told.filter(|why| why.contains(reason)).collect();
        assert_eq!(told.len(), 1, "{said}");
    }
}

#[test]
fn a_file_that_is_no_component_is_named() {
    let none = "it is not WebAssembly";
    for (name, bytes, reason) in [
        ("50-text.wasm", &b"not WebAssembly"[..], none),
        ("50-empty.wasm", b"", none),
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
        let said = refused_file(name, bytes);
        assert_eq!(said.matches(reason).count(), 1, "{name}: {said}");
    }
}

/// Cargo makes a core module for wasm32-unknown-unknown; componentize-qjs makes a component.
#[test]
fn a_core_module_is_taken_as_cargo_leaves_it_and_so_is_a_component() {
    let core = root().join("target/handlers/wasm32-unknown-unknown/handler/probe.wasm");
    for (file, header) in [
        (core, b"\0asm\x01\0\0\0"),
        (handler("probe-js"), b"\0asm\x0d\0\x01\0"),
    ] {
        let bytes = fs::read(&file).expect("built");
        assert!(bytes.starts_with(header), "{}", file.display());
        let more = "[handler.probe]\ntimeout = \"10s\"\n";
        let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], more);
        fs::write(setup.dir.path().join("plugins/00-probe.wasm"), &bytes).expect("written");
        let ran = Ran::on(setup, &in_the_middle("reject"));
        assert_eq!(ran.stored(), ["before", "after"]);
        let digest = format!("{:x}", Sha256::digest(&bytes));
        let letter = ran.dead_letter();
        assert_eq!(letter.header("eventos.handler.digest"), digest);
    }
}

#[test]
fn a_component_of_another_world_is_named() {
    let said = refused_file("50-nothing.wasm", b"\0asm\x0d\0\x01\0");
    assert!(
        said.contains("does not fit the world eventos:handler/handler"),
        "{said}"
    );
}

fn refused_file(name: &str, bytes: &[u8]) -> String {
    let setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    fs::write(setup.dir.path().join("plugins").join(name), bytes).expect("written");
    let said = setup.refused();
    assert!(said.contains(&format!("plugins/{name}")), "{said}");
    said
}
