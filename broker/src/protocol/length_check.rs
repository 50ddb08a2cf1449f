//! Walks a request without building it, to refuse what would hurt to decode.
//!
//! The decoder of the protocol crate makes room for as many elements as an array's length says, before it has seen one:
//! a request of twenty bytes could ask for 200 GB, and a failed allocation ends the process. So every length is held
//! against the bytes that are there, and the number of elements in one request is limited, before anything is decoded.
//! The layouts themselves are in `layouts`.

use kafka_protocol::messages::ApiKey;

use super::apis::{Field, Kind, layout};

/// The most elements and tagged fields in one request, all arrays together.
const MAX_ELEMENTS: usize = 1_000_000;
/// From this version of the request header on, a request has compact lengths and tagged fields (KIP-482).
const FLEXIBLE_HEADER: i16 = 2;
/// What stands before a structure that may be null, when it is not.
const PRESENT: u8 = 1;

/// Whether `body` has the shape of that request, so that decoding it takes no more memory than it should.
///
/// Bytes after the request are let be. What a field means is not judged.
pub fn check(api: ApiKey, version: i16, body: &[u8]) -> Result<(), Fault> {
    let layout = layout(api).ok_or(Fault::Layout)?;
    let mut walk = Walk {
        rest: body,
        version,
        flexible: api.request_header_version(version) >= FLEXIBLE_HEADER,
        elements_left: MAX_ELEMENTS,
    };
    walk.fields(layout)
}

/// Why a request is not decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ends within a field, or a length says so.
    #[error("a length or a field goes beyond the end of the request")]
    Short,
    /// More elements than any request needs.
    #[error("more than {MAX_ELEMENTS} elements")]
    Elements,
    /// This file does not know the request.
    #[error("a request whose layout is not known")]
    Layout,
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    flexible: bool,
    elements_left: usize,
}

impl Walk<'_> {
    /// The fields of a structure, and its tagged fields.
    fn fields(&mut self, fields: &[Field]) -> Result<(), Fault> {
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

    fn field(&mut self, field: &Field) -> Result<(), Fault> {
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

    /// How many elements an array has. Each takes a byte at least.
    fn elements(&mut self) -> Result<usize, Fault> {
        let elements = self.length()?;
        if elements > self.rest.len() {
            return Err(Fault::Short);
        }
        self.count(elements)?;
        Ok(elements)
    }

    fn count(&mut self, elements: usize) -> Result<(), Fault> {
        let left = self.elements_left.checked_sub(elements);
        self.elements_left = left.ok_or(Fault::Elements)?;
        Ok(())
    }

    fn skip(&mut self, length: usize) -> Result<(), Fault> {
        self.rest = self.rest.get(length..).ok_or(Fault::Short)?;
        Ok(())
    }

    /// The length of a blob or an array; null counts as empty.
    fn length(&mut self) -> Result<usize, Fault> {
        if self.flexible {
            return self.compact();
        }
        let (length, rest) = self.rest.split_first_chunk().ok_or(Fault::Short)?;
        self.rest = rest;
        not_negative(i32::from_be_bytes(*length))
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        let (&byte, rest) = self.rest.split_first().ok_or(Fault::Short)?;
        self.rest = rest;
        Ok(byte)
    }

    fn i16(&mut self) -> Result<usize, Fault> {
        let (length, rest) = self.rest.split_first_chunk().ok_or(Fault::Short)?;
        self.rest = rest;
        not_negative(i32::from(i16::from_be_bytes(*length)))
    }

    /// One more than the length; 0 is null.
    fn compact(&mut self) -> Result<usize, Fault> {
        Ok(self.varint()?.saturating_sub(1))
    }

    fn varint(&mut self) -> Result<usize, Fault> {
        let mut value = 0u32;
        for shift in (0..32).step_by(7) {
            let byte = self.byte()?;
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value as usize);
            }
        }
        Err(Fault::Short)
    }
}

/// -1 is null, and the decoder refuses other negative lengths by itself.
fn not_negative(length: i32) -> Result<usize, Fault> {
    Ok(usize::try_from(length).unwrap_or(0))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::protocol::dispatch::SUPPORTED;
    use bytes::Bytes;
    use kafka_protocol::messages::RequestKind;
    use proptest::prelude::*;

    /// The body of a request whose numbers are 0, whose texts are "ab", and whose arrays have `each` elements.
    pub(crate) fn sample(api: ApiKey, version: i16, each: u8) -> Vec<u8> {
        let flexible = api.request_header_version(version) >= FLEXIBLE_HEADER;
        let mut bytes = Vec::new();
        make(layout(api).unwrap(), version, flexible, each, &mut bytes);
        bytes
    }

    /// A request of that layout with `each` elements in every array.
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

    fn each_supported(mut test: impl FnMut(ApiKey, i16, &[Field], bool)) {
        for (api, first, last) in SUPPORTED {
            for version in *first..=*last {
                let flexible = api.request_header_version(version) >= FLEXIBLE_HEADER;
                test(*api, version, layout(*api).unwrap(), flexible);
            }
        }
    }

    #[test]
    fn every_layout_is_the_one_that_the_decoder_reads() {
        each_supported(|api, version, layout, flexible| {
            for each in 0..4 {
                let mut bytes = Vec::new();
                make(layout, version, flexible, each, &mut bytes);
                assert_eq!(check(api, version, &bytes), Ok(()), "{api:?} v{version}");
                let mut bytes = Bytes::from(bytes);
                let decoded = RequestKind::decode(api, &mut bytes, version);
                assert!(decoded.is_ok(), "{api:?} v{version}: {decoded:?}");
                assert!(bytes.is_empty(), "{api:?} v{version} leaves {bytes:?}");
            }
        });
    }

    #[test]
    fn a_short_request_that_promises_much_is_refused() {
        // A fetch of 2^31 - 1 topics.
        let mut fetch = vec![0; 17];
        fetch.extend(i32::MAX.to_be_bytes());
        assert_eq!(check(ApiKey::Fetch, 4, &fetch), Err(Fault::Short));
        let mut texts = 2_000_000i32.to_be_bytes().to_vec();
        texts.resize(8_000_000, 0);
        assert_eq!(check(ApiKey::DeleteGroups, 0, &texts), Err(Fault::Elements));
    }

    proptest! {
        #[test]
        fn whatever_passes_can_be_decoded_without_harm(
            which in any::<prop::sample::Index>(),
            each in 0..3u8,
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        ) {
            let mut all = Vec::new();
            each_supported(|api, version, layout, flexible| {
                let mut bytes = Vec::new();
                make(layout, version, flexible, each, &mut bytes);
                all.push((api, version, bytes));
            });
            let which = which.index(all.len());
            let (api, version, bytes) = &mut all[which];
            for (at, byte) in changes {
                if !bytes.is_empty() {
                    let at = at.index(bytes.len());
                    bytes[at] = byte;
                }
            }
            if check(*api, *version, bytes).is_ok() {
                let _ = RequestKind::decode(*api, &mut Bytes::copy_from_slice(bytes), *version);
            }
        }
    }
}
