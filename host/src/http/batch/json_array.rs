//! A JSON array: one text per element. Elements are found while the body arrives, so a client that stops in the middle
//! of one holds a connection but no thread.

use std::{io, mem};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream::BoxStream};
use serde_json::value::RawValue;
use tokio_util::{
    codec::{Decoder, FramedRead},
    io::StreamReader,
};

use super::{
    super::problem::{MALFORMED_JSON, Problem},
    Item,
    body::MAX_EVENTO,
};

/// How many bytes are read at a time.
const BUFFER: usize = 64 << 10;

/// The length at which the end of an element is no longer looked for, since that would mean to keep it in memory.
const MAX_ELEMENT: usize = MAX_EVENTO + 2 * BUFFER;

/// Returns the elements of a body whose first byte is `[`. An element that is much longer than an Evento may be ends the
/// array. The rest of a malformed array is read and discarded, since a client that sends everything before it reads
/// anything has to send the rest before it reads the result.
pub(super) fn items(
    chunks: BoxStream<'static, io::Result<Bytes>>,
) -> impl Stream<Item = io::Result<Item>> {
    let elements = Elements::default();
    FramedRead::with_capacity(StreamReader::new(chunks), elements, BUFFER).boxed()
}

/// Splits an array at the commas between its elements.
#[derive(Default)]
struct Elements {
    place: Place,
    /// The length of the start of the buffer that belongs to the element.
    scanned: usize,
    /// The number of brackets and braces that are open within the element.
    depth: usize,
    in_string: bool,
    after_backslash: bool,
    /// The number of elements so far.
    count: usize,
    /// Why the array is malformed after the element that was returned last.
    fault: Option<String>,
}

#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    BeforeArray,
    InArray,
    AfterArray,
    /// The array is malformed; the rest of the body is discarded.
    Discarding,
}

impl Elements {
    /// Returns the index of the byte that ends the element, if it has arrived: a comma or the bracket of the array.
    fn find_end(&mut self, buffer: &[u8]) -> Option<usize> {
        while let Some(rest) = buffer.get(self.scanned..).filter(|rest| !rest.is_empty()) {
            if mem::take(&mut self.after_backslash) {
                self.scanned += 1;
            } else if self.in_string {
                let Some(found) = memchr::memchr2(b'"', b'\\', rest) else {
                    break;
                };
                self.after_backslash = rest[found] == b'\\';
                self.in_string = self.after_backslash;
                self.scanned += found + 1;
            } else {
                match rest[0] {
                    b'"' => self.in_string = true,
                    b'{' | b'[' => self.depth += 1,
                    b',' | b']' if self.depth == 0 => return Some(self.scanned),
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    _ => {}
                }
                self.scanned += 1;
            }
        }
        self.scanned = buffer.len();
        None
    }

    /// Takes the element that ends before `end` out of the buffer. An empty array has none.
    fn take_element(&mut self, buffer: &mut BytesMut, end: usize) -> Option<Item> {
        let element = buffer.split_to(end).freeze();
        let is_last = buffer.get_u8() == b']';
        let is_empty_array = is_last && self.count == 0 && element.trim_ascii().is_empty();
        self.scanned = 0;
        self.count += 1;
        if is_last {
            self.place = Place::AfterArray;
        }
        if is_empty_array {
            return None;
        }
        let mut values = serde_json::Deserializer::from_slice(&element).into_iter::<&RawValue>();
        let text = match values.next() {
            Some(Ok(value)) => value.get().as_bytes(),
            Some(Err(error)) => return Some(self.broken(&error.to_string())),
            None => return Some(self.broken("an element is missing")),
        };
        if !element[values.byte_offset()..].trim_ascii().is_empty() {
            self.fault = Some("there is no comma after an element".to_owned());
        }
        Some(match text.len() {
            0..=MAX_EVENTO => Item::Text(element.slice_ref(text)),
            _ => Item::TooLong,
        })
    }

    fn broken(&mut self, detail: &str) -> Item {
        self.place = Place::Discarding;
        let detail = format!("malformed array: {detail}; nothing from here on was sent");
        Item::Broken(Problem::new(MALFORMED_JSON, detail))
    }
}

impl Decoder for Elements {
    type Item = Item;
    type Error = io::Error;

    fn decode(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Item>> {
        if let Some(fault) = self.fault.take() {
            return Ok(Some(self.broken(&fault)));
        }
        if let Place::BeforeArray = self.place
            && !buffer.is_empty()
        {
            buffer.advance(1);
            self.place = Place::InArray;
        }
        if let Place::InArray = self.place {
            let end = self.find_end(buffer);
            // Also if its end has arrived: that depends on the pieces in which it does.
            if self.scanned > MAX_ELEMENT {
                let detail = format!("an element is longer than {MAX_EVENTO} bytes");
                return Ok(Some(self.broken(&detail)));
            }
            if let Some(end) = end
                && let Some(item) = self.take_element(buffer, end)
            {
                return Ok(Some(item));
            }
        }
        if let Place::AfterArray = self.place
            && !buffer.trim_ascii().is_empty()
        {
            return Ok(Some(self.broken("there is text after the array")));
        }
        if let Place::AfterArray | Place::Discarding = self.place {
            buffer.clear();
        }
        Ok(None)
    }

    fn decode_eof(&mut self, buffer: &mut BytesMut) -> io::Result<Option<Item>> {
        if let Some(item) = self.decode(buffer)? {
            return Ok(Some(item));
        }
        buffer.clear();
        match self.place {
            Place::BeforeArray | Place::InArray => {
                Ok(Some(self.broken("the body ends before the array does")))
            }
            Place::AfterArray | Place::Discarding => Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{FutureExt as _, stream};
    use proptest::prelude::*;

    use super::*;

    /// Returns the items of an array that arrives in pieces of `length` bytes.
    fn arrived(array: &str, length: usize) -> Vec<Item> {
        let chunks: Vec<_> = array
            .as_bytes()
            .chunks(length)
            .map(|chunk| Ok(Bytes::copy_from_slice(chunk)))
            .collect();
        let items = items(stream::iter(chunks).boxed()).collect::<Vec<_>>();
        let items = items.now_or_never().expect("all of it is there");
        let whole = items.into_iter().collect::<io::Result<_>>();
        whole.expect("the body is whole")
    }

    /// Returns the elements of an array that arrives in pieces of `length` bytes, and whether it is malformed.
    fn split(array: &str, length: usize) -> (Vec<String>, bool) {
        let (mut texts, mut broken) = (Vec::new(), false);
        for item in arrived(array, length) {
            match item {
                Item::Text(text) => {
                    texts.push(String::from_utf8(text.to_vec()).expect("UTF-8"));
                }
                Item::TooLong => unreachable!("the elements are short"),
                Item::Broken(_) => broken = true,
            }
        }
        (texts, broken)
    }

    /// Returns each element, or what is wrong with it.
    fn outline(array: &str, length: usize) -> Vec<String> {
        let items = arrived(array, length).into_iter();
        let outline = items.map(|item| match item {
            Item::Text(text) => String::from_utf8_lossy(&text).into_owned(),
            Item::TooLong => "too long".to_owned(),
            Item::Broken(_) => "broken".to_owned(),
        });
        outline.collect()
    }

    fn json() -> impl Strategy<Value = String> {
        let leaf = prop_oneof![
            Just("null".to_owned()),
            "-?[1-9][0-9]{0,5}(\\.[0-9]{1,3})?",
            any::<String>().prop_map(|text| serde_json::to_string(&text).expect("JSON")),
            "[\\[\\]{},\\\\\"]{0,6}".prop_map(|text| serde_json::to_string(&text).expect("JSON")),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4)
                    .prop_map(|all| format!("[ {} ]", all.join(" ,"))),
                inner.prop_map(|one| format!("{{ \"a\\\"]\" :{one}}}")),
            ]
        })
    }

    proptest! {
        #[test]
        fn elements_are_found_wherever_the_body_is_cut(
            elements in prop::collection::vec(json(), 0..6),
            length in 1_usize..40,
        ) {
            let array = format!("[\n{} ]\r\n", elements.join(" , "));
            prop_assert_eq!(split(&array, length), (elements, false));
        }

        #[test]
        fn what_is_not_an_array_is_malformed_and_never_panics(
            text in "[\\[\\]{},\\\\\" 1a]{0,30}",
            length in 1_usize..8,
        ) {
            let body = format!("[{text}");
            let valid = serde_json::from_str::<Vec<serde_json::Value>>(&body).is_ok();
            prop_assert_eq!(!split(&body, length).1, valid);
        }
    }

    #[test]
    fn whether_an_element_is_too_long_does_not_depend_on_the_pieces_that_it_arrives_in() {
        let array = |length: usize| format!("[\"{}\",1]", "x".repeat(length - 2));
        // What is a bit too long is skipped, and what is far too long ends the array.
        for (length, expected) in [
            (MAX_EVENTO + 1, &["too long", "1"][..]),
            (MAX_ELEMENT, &["too long", "1"]),
            (MAX_ELEMENT + 1, &["broken"]),
            (MAX_ELEMENT + BUFFER, &["broken"]),
        ] {
            let array = array(length);
            for piece in [1 << 10, BUFFER, array.len()] {
                let found = outline(&array, piece);
                assert_eq!(found, expected, "{length} bytes in pieces of {piece}");
            }
        }
    }
}
