use super::*;

fn parse(text: &str) -> Result<EventoRef<'_>, NotAnEvento> {
    EventoRef::parse(text.as_bytes())
}

fn faults(text: &str) -> Vec<String> {
    match parse(text) {
        Err(NotAnEvento::Invalid(faults)) => faults.iter().map(Fault::to_string).collect(),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn an_id_is_a_string_or_an_integer_of_any_length() {
    for (text, id) in [
        (r#"{"id":"a","tipo":"t"}"#, Id::Text("a".into())),
        (r#"{"tipo":"t","id":"\u0061\n"}"#, Id::Text("a\n".into())),
        (r#"{"id":0,"tipo":"t"}"#, Id::Integer("0".into())),
        (r#"{"id":-7,"tipo":"t"}"#, Id::Integer("-7".into())),
        (
            r#"{"id":9223372036854775808,"tipo":"t"}"#,
            Id::Integer("9223372036854775808".into()),
        ),
        (
            r#"{"id":123456789012345678901234567890,"tipo":"t"}"#,
            Id::Integer("123456789012345678901234567890".into()),
        ),
    ] {
        let evento = parse(text).expect(text);
        assert_eq!(evento.id, id, "{text}");
        assert_eq!(evento.tipo, "t", "{text}");
    }
}

#[test]
fn the_rest_is_not_looked_into() {
    let text = r#" {"a":1e400,"id":1,"b":[{"id":{}}],"tipo":"\u00e9","c":1.10} "#;
    assert_eq!(parse(text).expect("valid").tipo, "é");
}

#[test]
fn every_fault_is_named() {
    assert_eq!(faults("{}"), ["/id is missing", "/tipo is missing"]);
    assert_eq!(faults("[1]"), ["it is not a JSON object"]);
    assert_eq!(
        faults(r#"{"id":1.0,"tipo":""}"#),
        [
            "/id is neither a non-empty string nor an integer",
            "/tipo is not a non-empty string"
        ]
    );
    assert_eq!(
        faults(r#"{"id":"","tipo":null}"#),
        [
            "/id is neither a non-empty string nor an integer",
            "/tipo is not a non-empty string"
        ]
    );
    assert_eq!(
        faults(r#"{"id":1,"id":2,"tipo":"t"}"#),
        ["/id stands 2 times"]
    );
    assert_eq!(
        faults(r#"{"id":1,"tipo":5}"#),
        ["/tipo is not a non-empty string"]
    );
}

#[test]
fn what_is_not_json_is_malformed() {
    for bytes in [
        &b"{"[..],
        b"",
        b"{\"id\":1,\"tipo\":\"t\"} x",
        b"{\"id\":\"\xff\"}",
    ] {
        let parsed = EventoRef::parse(bytes);
        assert!(
            matches!(parsed, Err(NotAnEvento::Malformed(_))),
            "{parsed:?}"
        );
    }
}
