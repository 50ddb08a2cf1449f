//! Tests of handlers written as authors write them, through the columns and back.

use crate::{
    Evento, Header, Outcome, Record, config, emit,
    log::{self, Level},
    store,
    testing::{self, Emitted, Logged},
};

fn evento(id: &str, tipo: &str) -> Record {
    Record::new(format!(r#"{{"id":{id},"tipo":"{tipo}"}}"#))
}

#[test]
fn everything_of_a_record_can_be_read() {
    let whole = evento(r#""\u00e1-1""#, "sismo")
        .key("clave")
        .header("a", "1")
        .null_header("b")
        .header("a", "")
        .header("b", "2")
        .header("a", vec![0xff])
        .null_header("c")
        .timestamp(1_700_000_000_000);
    let bare = evento("123456789012345678901234567890", "x");
    let empty_key = evento("-7", "y").key("");
    let records = [
        whole,
        bare,
        empty_key,
        Record::tombstone("clave").header("h", "i"),
    ];

    let seen = |evento: &Evento<'_>| {
        assert_eq!((evento.topic(), evento.partition()), ("eventos", 0));
        assert!(!evento.log_append_time());
        match evento.offset() {
            0 => assert_whole(evento),
            1 => {
                assert_eq!(evento.id(), "123456789012345678901234567890");
                assert!(evento.id_is_integer() && !evento.is_tombstone());
                assert_eq!((evento.key(), evento.timestamp()), (None, None));
                assert_eq!(evento.headers().count(), 0);
            }
            2 => {
                assert_eq!((evento.id(), evento.key()), ("-7", Some(&b""[..])));
            }
            _ => {
                assert!(evento.is_tombstone() && !evento.id_is_integer());
                assert_eq!((evento.id(), evento.tipo(), evento.text()), ("", "", None));
                assert_eq!(evento.key(), Some(&b"clave"[..]));
                assert_eq!(evento.header("h"), Some(&b"i"[..]));
            }
        }
        Outcome::Pass
    };
    assert_eq!(testing::run(seen, records).outcomes.len(), 4);
}

/// Checks the first of those records, which has everything.
fn assert_whole(evento: &Evento<'_>) {
    assert_eq!(
        (evento.id(), evento.id_is_integer(), evento.tipo()),
        ("á-1", false, "sismo")
    );
    assert_eq!(evento.text(), Some(r#"{"id":"\u00e1-1","tipo":"sismo"}"#));
    assert_eq!(evento.key(), Some(&b"clave"[..]));
    assert_eq!(evento.timestamp(), Some(1_700_000_000_000));
    let header = |name, value| Header { name, value };
    let expected = [
        header("a", Some(&b"1"[..])),
        header("b", None),
        header("a", Some(b"")),
        header("b", Some(b"2")),
        header("a", Some(b"\xff")),
        header("c", None),
    ];
    assert_eq!(evento.headers().len(), 6);
    assert_eq!(evento.headers().collect::<Vec<_>>(), expected);
    assert!(evento.headers().rev().eq(expected.into_iter().rev()));
    assert_eq!(evento.header("a"), Some(&b"\xff"[..]));
    assert_eq!((evento.header("c"), evento.header("d")), (None, None));
}

#[test]
fn every_outcome_comes_back_in_its_place() {
    let answer = |evento: &Evento<'_>| match evento.tipo() {
        "drop" => Outcome::Drop,
        "replace" => Outcome::replace([
            evento.to_record().header("n", "1"),
            Record::tombstone("k").timestamp(3),
        ]),
        "none" => Outcome::replace([]),
        "retry" => Outcome::retry("busy"),
        "reject" => Outcome::reject(format!("{} is wrong", evento.id())),
        _ => Outcome::Pass,
    };
    let tipos = [
        "retry", "replace", "pass", "none", "reject", "drop", "replace", "reject",
    ];
    let records = tipos.map(|tipo| evento("1", tipo).key("k").null_header("z"));
    let replacement = evento("1", "replace")
        .key("k")
        .null_header("z")
        .header("n", "1");
    let replaced = Outcome::Replace(vec![replacement, Record::tombstone("k").timestamp(3)]);
    let expected = [
        Outcome::retry("busy"),
        replaced.clone(),
        Outcome::Pass,
        Outcome::Replace(vec![]),
        Outcome::reject("1 is wrong"),
        Outcome::Drop,
        replaced,
        Outcome::reject("1 is wrong"),
    ];
    assert_eq!(testing::run(answer, records).outcomes, expected);
}

#[test]
fn effects_count_unless_their_evento_is_retried_or_rejected() {
    let handle = |evento: &Evento<'_>| {
        store::append(evento);
        emit::send("even", evento, Record::new(evento.id()).key("e"));
        emit::send("odd", evento, Record::tombstone(evento.id()));
        log::warn!("saw {}", evento.id());
        match evento.tipo() {
            "bad" => Outcome::reject("bad"),
            "busy" => Outcome::retry("busy"),
            _ => Outcome::Pass,
        }
    };
    let records = [evento("1", "bad"), evento("2", "good"), evento("3", "busy")];
    let run = testing::run(handle, records);
    assert_eq!(run.stored, [1]);
    let emitted = |topic: &str, record| Emitted {
        topic: topic.to_owned(),
        cause: 1,
        record,
    };
    let expected = [
        emitted("even", Record::new("2").key("e")),
        emitted("odd", Record::tombstone("2")),
    ];
    assert_eq!(run.emitted, expected);
    let logged = |record: usize, message: &str| Logged {
        level: Level::Warn,
        record: Some(record),
        message: message.to_owned(),
    };
    assert_eq!(
        run.logged,
        [logged(0, "saw 1"), logged(1, "saw 2"), logged(2, "saw 3")]
    );
}

#[test]
fn one_batch_leaves_nothing_to_the_next() {
    let handle = |evento: &Evento<'_>| {
        store::append(evento);
        emit::send("t", evento, Record::new("x"));
        Outcome::Pass
    };
    testing::run(handle, [evento("1", "a"), evento("2", "a")]);
    let run = testing::run(handle, [evento("3", "a")]);
    assert_eq!((run.stored.as_slice(), run.emitted.len()), (&[0][..], 1));
}

#[test]
fn settings_are_read_by_key_and_in_order() {
    testing::set("b", "2");
    testing::set("a", "[1]");
    assert_eq!(config::get("b").as_deref(), Some("2"));
    assert_eq!(config::get("c"), None);
    let all = config::all();
    assert_eq!(
        all,
        [
            ("a".to_owned(), "[1]".to_owned()),
            ("b".to_owned(), "2".to_owned())
        ]
    );
}

#[derive(Debug, serde::Deserialize)]
struct Strong {
    least: f64,
}

impl Strong {
    fn handle(&self, evento: &Evento<'_>) -> Outcome {
        #[derive(serde::Deserialize)]
        struct Sismo<'a> {
            mag: f64,
            place: Option<&'a str>,
        }
        match evento.json::<Option<Sismo<'_>>>() {
            Ok(Some(sismo)) if sismo.mag >= self.least => {
                Outcome::reject(sismo.place.unwrap_or("nowhere"))
            }
            Ok(_) => Outcome::Pass,
            Err(error) => Outcome::reject(error.to_string()),
        }
    }
}

#[test]
fn a_handler_with_a_state_reads_typed_settings_and_eventos() {
    use crate::exports::{keep_state, with_state};

    let start = || keep_state(config::typed, Strong::handle);
    let missing = "invalid settings: missing field `least`";
    assert_eq!(start(), Err(missing.to_owned()));
    testing::set("least", "5");
    assert_eq!(start(), Ok(()));
    let sismo = |more: &str| Record::new(format!(r#"{{"id":1,"tipo":"sismo"{more}}}"#));
    let records = [
        sismo(r#","mag":5.5,"place":"Lima""#),
        sismo(r#","mag":4.5"#),
        Record::tombstone("1"),
        sismo(r#","mag":"5.5""#),
    ];
    let expected = [
        Outcome::reject("Lima"),
        Outcome::Pass,
        Outcome::Pass,
        Outcome::reject("invalid type: string \"5.5\", expected f64 at line 1 column 34"),
    ];
    assert_eq!(testing::run(with_state, records).outcomes, expected);
}

#[test]
fn what_is_at_a_pointer_comes_to_the_letter() {
    let pointer = "/n".parse().expect("a pointer");
    let look = |evento: &Evento<'_>| Outcome::reject(format!("{:?}", evento.at(&pointer)));
    let records = [
        Record::new(r#"{"id":1,"tipo":"x","n":1.10}"#),
        evento("2", "x"),
        Record::tombstone("1"),
    ];
    let expected = [r#"Some("1.10")"#, "None", "None"].map(Outcome::reject);
    assert_eq!(testing::run(look, records).outcomes, expected);
}
