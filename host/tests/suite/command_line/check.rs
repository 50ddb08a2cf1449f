//! `eventos check` with valid and invalid configurations.

use eventos_testkit::handler;
use serde_json::{Value, json};

use super::{Finished, Shell};

const BAD: &str = "\
[kafka]
topik = \"a\"
connect_retries = \"many\"
[embedded]
listen = \"0.0.0.0:9092\"
partitions = 0
[htpp]
listen = \"127.0.0.1:0\"
[handler.ghost]
timeout = \"1s\"
";

/// Creates a folder with the default handler in the drop-in folder.
fn shell() -> Shell {
    let shell = Shell::new();
    let store = std::fs::read(handler("store")).expect("a component that was built");
    shell.write("plugins/10-store.wasm", store);
    shell
}

fn json(output: &Finished) -> Value {
    assert_eq!(output.err, "", "the JSON has everything");
    serde_json::from_str(&output.out).expect("JSON")
}

#[test]
fn what_is_right_is_ok() {
    let shell = shell();
    let output = shell.run(&["check"]);
    assert_eq!((output.code, output.err.as_str()), (Some(0), ""));
    assert_eq!(
        output.out,
        "plugins/10-store.wasm: handler store is ok\nok\n"
    );

    shell.write("config/eventos.toml", "[http]\nlisten = \"127.0.0.1:0\"\n");
    let report = json(&shell.run(&["check", "--json"]));
    let digest = &report["handlers"][0]["digest"];
    assert_eq!(digest.as_str().map(str::len), Some(64));
    let store = json!({"name": "store", "path": "plugins/10-store.wasm", "ok": true, "digest": digest, "produce": []});
    assert_eq!(
        report,
        json!({"ok": true, "problems": [], "warnings": [], "handlers": [store]})
    );
}

#[test]
fn every_problem_is_told_at_once_with_its_place() {
    let shell = shell();
    let output = shell
        .write("bad.toml", BAD)
        .run(&["check", "--config", "bad.toml"]);
    assert_eq!(output.code, Some(1));
    assert!(output.out.ends_with("\n5 problems\n"), "{}", output.out);
    let (warnings, errors): (Vec<_>, Vec<_>) = output
        .err
        .lines()
        .partition(|line| line.starts_with("warning: "));
    assert_eq!(
        warnings,
        ["warning: bad.toml:9: [handler.ghost]: plugins has no handler of that name"]
    );
    let expected = [
        (2, "unknown key kafka.topik; did you mean kafka.topic?"),
        (3, "kafka.connect_retries = \"many\": "),
        (
            5,
            "embedded.listen = \"0.0.0.0:9092\": expected a loopback address",
        ),
        (6, "embedded.partitions = 0: expected 1 to 1000"),
        (7, "unknown key htpp; did you mean http?"),
    ];
    assert_eq!(errors.len(), expected.len(), "{errors:?}");
    for (error, (line, text)) in errors.iter().zip(expected) {
        let expected = format!("error: bad.toml:{line}: {text}");
        assert!(error.starts_with(&expected), "{error}");
    }
}

#[test]
fn for_programs_the_same_is_json() {
    let shell = shell();
    let output = shell
        .write("bad.toml", BAD)
        .run(&["check", "--config", "bad.toml", "--json"]);
    assert_eq!(output.code, Some(1));
    let report = json(&output);
    assert_eq!(report["ok"], false);
    let problems = report["problems"].as_array().expect("a list");
    let keys: Vec<_> = problems.iter().map(|problem| &problem["key"]).collect();
    assert_eq!(
        keys,
        [
            "kafka.topik",
            "kafka.connect_retries",
            "embedded.listen",
            "embedded.partitions",
            "htpp"
        ]
    );
    assert_eq!(
        problems[0],
        json!({
            "place": "bad.toml:2",
            "key": "kafka.topik",
            "message": "unknown key kafka.topik; did you mean kafka.topic?"
        })
    );
    assert_eq!(report["warnings"][0]["place"], "bad.toml:9");
    assert_eq!(
        report["handlers"][0]["name"], "store",
        "handlers are checked, too"
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let shell = shell();
    let output = shell.run(&["check", "--config", "none.toml"]);
    assert_eq!(output.code, Some(1));
    assert_eq!(output.errors().len(), 1, "{}", output.err);
    assert!(
        output.errors()[0].starts_with("none.toml: cannot be read: "),
        "{}",
        output.err
    );

    let output =
        shell
            .write("torn.toml", "[kafka]\ntopic = \"a\n")
            .run(&["check", "--config", "torn.toml"]);
    assert_eq!(output.code, Some(1));
    assert!(
        output.err.starts_with("error: torn.toml:2:"),
        "{}",
        output.err
    );
    assert!(output.err.contains("invalid TOML"), "{}", output.err);

    let output = Shell::new().run(&["check"]);
    assert_eq!(output.code, Some(1));
    let no_folder =
        "plugins: cannot read the handlers' folder plugins; create it, or set handlers.dir";
    assert!(output.errors()[0].starts_with(no_folder), "{}", output.err);
}

/// The daemon refuses the same configurations with the same errors, before it does anything.
#[test]
fn serve_does_not_start_on_it() {
    let shell = shell();
    let output = shell
        .write("bad.toml", BAD)
        .run(&["serve", "--config", "bad.toml"]);
    assert_eq!((output.code, output.out.as_str()), (Some(1), ""));
    let check = shell.run(&["check", "--config", "bad.toml"]);
    let errors = check.err.lines().filter(|line| line.starts_with("error: "));
    let (hints, same): (Vec<_>, Vec<_>) = output
        .err
        .lines()
        .partition(|line| line.starts_with("hint: "));
    assert_eq!(same, errors.collect::<Vec<_>>());
    assert_eq!(hints.len(), 1, "{}", output.err);
    assert!(!shell.dir.path().join("data").exists());
}
