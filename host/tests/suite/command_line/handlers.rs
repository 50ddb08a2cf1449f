//! Files that are not valid handlers: `check` and `serve` say what is wrong with each.

use eventos_testkit::{handler, root};

use super::Shell;

/// A component that imports an HTTP client.
const IMPORTS_HTTP: &str = r#"
(component
  (import "wasi:http/types@0.2.6" (instance
    (export "fields" (type (sub resource)))
    (export "http-error-code" (func (result u32))))))
"#;

/// A component without imports and exports.
const EMPTY: &str = "(component)";

/// Core modules that compilers produce, and what is wrong with each: one for another purpose, one for WASI preview 1, and one that
/// lacks parts of the world.
const CORE_MODULES: [(&str, &str); 3] = [
    (
        "(module)",
        "it is a core WebAssembly module that exports no `handle`; does it call the macro that exports one?",
    ),
    (
        r#"(module (import "wasi_snapshot_preview1" "fd_write" (func)) (func (export "handle")))"#,
        "it is a core WebAssembly module for WASI preview 1; build it for wasm32-unknown-unknown or wasm32-wasip2",
    ),
    (
        r#"(module (func (export "init")) (func (export "handle")))"#,
        "it is a core WebAssembly module that does not fit the world eventos:handler/handler@1.0.0 (see wit/): ",
    ),
];

fn wasm(text: &str) -> Vec<u8> {
    wat::parse_str(text).expect("valid text format")
}

/// Checks one file, in a folder without a drop-in folder. Returns the only problem.
fn problem(content: &[u8]) -> String {
    let shell = Shell::new();
    shell.write("mine.wasm", content);
    let output = shell.run(&["check", "mine.wasm"]);
    assert_eq!(
        (output.code, output.out.as_str()),
        (Some(1), "1 problem\n"),
        "{}",
        output.err
    );
    let [error] = output.errors()[..] else {
        panic!("{}", output.err);
    };
    let (place, message) = error.split_once(": ").expect("a place");
    assert_eq!(place, "mine.wasm");
    message.to_owned()
}

#[test]
fn a_handler_is_checked_wherever_it_is() {
    let shell = Shell::new();
    let store = std::fs::read(handler("store")).expect("a component that was built");
    let output = shell
        .write("target/20-mine.wasm", store)
        .run(&["check", "target/20-mine.wasm"]);
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""));
    assert_eq!(output.out, "target/20-mine.wasm: handler mine is ok\nok\n");
}

#[test]
fn junk_and_core_modules_are_told_apart() {
    assert_eq!(problem(b"junk"), "it is not WebAssembly");
    assert_eq!(problem(b""), "it is not WebAssembly");
    for (core, why) in CORE_MODULES {
        let message = problem(&wasm(core));
        assert!(message.starts_with(why), "{message}");
    }
    let truncated = |mut bytes: Vec<u8>| {
        bytes.truncate(1_000);
        problem(&bytes)
    };
    let message =
        truncated(std::fs::read(handler("probe-js")).expect("a component that was built"));
    assert!(
        message.starts_with("it is not a WebAssembly component that this engine supports: "),
        "{message}"
    );
    let message = truncated(std::fs::read(handler("store")).expect("a component that was built"));
    let damaged = "it is a core WebAssembly module that cannot be parsed: ";
    assert!(message.starts_with(damaged), "{message}");
}

#[test]
fn a_core_module_is_checked_as_cargo_leaves_it() {
    let built = root().join("target/handlers/wasm32-unknown-unknown/handler/probe.wasm");
    let built = built.to_str().expect("UTF-8");
    let output = Shell::new().run(&["check", built]);
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""));
    assert_eq!(output.out, format!("{built}: handler probe is ok\nok\n"));
}

#[test]
fn an_import_that_the_host_does_not_offer_is_named() {
    let message = problem(&wasm(IMPORTS_HTTP));
    assert!(
        message.starts_with("it imports interfaces that handlers cannot use: "),
        "{message}"
    );
    assert!(message.contains("wasi:http/types@0.2.6"), "{message}");
}

#[test]
fn a_component_that_exports_no_handler_does_not_fit_the_world() {
    let message = problem(&wasm(EMPTY));
    assert!(
        message.starts_with("it does not fit the world "),
        "{message}"
    );
    assert!(message.contains("export"), "{message}");
}

/// Earlier drafts of `wasi:messaging` have the same version number.
#[test]
fn a_component_of_another_draft_of_messaging_is_told_so() {
    let consumer = r#"(component (import "wasi:messaging/consumer@0.2.0-draft" (instance)))"#;
    let message = problem(&wasm(consumer));
    let error =
        "it imports interfaces that handlers cannot use: wasi:messaging/consumer@0.2.0-draft;";
    assert!(message.starts_with(error), "{message}");
    let guest = r#"(component (instance $it)
        (export "wasi:messaging/incoming-handler@0.2.0-draft" (instance $it)))"#;
    let message = problem(&wasm(guest));
    let world = "it does not fit the world wasi:messaging/messaging-request-reply@0.2.0-draft (see host/wit/): ";
    assert!(message.starts_with(world), "{message}");
}

/// The check covers every file in the drop-in folder, and reports the good one as ok.
#[test]
fn every_file_of_the_folder_is_checked() {
    let shell = Shell::new();
    shell.write(
        "plugins/10-store.wasm",
        std::fs::read(handler("store")).expect("a component that was built"),
    );
    shell.write("plugins/20-files.wasm", wasm(IMPORTS_HTTP));
    shell.write("plugins/30-junk.wasm", "junk");
    shell.write(
        "plugins/notes.txt",
        "a file that is not meant to be a handler",
    );
    let output = shell.run(&["check"]);
    assert_eq!(output.code, Some(1));
    assert_eq!(
        output.out,
        "plugins/10-store.wasm: handler store is ok\n2 problems\n"
    );
    let errors = output.errors();
    assert_eq!(errors.len(), 2, "{}", output.err);
    assert!(
        errors[0].starts_with("plugins/20-files.wasm: "),
        "{}",
        output.err
    );
    assert!(
        errors[0].contains("wasi:http/types@0.2.6"),
        "{}",
        output.err
    );
    assert!(
        errors[1].starts_with("plugins/30-junk.wasm: "),
        "{}",
        output.err
    );
}

#[test]
fn two_files_of_one_name_are_refused() {
    let shell = Shell::new();
    let store = std::fs::read(handler("store")).expect("a component that was built");
    shell.write("plugins/10-store.wasm", &store);
    shell.write("plugins/20-store.wasm", &store);
    let output = shell.run(&["check"]);
    assert_eq!(output.code, Some(1));
    let error = "plugins/10-store.wasm and plugins/20-store.wasm are both the handler store";
    assert!(output.errors()[0].contains(error), "{}", output.err);
}
