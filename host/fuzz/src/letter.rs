//! Any headers as those of a dead letter.

use std::collections::BTreeMap;

use crate::{
    event::{DeadLetterReason, FailureKind, Header, Letter, Offset, Partition},
    input::Input,
};

type Owned = (Vec<u8>, Option<Vec<u8>>);

/// Reads any headers as those of a dead letter. The headers of its record outlast that it is redriven and fails again.
///
/// # Panics
/// Panics if they do not.
pub fn letter(bytes: &[u8]) {
    let known = known_names();
    let mut input = Input(bytes);
    let mut headers = Vec::new();
    while !input.0.is_empty() {
        let name = match known.get(usize::from(input.byte())) {
            Some(name) => name.clone(),
            None => input.bytes(),
        };
        let is_null = input.byte() == 0;
        headers.push((name, (!is_null).then(|| input.bytes())));
    }
    let letter = Letter::read(borrowed(&headers));
    assert!(
        letter
            .original
            .iter()
            .copied()
            .eq(borrowed(&headers).take(letter.original.len()))
    );

    let original = letter.original.iter();
    let original = original.map(|it| (it.name.to_vec(), it.value.map(<[u8]>::to_vec)));
    let redriven = original.chain(letter.history_headers().into_iter().map(owned));
    let failure = failure();
    let dead: Vec<_> = redriven
        .chain(failure.headers(1 << 10).into_iter().map(owned))
        .collect();
    let again = Letter::read(borrowed(&dead));
    assert_eq!(again.original, letter.original);
    assert_eq!(again.redriven, letter.redriven.saturating_add(1));
    assert_eq!(again.failure, Some(failure));
    assert!(again.history.len() <= 5);
}

/// Returns the names of all headers that a letter may have added.
fn known_names() -> Vec<Vec<u8>> {
    let letter = Letter {
        original: Vec::new(),
        redriven: 0,
        history: BTreeMap::from([(2, failure())]),
        failure: Some(failure()),
    };
    let history = letter.history_headers().into_iter().map(owned);
    let added = failure().headers(1 << 10).into_iter().map(owned);
    history.chain(added).map(|(name, _)| name).collect()
}

/// Returns a failure with all of its parts.
fn failure() -> DeadLetterReason {
    DeadLetterReason {
        topic: "t".to_owned(),
        partition: Some(Partition(1)),
        offset: Some(Offset(2)),
        handler: Some("h".to_owned()),
        digest: Some("d".to_owned()),
        left_out: Some("key".to_owned()),
        timestamp: Some(3),
        ..DeadLetterReason::new(FailureKind::Trap, "why".to_owned())
    }
}

fn owned((name, text): (impl Into<String>, String)) -> Owned {
    (name.into().into_bytes(), Some(text.into_bytes()))
}

fn borrowed(headers: &[Owned]) -> impl Iterator<Item = Header<'_>> {
    headers.iter().map(|(name, value)| Header {
        name,
        value: value.as_deref(),
    })
}
