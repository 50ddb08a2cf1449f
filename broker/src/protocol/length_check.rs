//! Checks the lengths in a request before it is decoded.
//!
//! The decoder of the protocol crate allocates as many elements as the length of an array says before it reads the first
//! one: a request of twenty bytes could ask for 200 GB, and a failed allocation ends the process. So this module walks
//! through the request without decoding it, compares every length with the bytes that are there, and limits the number of
//! elements. The layouts come from the [table of APIs](super::apis).

use super::{
    apis::Api,
    layout::{Field, Kind},
};

/// The largest number of elements and tagged fields in one request, over all arrays.
const MAX_ELEMENTS: usize = 1_000_000;
/// The first version of the request header that has compact lengths and tagged fields (KIP-482).
const FLEXIBLE_HEADER: i16 = 2;
/// The byte before a nullable structure that is not null.
const PRESENT: u8 = 1;

/// Checks that all lengths in the body of a request fit the body, so that decoding it allocates no more than it should.
///
/// Ignores bytes after the request and the meaning of its fields.
pub(crate) fn check(api: &Api, version: i16, body: &[u8]) -> Result<(), LengthError> {
    let mut walker = Walker {
        rest: body,
        version,
        flexible: api.key.request_header_version(version) >= FLEXIBLE_HEADER,
        elements_left: MAX_ELEMENTS,
    };
    walker.fields(api.layout)
}

/// The reason why a request is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LengthError {
    /// The request ends within a field, or a length exceeds the bytes that follow.
    #[error("a field or a length exceeds the end of the request")]
    Short,
    /// The request has more elements than any sensible one.
    #[error("the request has more than {MAX_ELEMENTS} elements")]
    Elements,
}

/// The rest of a request.
struct Walker<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements_left: usize,
}

impl Walker<'_> {
    /// Skips the fields of a structure, and its tagged fields.
    fn fields(&mut self, fields: &[Field]) -> Result<(), LengthError> {
        for field in fields {
            if (field.from..=field.to).contains(&self.version) {
                self.field(field)?;
            }
        }
        if self.flexible {
            for _ in 0..self.varint()? {
                self.count(1)?;
                self.varint()?;
                let length = self.varint()?;
                self.skip(length)?;
            }
        }
        Ok(())
    }

    fn field(&mut self, field: &Field) -> Result<(), LengthError> {
        match field.kind {
            Kind::Fixed(length) => self.skip(length),
            Kind::Text => {
                let length = if self.flexible {
                    self.compact()?
                } else {
                    self.i16()?
                };
                self.skip(length)
            }
            Kind::Blob => {
                let length = self.length()?;
                self.skip(length)
            }
            Kind::List(element) => {
                let elements = self.elements()?;
                (0..elements).try_for_each(|_| self.field(element))
            }
            Kind::Structs(fields) => {
                let elements = self.elements()?;
                (0..elements).try_for_each(|_| self.fields(fields))
            }
            Kind::Nullable(fields) => match self.byte()? {
                PRESENT => self.fields(fields),
                _ => Ok(()),
            },
        }
    }

    /// Reads the number of elements of an array, each of which takes at least one byte.
    fn elements(&mut self) -> Result<usize, LengthError> {
        let elements = self.length()?;
        if elements > self.rest.len() {
            return Err(LengthError::Short);
        }
        self.count(elements)?;
        Ok(elements)
    }

    fn count(&mut self, elements: usize) -> Result<(), LengthError> {
        let left = self.elements_left.checked_sub(elements);
        self.elements_left = left.ok_or(LengthError::Elements)?;
        Ok(())
    }

    fn skip(&mut self, length: usize) -> Result<(), LengthError> {
        self.rest = self.rest.get(length..).ok_or(LengthError::Short)?;
        Ok(())
    }

    /// Reads the length of a blob or an array; null counts as empty.
    fn length(&mut self) -> Result<usize, LengthError> {
        if self.flexible {
            return self.compact();
        }
        let (length, rest) = self.rest.split_first_chunk().ok_or(LengthError::Short)?;
        self.rest = rest;
        not_negative(i32::from_be_bytes(*length))
    }

    fn byte(&mut self) -> Result<u8, LengthError> {
        let (&byte, rest) = self.rest.split_first().ok_or(LengthError::Short)?;
        self.rest = rest;
        Ok(byte)
    }

    fn i16(&mut self) -> Result<usize, LengthError> {
        let (length, rest) = self.rest.split_first_chunk().ok_or(LengthError::Short)?;
        self.rest = rest;
        not_negative(i32::from(i16::from_be_bytes(*length)))
    }

    /// Reads a compact length: the number is one more than the length, and 0 is null.
    fn compact(&mut self) -> Result<usize, LengthError> {
        Ok(self.varint()?.saturating_sub(1))
    }

    fn varint(&mut self) -> Result<usize, LengthError> {
        let mut value = 0u32;
        for shift in (0..32).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value as usize);
            }
        }
        Err(LengthError::Short)
    }
}

/// Treats negative lengths as empty: -1 is null, and the decoder refuses the others.
fn not_negative(length: i32) -> Result<usize, LengthError> {
    Ok(usize::try_from(length).unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::protocol::apis::APIS;
    use bytes::Bytes;
    use kafka_protocol::messages::{ApiKey, RequestKind};
    use proptest::prelude::*;

    /// Returns the body of a request whose numbers are 0, whose strings are "ab", and whose arrays have `each` elements.
    pub(crate) fn sample(api: &Api, version: i16, each: u8) -> Vec<u8> {
        let flexible = api.key.request_header_version(version) >= FLEXIBLE_HEADER;
        let mut bytes = Vec::new();
        make(api.layout, version, flexible, each, &mut bytes);
        bytes
    }

    /// Appends fields with `each` elements in every array.
    fn make(fields: &[Field], version: i16, flexible: bool, each: u8, out: &mut Vec<u8>) {
        for field in fields {
            if (field.from..=field.to).contains(&version) {
                make_field(field, version, flexible, each, out);
            }
        }
        if flexible {
            out.push(0);
        }
    }

    fn make_field(field: &Field, version: i16, flexible: bool, each: u8, out: &mut Vec<u8>) {
        let length = |out: &mut Vec<u8>, length: u8, width: usize| {
            if flexible {
                out.push(length + 1);
            } else {
                out.extend(std::iter::repeat_n(0, width - 1));
                out.push(length);
            }
        };
        match field.kind {
            Kind::Fixed(n) => out.extend(std::iter::repeat_n(0, n)),
            Kind::Text => {
                length(out, 2, 2);
                out.extend(b"ab");
            }
            Kind::Blob => {
                length(out, 3, 4);
                out.extend(b"abc");
            }
            Kind::List(element) => {
                length(out, each, 4);
                for _ in 0..each {
                    make_field(element, version, flexible, each, out);
                }
            }
            Kind::Structs(fields) => {
                length(out, each, 4);
                for _ in 0..each {
                    make(fields, version, flexible, each, out);
                }
            }
            Kind::Nullable(_) if each == 0 => out.push(0xff),
            Kind::Nullable(fields) => {
                out.push(PRESENT);
                make(fields, version, flexible, each, out);
            }
        }
    }

    fn each_supported(mut test: impl FnMut(&'static Api, i16)) {
        for api in APIS {
            for version in api.versions.0..=api.versions.1 {
                test(api, version);
            }
        }
    }

    #[test]
    fn every_layout_is_the_one_that_the_decoder_reads() {
        each_supported(|api, version| {
            for each in 0..4 {
                let what = format!("{:?} v{version}", api.key);
                let bytes = sample(api, version, each);
                assert_eq!(check(api, version, &bytes), Ok(()), "{what}");
                let mut bytes = Bytes::from(bytes);
                let decoded = RequestKind::decode(api.key, &mut bytes, version);
                assert!(decoded.is_ok(), "{what}: {decoded:?}");
                assert!(bytes.is_empty(), "{what} leaves {bytes:?}");
            }
        });
    }

    #[test]
    fn a_short_request_that_promises_much_is_refused() {
        let api = |key| Api::find(key).unwrap();
        // A fetch of 2^31 - 1 topics.
        let mut fetch = vec![0; 17];
        fetch.extend(i32::MAX.to_be_bytes());
        assert_eq!(
            check(api(ApiKey::Fetch), 4, &fetch),
            Err(LengthError::Short)
        );
        let mut texts = 2_000_000i32.to_be_bytes().to_vec();
        texts.resize(8_000_000, 0);
        let groups = api(ApiKey::DeleteGroups);
        assert_eq!(check(groups, 0, &texts), Err(LengthError::Elements));
    }

    proptest! {
        #[test]
        fn whatever_passes_can_be_decoded_without_harm(
            which in any::<prop::sample::Index>(),
            each in 0..3u8,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let mut all = Vec::new();
            each_supported(|api, version| all.push((api, version, sample(api, version, each))));
            let which = which.index(all.len());
            let (api, version, bytes) = &mut all[which];
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            if check(api, *version, bytes).is_ok() {
                let _ = RequestKind::decode(api.key, &mut Bytes::copy_from_slice(bytes), *version);
            }
        }
    }
}
