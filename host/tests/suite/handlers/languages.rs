//! The probe in each of four languages behaves the same.

use std::fs;

use eventos_testkit::{
    Broker, ReceivedRecord, Setup, handler, header_list, headers, produce, read_topic,
};
use rdkafka::producer::BaseRecord;

use super::{Fixture, TIMESTAMP, evento, refusal};
use crate::EVENTOS;

macro_rules! in_each_language {
    ($($language:ident: $file:literal),+ $(,)?) => {$(
        mod $language {
            #[test]
            fn does_what_a_handler_can_do() {
                super::does_what_a_handler_can_do($file);
            }

            #[test]
            fn is_held_to_its_limits_and_hands_on_what_it_was_given() {
                super::is_held_to_its_limits_and_hands_on_what_it_was_given($file);
            }

            #[test]
            fn may_refuse_to_start() {
                super::may_refuse_to_start($file);
            }
        }
    )+};
}

in_each_language! {
    rust: "probe",
    c: "probe-c",
    python: "probe-python",
    js: "probe-js",
}

const TOPIC: &str = "alertas";
const KEY: &[u8] = b"k\xff\0\"";
const HEADERS: [(&str, Option<&[u8]>); 4] = [
    ("a", Some(b"1")),
    ("b", None),
    ("a", Some(b"\xfe")),
    ("", Some(b"")),
];
/// The tipos of the Eventos, which say what the probe has to do. The id of each is its offset.
const TIPOS: [&str; 17] = [
    "good",
    "drop",
    "replace",
    "replace-none",
    "replace-tombstone",
    "echo",
    "retry",
    "reject",
    "config",
    "store",
    "store-reject",
    "emit",
    "emit-reject",
    "log",
    "panic",
    "store-panic",
    "emit-forbidden",
];

/// Prepares a daemon with the component `file` as the handler `probe`, the handlers `after` it, and this configuration.
fn setup(file: &str, after: &[&str], toml: &str) -> Setup {
    let setup = Setup::new(EVENTOS, Broker::Embedded, after, toml);
    let probe = setup.dir.path().join("plugins/00-probe.wasm");
    fs::copy(handler(file), probe).expect("the handler is copied");
    setup
}

/// Has a daemon handle Eventos, which get the offsets from 0, and then records with a key, headers and these values.
fn handle(setup: Setup, eventos: &[String], values: &[Option<&str>]) -> Fixture {
    let daemon = setup.start();
    let topic = setup.topic();
    let record = || BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
    let bare = eventos
        .iter()
        .zip(TIMESTAMP..)
        .map(|(evento, at)| record().timestamp(at).payload(evento.as_bytes()));
    let full = values.iter().map(|value| {
        let full = record().key(KEY).headers(headers(&HEADERS));
        let full = full.timestamp(TIMESTAMP + 1_000);
        match value {
            Some(value) => full.payload(value.as_bytes()),
            None => full,
        }
    });
    let records: Vec<_> = bare.chain(full).collect();
    let count = u32::try_from(records.len()).expect("a count");
    produce(daemon.broker(), records);
    daemon.wait_for_consumed(count);
    Fixture { setup, daemon }
}

/// Checks the dead letters of the Eventos that made the handler panic.
fn assert_trapped(dead: &[(i64, String, String)]) {
    for ((offset, class, message), (at, text)) in dead
        .iter()
        .zip([(14, "asked to panic"), (15, "panicked after an effect")])
    {
        assert_eq!((*offset, class.as_str()), (at, "eventos.Trap"));
        assert!(
            message.contains(text) && !message.contains('\n'),
            "{message}"
        );
    }
}

/// An Evento whose id does not fit into 63 bits.
const INTEGER_ID: &str = r#"{"id":9223372036854775808,"tipo":"headers","of":1.10}"#;

/// An Evento whose id has letters beyond ASCII, one of them escaped.
const BEYOND_ASCII: &str = r#"{"id":"ñandú ✓ \ud83c\udf0a","tipo":"headers"}"#;

fn does_what_a_handler_can_do(file: &str) {
    let toml = format!(
        "[telemetry]\nlog = \"info,eventos::handler=trace\"\n[handler.probe]\nproduce = [{TOPIC:?}]\nretries = 1\n\
         timeout = \"10s\"\nconfig = {{ emit_to = {TOPIC:?}, number = 7, tombstone = \"headers\" }}\n"
    );
    let eventos: Vec<_> = (0..).zip(TIPOS).map(|(i, tipo)| evento(i, tipo)).collect();
    let values = [Some(INTEGER_ID), Some(BEYOND_ASCII), None];
    let fixture = handle(setup(file, &["store"], &toml), &eventos, &values);

    // `store` stores every Evento that passes, so those that `probe` itself stores are there twice.
    let stored = ["0", "part-1", "part-2", "5", "9", "9", "11", "13"];
    assert_eq!(fixture.stored(), stored);
    assert_eq!(
        fixture.daemon.messages("/part-2"),
        format!(r#"{{"id":"part-2","tipo":"part","of":{}}}"#, eventos[2])
    );
    let dead: Vec<_> = fixture.dead_letters().iter().map(reason).collect();
    let topic = fixture.setup.topic();
    let reject = |offset, message: &str| (offset, "eventos.Reject".to_owned(), message.to_owned());
    let exact = [
        (
            6,
            "eventos.Retry".to_owned(),
            "6 is asked to be retried".to_owned(),
        ),
        reject(7, "7 is asked to be rejected"),
        reject(
            8,
            r#"[("emit_to", "alertas"), ("number", "7"), ("tombstone", "headers")]"#,
        ),
        reject(10, "rejected after an effect"),
        reject(12, "rejected after an effect"),
    ];
    assert_eq!(dead[..5], exact);
    assert_trapped(&dead[5..7]);
    let forbidden =
        "emit.send: the topic forbidden is not permitted; add it to handler.probe.produce";
    assert_eq!(
        dead[7],
        (16, "eventos.Invalid".to_owned(), forbidden.to_owned())
    );
    let seen = [
        seen(
            &topic,
            17,
            "9223372036854775808",
            "headers",
            Some(INTEGER_ID),
        ),
        seen(&topic, 18, "ñandú ✓ 🌊", "headers", Some(BEYOND_ASCII)),
        seen(&topic, 19, "", "", None),
    ];
    let seen: Vec<_> = (17..)
        .zip(&seen)
        .map(|(offset, seen)| reject(offset, seen))
        .collect();
    assert_eq!(dead[8..], seen);

    assert_emitted(&fixture, &eventos[11]);
    assert_logged(&fixture);
}

/// Checks that exactly one record was emitted, by the Evento at offset 11.
fn assert_emitted(fixture: &Fixture, evento: &str) {
    let emitted = read_topic(fixture.daemon.broker(), TOPIC);
    let [seen] = <[_; 1]>::try_from(emitted).expect("one record");
    let seen = ReceivedRecord::from(seen);
    let headers = [("a", Some(&b"1"[..])), ("nothing", None), ("a", Some(b"2"))];
    let expected = ReceivedRecord {
        partition: seen.partition,
        offset: seen.offset,
        key: Some(b"key of 11".to_vec()),
        value: Some(evento.as_bytes().to_vec()),
        headers: header_list(&headers),
        timestamp: Some(TIMESTAMP),
    };
    assert_eq!(seen, expected);
}

/// Checks the log lines that the Evento at offset 13 made the handler write.
fn assert_logged(fixture: &Fixture) {
    let log = fixture.daemon.wait_for_log("13 at error");
    for level in ["trace", "debug", "info", "warn", "error"] {
        let text = format!("13 at {level}");
        let line = log.lines().find(|line| line.contains(&text));
        let line = line.unwrap_or_else(|| panic!("{text} is not in the log"));
        let level = level.to_uppercase();
        for part in [
            level.as_str(),
            "handler=\"probe\"",
            "partition=0",
            "offset=13",
        ] {
            assert!(line.contains(part), "{part} is not in {line}");
        }
    }
}

fn is_held_to_its_limits_and_hands_on_what_it_was_given(file: &str) {
    // `probe` replaces the tombstone with a copy, and `last`, which is in Rust, rejects it with a description.
    let toml = "[handler.probe]\ntimeout = \"1s\"\nmemory = \"64MiB\"\nconfig = { tombstone = \"echo\" }\n\
                [handler.last.config]\ntombstone = \"headers\"\n";
    let setup = setup(file, &["store"], toml);
    let last = setup.dir.path().join("plugins/20-last.wasm");
    fs::copy(handler("probe"), last).expect("the handler is copied");
    let tipos = ["good", "spin", "good", "grow", "recurse", "good"];
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let fixture = handle(setup, &eventos, &[None]);

    assert_eq!(fixture.stored(), ["0", "2", "5"]);
    let dead: Vec<_> = fixture.dead_letters().iter().map(reason).collect();
    let offsets: Vec<_> = dead.iter().map(|(offset, ..)| *offset).collect();
    assert_eq!(offsets, [1, 3, 4, 6], "{dead:?}");
    let spin = "ran longer than its limit of 1s".to_owned();
    assert_eq!(dead[0], (1, "eventos.Timeout".to_owned(), spin));
    assert_eq!(dead[1].1, "eventos.Memory");
    assert!(
        dead[1].2.ends_with("its limit is 67108864"),
        "{}",
        dead[1].2
    );
    let class = match file {
        "probe-python" => "eventos.Trap",
        _ => "eventos.Stack",
    };
    assert_eq!(dead[2].1, class, "{}", dead[2].2);
    let seen = seen(&fixture.setup.topic(), 6, "", "", None);
    assert_eq!(dead[3], (6, "eventos.Reject".to_owned(), seen));
    let letters = fixture.dead_letters();
    assert_eq!(letters[3].header("eventos.handler"), "last");
}

fn may_refuse_to_start(file: &str) {
    let toml = "[handler.probe]\ntimeout = \"10s\"\nconfig = { fail_init = \"not today\" }\n";
    let log = refusal(&setup(file, &[], toml));
    let reason = "init function failed: fail_init is set: not today";
    assert!(log.contains(reason), "{log}");
    assert!(log.contains("plugins/00-probe.wasm"), "{log}");
}

/// Returns the offset of the source, the class and the message of a dead letter.
fn reason(letter: &ReceivedRecord) -> (i64, String, String) {
    let header = |name| {
        letter
            .header(&format!("__connect.errors.exception.{name}"))
            .to_owned()
    };
    (
        letter.offset_of_source(),
        header("class.name"),
        header("message"),
    )
}

/// Returns the description by the probe of a record with a key and headers.
fn seen(topic: &str, offset: i64, id: &str, tipo: &str, value: Option<&str>) -> String {
    let integer = id.parse::<u64>().is_ok();
    let tombstone = value.is_none();
    let value = value.map_or("null".to_owned(), |value| {
        format!("\"{}\"", value.as_bytes().escape_ascii())
    });
    let timestamp = TIMESTAMP + 1_000;
    format!(
        r#"id="{id}"; integer={integer}; tipo="{tipo}"; key="k\xff\x00\""; value={value}; headers=[a="1", b=null, a="\xfe", =""]; timestamp=Some({timestamp}); log_append_time=false; tombstone={tombstone}; topic={topic}; partition=0; offset={offset}"#
    )
}
