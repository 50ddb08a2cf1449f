//! Files that are no handlers: `check` and `serve` say what is wrong with each.

use eventos_testkit::{handler, root};

use super::Shell;

/// A component that would call others over HTTP.
const CALLS_OTHERS: &str = r#"
(component
  (import "wasi:http/types@0.2.6" (instance
    (export "fields" (type (sub resource)))
    (export "http-error-code" (func (result u32))))))
"#;

/// A component that asks for nothing, and offers nothing.
const EMPTY: &str = "(component)";

/// What compilers make: for something else, for WASI's first version, and for us but in half.
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
    wat::parse_str(text).expect("valid")
}

/// Checks a file by its name, in a folder without any plugins; answers its one problem.
fn problem(content: &[u8]) -> String {
    let shell = Shell::new();
    shell.write("mine.wasm", content);
    let ran = shell.run(&["check", "mine.wasm"]);
    assert_eq!(
        (ran.code, ran.out.as_str()),
        (Some(1), "1 problem\n"),
        "{}",
        ran.err
    );
    let [error] = ran.errors()[..] else {
        panic!("{}", ran.err);
    };
    let (place, message) = error.split_once(": ").expect("a place");
    assert_eq!(place, "mine.wasm");
    message.to_owned()
}

#[test]
fn a_handler_is_checked_wherever_it_is() {
    let shell = Shell::new();
    let store = std::fs::read(handler("store")).expect("built");
    let ran = shell
        .write("target/20-mine.wasm", store)
        .run(&["check", "target/20-mine.wasm"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_eq!(ran.out, "target/20-mine.wasm: handler mine is ok\nok\n");
}

#[test]
fn junk_and_core_modules_are_told_apart() {
    assert_eq!(problem(b"junk"), "it is not WebAssembly");
    assert_eq!(problem(b""), "it is not WebAssembly");
    for (core, why) in CORE_MODULES {
        let said = problem(&wasm(core));
        assert!(said.starts_with(why), "{said}");
    }
    let cut = |mut whole: Vec<u8>| {
        whole.truncate(1_000);
        problem(&whole)
    };
    let torn = cut(std::fs::read(handler("probe-js")).expect("built"));
    assert!(
        torn.starts_with("it is not a WebAssembly component that this engine supports: "),
        "{torn}"
    );
    let torn = cut(std::fs::read(handler("store")).expect("built"));
    let damaged = "it is a core WebAssembly module that cannot be parsed: ";
    assert!(torn.starts_with(damaged), "{torn}");
}

#[test]
fn a_core_module_is_checked_as_cargo_leaves_it() {
    let built = root().join("target/handlers/wasm32-unknown-unknown/handler/probe.wasm");
    let built = built.to_str().expect("UTF-8");
    let ran = Shell::new().run(&["check", built]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""));
    assert_eq!(ran.out, format!("{built}: handler probe is ok\nok\n"));
}

#[test]
fn an_import_that_the_host_does_not_offer_is_named() {
    let message = problem(&wasm(CALLS_OTHERS));
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

/// Earlier drafts of `wasi:messaging` bear the same version.
#[test]
fn a_component_of_another_draft_of_messaging_is_told_so() {
    let consumer = r#"(component (import "wasi:messaging/consumer@0.2.0-draft" (instance)))"#;
    let said = problem(&wasm(consumer));
    let named =
        "it imports interfaces that handlers cannot use: wasi:messaging/consumer@0.2.0-draft;";
    assert!(said.starts_with(named), "{said}");
    let guest = r#"(component (instance $it)
        (export "wasi:messaging/incoming-handler@0.2.0-draft" (instance $it)))"#;
    let said = problem(&wasm(guest));
    let world = "it does not fit the world wasi:messaging/messaging-request-reply@0.2.0-draft (see host/wit/): ";
    assert!(said.starts_with(world), "{said}");
}

/// In the folder they are all looked at, and the good one is still good.
#[test]
fn every_file_of_the_folder_is_checked_and_the_daemon_does_not_start_on_a_bad_one() {
    let shell = Shell::new();
    shell.write(
        "plugins/10-store.wasm",
        std::fs::read(handler("store")).expect("built"),
    );
    shell.write("plugins/20-files.wasm", wasm(CALLS_OTHERS));
    shell.write("plugins/30-junk.wasm", "junk");
    shell.write("plugins/notes.txt", "no handler, and not meant to be one");
    let ran = shell.run(&["check"]);
    assert_eq!(ran.code, Some(1));
    assert_eq!(
        ran.out,
        "plugins/10-store.wasm: handler store is ok\n2 problems\n"
    );
    let errors = ran.errors();
    assert_eq!(errors.len(), 2, "{}", ran.err);
    assert!(
        errors[0].starts_with("plugins/20-files.wasm: "),
        "{}",
        ran.err
    );
    assert!(
        errors[1].starts_with("plugins/30-junk.wasm: "),
        "{}",
        ran.err
    );

    let ran = shell.run(&["serve"]);
    assert_eq!(ran.code, Some(1));
    let error = ran
        .err
        .lines()
        .find(|line| line.starts_with("error: "))
        .expect("an error");
    assert!(error.contains("plugins/20-files.wasm"), "{}", ran.err);
    assert!(ran.err.contains("wasi:http/types@0.2.6"), "{}", ran.err);
}

#[test]
fn two_files_of_one_name_are_refused() {
    let shell = Shell::new();
    let store = std::fs::read(handler("store")).expect("built");
    shell.write("plugins/10-store.wasm", &store);
    shell.write("plugins/20-store.wasm", &store);
    let ran = shell.run(&["check"]);
    assert_eq!(ran.code, Some(1));
    let error = "plugins/10-store.wasm and plugins/20-store.wasm are both the handler store";
    assert!(ran.errors()[0].contains(error), "{}", ran.err);
}
