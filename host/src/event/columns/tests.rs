use proptest::prelude::*;

use super::*;
use crate::event::{Header, Timestamp};

/// A record with owned fields.
#[derive(Clone, Debug, PartialEq)]
struct Plain {
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(String, Option<Vec<u8>>)>,
    timestamp: i64,
}

fn plain() -> impl Strategy<Value = Plain> {
    let bytes = || proptest::option::of(proptest::collection::vec(any::<u8>(), 0..6));
    let headers = proptest::collection::vec((".{0,3}", bytes()), 0..4);
    (bytes(), bytes(), headers, -1..9i64).prop_map(|(key, value, headers, timestamp)| Plain {
        key,
        value,
        headers,
        timestamp,
    })
}

fn columns(of: &[Plain]) -> Records {
    let mut records = Records::default();
    for plain in of {
        let headers = plain.headers.iter().map(|(name, value)| Header {
            name: name.as_bytes(),
            value: value.as_deref(),
        });
        let (key, value) = (plain.key.as_deref(), plain.value.as_deref());
        records.push(key, value, headers, Timestamp(plain.timestamp), 0);
    }
    records
}

fn plains(of: &Records) -> Vec<Plain> {
    let read = |record: RecordRef<'_>| Plain {
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record
            .headers
            .map(|h| (h.name().into_owned(), h.value.map(<[u8]>::to_vec)))
            .collect(),
        timestamp: record.timestamp.0,
    };
    of.iter().map(read).collect()
}

/// Every column of numbers that a handler could get wrong.
fn ends(records: &mut Records) -> [&mut Vec<u32>; 5] {
    [
        &mut records.key_ends,
        &mut records.value_ends,
        &mut records.header_ends,
        &mut records.header_name_ends,
        &mut records.header_value_ends,
    ]
}

proptest! {
    #[test]
    fn what_went_in_comes_out(records in proptest::collection::vec(plain(), 0..5)) {
        let columns = columns(&records);
        prop_assert_eq!(columns.check(), Ok(()));
        prop_assert_eq!(plains(&columns), records);
    }

    /// Hostile columns are either refused or can be read without a panic.
    #[test]
    fn what_passes_the_check_can_be_read(
        records in proptest::collection::vec(plain(), 1..4),
        column in 0..5usize,
        entry in any::<proptest::sample::Index>(),
        number in prop_oneof![0..20u32, Just(u32::MAX)],
    ) {
        let mut columns = columns(&records);
        let column = &mut ends(&mut columns)[column];
        if !column.is_empty() {
            let entry = entry.index(column.len());
            column[entry] = number;
        }
        if columns.check().is_ok() {
            plains(&columns);
        }
    }

    #[test]
    fn texts_come_back(texts in proptest::collection::vec(".{0,4}", 0..6)) {
        let mut columns = Texts::default();
        texts.iter().for_each(|text| columns.push(text));
        prop_assert_eq!(columns.check("texts", texts.len()), Ok(()));
        let back: Vec<_> = (0..columns.len()).map(|i| columns.get(i).to_owned()).collect();
        prop_assert_eq!(back, texts);
    }
}

#[test]
fn a_text_that_is_not_utf8_is_refused() {
    let texts = Texts {
        bytes: vec![b'a', 0xff],
        ends: vec![1, 2],
    };
    let (column, entry) = ("reasons", 1);
    assert_eq!(
        texts.check("reasons", 2),
        Err(ColumnFault::Utf8 { column, entry })
    );
}

#[test]
fn a_column_of_another_length_is_refused() {
    let mut records = Records::default();
    records.push(None, Some(b"v"), [], Timestamp::NONE, 0);
    records.timestamps.push(0);
    let fault = records.check().expect_err("one timestamp too many");
    assert_eq!(
        fault.to_string(),
        "column timestamps has 2 entries instead of 1"
    );
}
