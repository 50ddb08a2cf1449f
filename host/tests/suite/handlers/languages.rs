//! Four languages, same behaviour: the probe in each of them, with the same Eventos and the same expectations.

use std::fs;

use eventos_testkit::{
    Broker, Received, Setup, handler, header_list, headers, produce, read_topic,
};
use rdkafka::producer::BaseRecord;

use super::{Ran, TIMESTAMP, evento};
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
/// What it is asked to do, by offset. An id is the offset.
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

/// A daemon with the probe of this language as `probe`, the handlers after it, and more configuration.
fn setup(file: &str, after: &[&str], more: &str) -> Setup {
    let setup = Setup::new(EVENTOS, Broker::Embedded, after, more);
    let probe = setup.dir.path().join("plugins/00-probe.wasm");
    fs::copy(handler(file), probe).expect("copied");
    setup
}

/// Hands in Eventos, which are at the offsets from 0, and records with all that a record can have after them.
fn handled(setup: Setup, eventos: &[String], whole: &[Option<&str>]) -> Ran {
    let daemon = setup.start();
    let topic = setup.topic();
    let record = || BaseRecord::<[u8], [u8]>::to(&topic).partition(0);
    let bare = eventos
        .iter()
        .zip(TIMESTAMP..)
        .map(|(evento, at)| record().timestamp(at).payload(evento.as_bytes()));
    let whole = whole.iter().map(|value| {
        let whole = record().key(KEY).headers(headers(&HEADERS));
        let whole = whole.timestamp(TIMESTAMP + 1_000);
        match value {
            Some(value) => whole.payload(value.as_bytes()),
            None => whole,
        }
    });
    let records: Vec<_> = bare.chain(whole).collect();
    let count = u32::try_from(records.len()).expect("few");
    produce(daemon.broker(), records);
    daemon.wait_for_consumed(count);
    Ran { setup, daemon }
}

fn does_what_a_handler_can_do(file: &str) {
    let more = format!(
        "[telemetry]\nlog = \"info,eventos::handler=trace\"\n[handler.probe]\nproduce = [{TOPIC:?}]\nretries = 1\n\
         timeout = \"10s\"\nconfig = {{ emit_to = {TOPIC:?}, number = 7, tombstone = \"headers\" }}\n"
    );
    let eventos: Vec<_> = (0..).zip(TIPOS).map(|(i, tipo)| evento(i, tipo)).collect();
    let integer = r#"{"id":9223372036854775808,"tipo":"headers","of":1.10}"#;
    let beyond_ascii = r#"{"id":"ñandú ✓ \ud83c\udf0a","tipo":"headers"}"#;
    let whole = [Some(integer), Some(beyond_ascii), None];
    let ran = handled(setup(file, &["store"], &more), &eventos, &whole);

    // What passes is stored by the handler after it, so once more than it stores itself.
    let stored = ["0", "part-1", "part-2", "5", "9", "9", "11", "13"];
    assert_eq!(ran.stored(), stored);
    assert_eq!(
        ran.daemon.messages("/part-2"),
        format!(r#"{{"id":"part-2","tipo":"part","of":{}}}"#, eventos[2])
    );
    let dead: Vec<_> = ran.dead_letters().iter().map(told).collect();
    let topic = ran.setup.topic();
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
    for ((offset, class, message), (at, text)) in dead[5..7]
        .iter()
        .zip([(14, "asked to panic"), (15, "panicked after an effect")])
    {
        assert_eq!((*offset, class.as_str()), (at, "eventos.Trap"));
        assert!(
            message.contains(text) && !message.contains('\n'),
            "{message}"
        );
    }
    let forbidden =
        "emit.send: the topic forbidden is not permitted; add it to handler.probe.produce";
    assert_eq!(
        dead[7],
        (16, "eventos.Invalid".to_owned(), forbidden.to_owned())
    );
    let seen = [
        seen(&topic, 17, "9223372036854775808", "headers", Some(integer)),
        seen(&topic, 18, "ñandú ✓ 🌊", "headers", Some(beyond_ascii)),
        seen(&topic, 19, "", "", None),
    ];
    let seen: Vec<_> = (17..)
        .zip(&seen)
        .map(|(offset, seen)| reject(offset, seen))
        .collect();
    assert_eq!(dead[8..], seen);

    assert_emitted(&ran, &eventos[11]);
    assert_logged(&ran);
}

/// The record that the Evento at offset 11 caused, and no other.
fn assert_emitted(ran: &Ran, evento: &str) {
    let emitted = read_topic(ran.daemon.broker(), TOPIC);
    let [seen] = <[_; 1]>::try_from(emitted).expect("one record");
    let seen = Received::from(seen);
    let headers = [("a", Some(&b"1"[..])), ("nothing", None), ("a", Some(b"2"))];
    let expected = Received {
        partition: seen.partition,
        offset: seen.offset,
        key: Some(b"key of 11".to_vec()),
        value: Some(evento.as_bytes().to_vec()),
        headers: header_list(&headers),
        timestamp: Some(TIMESTAMP),
    };
    assert_eq!(seen, expected);
}

fn assert_logged(ran: &Ran) {
    let log = ran.daemon.log_with("13 at error");
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
    // It puts a copy of the tombstone in its place, and the last one, which is in Rust, tells what it sees.
    let more = "[handler.probe]\ntimeout = \"1s\"\nmemory = \"64MiB\"\nconfig = { tombstone = \"echo\" }\n\
                [handler.last.config]\ntombstone = \"headers\"\n";
    let setup = setup(file, &["store"], more);
    let last = setup.dir.path().join("plugins/20-last.wasm");
    fs::copy(handler("probe"), last).expect("copied");
    let tipos = ["good", "spin", "good", "grow", "recurse", "good"];
    let eventos: Vec<_> = (0..).zip(tipos).map(|(i, tipo)| evento(i, tipo)).collect();
    let ran = handled(setup, &eventos, &[None]);

    assert_eq!(ran.stored(), ["0", "2", "5"]);
    let dead: Vec<_> = ran.dead_letters().iter().map(told).collect();
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
    let seen = seen(&ran.setup.topic(), 6, "", "", None);
    assert_eq!(dead[3], (6, "eventos.Reject".to_owned(), seen));
    let letters = ran.dead_letters();
    assert_eq!(letters[3].header("eventos.handler"), "last");
}

fn may_refuse_to_start(file: &str) {
    let more = "[handler.probe]\ntimeout = \"10s\"\nconfig = { fail_init = \"not today\" }\n";
    let said = setup(file, &[], more).refused();
    let reason = "init function failed: fail_init is set: not today";
    assert!(said.contains(reason), "{said}");
    assert!(said.contains("plugins/00-probe.wasm"), "{said}");
}

/// Offset, class and message of a dead letter.
fn told(letter: &Received) -> (i64, String, String) {
    let said = |name| {
        letter
            .header(&format!("__connect.errors.exception.{name}"))
            .to_owned()
    };
    (
        letter.offset_of_source(),
        said("class.name"),
        said("message"),
    )
}

/// How the probe describes a record with all that a record can have.
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
