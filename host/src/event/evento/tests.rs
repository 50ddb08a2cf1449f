use proptest::prelude::*;

use super::{excess::find_excesses, *};

fn parse(text: &str) -> Result<EventoRef<'_>, NotAnEvento> {
    EventoRef::parse(text.as_bytes())
}

fn faults(text: &str) -> Vec<String> {
    faults_within(&EventoLimits::NONE, text)
}

fn faults_within(limits: &EventoLimits, text: &str) -> Vec<String> {
    match EventoRef::parse_within(limits, text.as_bytes()) {
        Err(NotAnEvento::Invalid(faults)) => faults.iter().map(Fault::to_string).collect(),
        other => panic!("{text}: {other:?}"),
    }
}

/// Limits that short texts exceed.
const NARROW: EventoLimits = EventoLimits {
    max_depth: 3,
    max_number_length: 5,
    refuse_lone_surrogates: true,
};

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

#[test]
fn what_exceeds_a_limit_is_named_with_its_place() {
    for (members, expected) in [
        (r#""x":[[1]]"#, vec![]),
        (r#""x":12345,"y":"123456","z":[-1e+5]"#, vec![]),
        (
            r#""x":"\ud83d\ude00 \\ud800 \u00e9","\ud83d\ude00":1"#,
            vec![],
        ),
        (
            r#""x":[0,[[],[1]]]"#,
            vec![
                "/x/1/0 is nested deeper than 3 levels",
                "/x/1/1 is nested deeper than 3 levels",
            ],
        ),
        (
            r#""a/b~c":{"é":{"deep":{"er":[[123456]]},"n":1}},"m":123456"#,
            vec![
                "/a~1b~0c/é/deep is nested deeper than 3 levels",
                "/m is a number of 6 characters, of which at most 5 are accepted",
            ],
        ),
        (
            r#""x":["a",-1.0e5,0.0001]"#,
            vec![
                "/x/1 is a number of 6 characters, of which at most 5 are accepted",
                "/x/2 is a number of 6 characters, of which at most 5 are accepted",
            ],
        ),
        (
            r#""x":"a\uD800b","y":{"\udc00":["\ud800\ud800"]}"#,
            vec![
                r"/x has \uD800, half of a surrogate pair, which is no character",
                r"/y has a member whose name has \udc00, half of a surrogate pair, which is no character",
                r"/y has \ud800, half of a surrogate pair, which is no character",
            ],
        ),
    ] {
        let text = format!(r#"{{{members},"id":1,"tipo":"t"}}"#);
        match expected.is_empty() {
            true => assert!(
                EventoRef::parse_within(&NARROW, text.as_bytes()).is_ok(),
                "{text}"
            ),
            false => assert_eq!(faults_within(&NARROW, &text), expected, "{text}"),
        }
        assert!(parse(&text).is_ok(), "{text}");
    }
}

#[test]
fn the_default_limits_are_exact() {
    let limits = EventoLimits::default();
    let nested = |levels: usize| {
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        format!(r#"{{"id":1,"tipo":"t","x":{open}{close}}}"#)
    };
    let number = |digits: usize| format!(r#"{{"id":1,"tipo":"t","x":{}}}"#, "7".repeat(digits));
    for text in [nested(128), number(400)] {
        let parsed = EventoRef::parse_within(&limits, text.as_bytes());
        assert!(parsed.is_ok(), "{text}: {parsed:?}");
    }
    let pointer = format!("/x{}", "/0".repeat(127));
    assert_eq!(
        faults_within(&limits, &nested(129)),
        [format!("{pointer} is nested deeper than 128 levels")]
    );
    assert_eq!(
        faults_within(&limits, &number(401)),
        ["/x is a number of 401 characters, of which at most 400 are accepted"]
    );
    // A million levels cost no more memory than the ones that are permitted.
    assert_eq!(faults_within(&limits, &nested(1_000_000)).len(), 1);
}

#[test]
fn faults_of_id_and_tipo_are_named_once() {
    let limits = EventoLimits::default();
    assert_eq!(
        faults_within(&limits, r#"{"id":"\ud800","tipo":"t"}"#),
        [r"/id has \ud800, half of a surrogate pair, which is no character"]
    );
    assert_eq!(
        faults(r#"{"id":1,"tipo":"\udead"}"#),
        ["/tipo has half of a surrogate pair, which is no character"]
    );
    let long = format!(r#"{{"id":{},"tipo":"t"}}"#, "9".repeat(401));
    assert_eq!(
        faults_within(&limits, &long),
        ["/id is a number of 401 characters, of which at most 400 are accepted"]
    );
    assert!(parse(&long).is_ok());
    // A name with a lone surrogate does not hide that this is an object.
    assert!(parse(r#"{"id":1,"tipo":"t","\ud800":1}"#).is_ok());
    assert_eq!(
        faults(r#"{"\ud800":1}"#),
        ["/id is missing", "/tipo is missing"]
    );
    let list = faults_within(&NARROW, "[[[[]]]]");
    assert_eq!(
        list,
        [
            "it is not a JSON object",
            "/0/0/0 is nested deeper than 3 levels"
        ]
    );
}

#[test]
fn faults_and_pointers_are_bounded() {
    let many = format!(
        r#"{{"id":1,"tipo":"t","x":[{}0]}}"#,
        "123456,".repeat(1_000)
    );
    assert_eq!(faults_within(&NARROW, &many).len(), 10);
    let name = "n".repeat(600);
    let long = format!(r#"{{"id":1,"tipo":"t","x":{{"{name}":123456}}}}"#);
    assert_eq!(
        faults_within(&NARROW, &long),
        ["/x is a number of 6 characters, of which at most 5 are accepted"]
    );
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let text = "\u{feff}{\"id\":1,\"tipo\":\"t\"}";
    assert_eq!(parse(text).expect("valid").tipo, "t");
    assert!(parse(&format!("\u{feff}{text}")).is_err());
}

/// JSON whose texts look like brackets, numbers and surrogates.
fn json() -> impl Strategy<Value = String> {
    let text = || r#"([\[\]{},0-9.eE+a-]|\\ud800|\\udc00|\\uD83D|\\\\|\\"|\\n){0,9}"#;
    let leaf = prop_oneof![
        Just("null".to_owned()),
        "-?(0|[1-9][0-9]{0,6})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
        text().prop_map(|text| format!("\"{text}\"")),
    ];
    leaf.prop_recursive(5, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|all| format!("[ {} ]", all.join(" ,"))),
            (text(), inner).prop_map(|(name, one)| format!("{{ \"{name}\" :{one}}}")),
        ]
    })
}

/// Says the same of a text as the scan does, with a parser of another make.
fn exceeds(value: &str, limits: &EventoLimits) -> bool {
    let (mut depth, mut deepest, mut number, mut longest) = (0_u32, 0, 0, 0);
    let (mut in_string, mut escaped) = (false, false);
    for byte in value.bytes() {
        number = match byte {
            b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E'
                if !in_string && (number > 0 || byte == b'-' || byte.is_ascii_digit()) =>
            {
                number + 1
            }
            _ => 0,
        };
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            b'[' | b'{' if !in_string => depth += 1,
            b']' | b'}' if !in_string => depth -= 1,
            _ => {}
        }
        (deepest, longest) = (depth.max(deepest), number.max(longest));
    }
    let is_lone = serde_json::from_str::<Texts>(value).is_err();
    deepest > limits.max_depth || longest > limits.max_number_length || is_lone
}

/// Reads every text of a value, which fails for a lone surrogate.
struct Texts;

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::Value::deserialize(deserializer).map(|_| Self)
    }
}

proptest! {
    #[test]
    fn the_quick_look_and_the_scan_agree_with_another_parser(
        value in json(),
        max_depth in 1..5_u32,
        max_number_length in 1..8_u32,
    ) {
        let limits = EventoLimits { max_depth, max_number_length, refuse_lone_surrogates: true };
        let expected = exceeds(&value, &limits);
        prop_assert_eq!(!find_excesses(&value, &limits).is_empty(), expected, "{}", value);
        prop_assert!(limits.may_be_exceeded(&value) || !expected, "{}", value);
    }
}
