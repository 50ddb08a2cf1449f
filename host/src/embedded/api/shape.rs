//! Walks a request without building it, to refuse what would hurt to decode.
//!
//! The decoder of the protocol crate makes room for as many elements as an array's length says, before it has seen one:
//! a request of twenty bytes could ask for 200 GB, and a failed allocation ends the process. So every length is held
//! against the bytes that are there, and the number of elements in one request is limited, before anything is decoded.
//!
//! The layouts are those of Kafka's message definitions (`clients/src/main/resources/common/message/*Request.json`),
//! for the versions that `dispatch` supports.

use kafka_protocol::messages::ApiKey;

/// The most elements and tagged fields in one request, all arrays together.
const MAX_ELEMENTS: usize = 1_000_000;
/// From this version of the request header on, a request has compact lengths and tagged fields (KIP-482).
const FLEXIBLE_HEADER: i16 = 2;

/// A field, and the versions that have it.
#[derive(Clone, Copy, Debug)]
struct Field {
    kind: Kind,
    from: i16,
    to: i16,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// So many bytes.
    Fixed(usize),
    /// A string, which may be null.
    Text,
    /// Bytes, which may be null.
    Blob,
    /// An array of one plain field each, which may be null.
    List(&'static Field),
    /// An array of structures, which may be null.
    Structs(&'static [Field]),
}

impl Field {
    const fn since(self, from: i16) -> Field {
        Field { from, ..self }
    }

    const fn until(self, to: i16) -> Field {
        Field { to, ..self }
    }
}

const fn every(kind: Kind) -> Field {
    Field {
        kind,
        from: 0,
        to: i16::MAX,
    }
}

const I8: Field = every(Kind::Fixed(1));
const I16: Field = every(Kind::Fixed(2));
const I32: Field = every(Kind::Fixed(4));
const I64: Field = every(Kind::Fixed(8));
const UUID: Field = every(Kind::Fixed(16));
const TEXT: Field = every(Kind::Text);
const BLOB: Field = every(Kind::Blob);
const TEXTS: Field = every(Kind::List(&TEXT));
const I32S: Field = every(Kind::List(&I32));

/// An array of structures of these fields.
macro_rules! structs {
    ($($field:expr),* $(,)?) => {
        every(Kind::Structs(const { &[$($field),*] }))
    };
}

/// The fields of a request, or `None` for an API that is never decoded.
fn layout(api: ApiKey) -> Option<&'static [Field]> {
    Some(match api {
        ApiKey::Produce => const { &[TEXT, I16, I32, structs![TEXT, structs![I32, BLOB]]] },
        ApiKey::Fetch => {
            const {
                &[
                    I32.until(14),
                    I32,
                    I32,
                    I32,
                    I8,
                    I32.since(7),
                    I32.since(7),
                    structs![
                        TEXT.until(12),
                        UUID.since(13),
                        every(Kind::Structs(FETCH_PARTITION))
                    ],
                    structs![TEXT.until(12), UUID.since(13), I32S].since(7),
                    TEXT.since(11),
                ]
            }
        }
        ApiKey::ListOffsets => {
            const {
                &[
                    I32,
                    I8.since(2),
                    structs![TEXT, structs![I32, I32.since(4), I64]],
                ]
            }
        }
        ApiKey::Metadata => {
            const {
                &[
                    structs![UUID.since(10), TEXT],
                    I8.since(4),
                    I8.since(8).until(10),
                    I8.since(8),
                ]
            }
        }
        ApiKey::OffsetCommit => {
            const {
                &[
                    TEXT,
                    I32,
                    TEXT,
                    TEXT.since(7),
                    I64.until(4),
                    structs![TEXT, structs![I32, I64, I32.since(6), TEXT]],
                ]
            }
        }
        ApiKey::OffsetFetch => {
            const {
                &[
                    TEXT.until(7),
                    structs![TEXT, I32S].until(7),
                    structs![TEXT, structs![TEXT, I32S]].since(8),
                    I8.since(7),
                ]
            }
        }
        ApiKey::FindCoordinator => const { &[TEXT.until(3), I8.since(1), TEXTS.since(4)] },
        ApiKey::JoinGroup => {
            const {
                &[
                    TEXT,
                    I32,
                    I32.since(1),
                    TEXT,
                    TEXT.since(5),
                    TEXT,
                    structs![TEXT, BLOB],
                    TEXT.since(8),
                ]
            }
        }
        ApiKey::Heartbeat => const { &[TEXT, I32, TEXT, TEXT.since(3)] },
        ApiKey::LeaveGroup => {
            const {
                &[
                    TEXT,
                    TEXT.until(2),
                    structs![TEXT, TEXT, TEXT.since(5)].since(3),
                ]
            }
        }
        ApiKey::SyncGroup => {
            const {
                &[
                    TEXT,
                    I32,
                    TEXT,
                    TEXT.since(3),
                    TEXT.since(5),
                    TEXT.since(5),
                    structs![TEXT, BLOB],
                ]
            }
        }
        ApiKey::DescribeGroups => const { &[TEXTS, I8.since(3)] },
        ApiKey::ListGroups => const { &[TEXTS.since(4)] },
        ApiKey::ApiVersions => const { &[TEXT.since(3), TEXT.since(3)] },
        ApiKey::CreateTopics => {
            const {
                &[
                    structs![TEXT, I32, I16, structs![I32, I32S], structs![TEXT, TEXT]],
                    I32,
                    I8,
                ]
            }
        }
        ApiKey::DeleteTopics => const { &[structs![TEXT, UUID].since(6), TEXTS.until(5), I32] },
        ApiKey::InitProducerId => const { &[TEXT, I32, I64.since(3), I16.since(3)] },
        ApiKey::OffsetForLeaderEpoch => {
            const { &[I32.since(3), structs![TEXT, structs![I32, I32, I32]]] }
        }
        ApiKey::DescribeConfigs => const { &[structs![I8, TEXT, TEXTS], I8, I8.since(3)] },
        ApiKey::CreatePartitions => const { &[structs![TEXT, I32, structs![I32S]], I32, I8] },
        ApiKey::DeleteGroups => const { &[TEXTS] },
        ApiKey::DescribeCluster => const { &[I8, I8.since(1)] },
        // Not supported, but decoded to be refused item by item.
        ApiKey::AddPartitionsToTxn => const { &[TEXT, I64, I16, structs![TEXT, I32S]] },
        ApiKey::TxnOffsetCommit => {
            const {
                &[
                    TEXT,
                    TEXT,
                    I64,
                    I16,
                    I32.since(3),
                    TEXT.since(3),
                    TEXT.since(3),
                    structs![TEXT, structs![I32, I64, I32.since(2), TEXT]],
                ]
            }
        }
        _ => return None,
    })
}

const FETCH_PARTITION: &[Field] = &[I32, I32.since(9), I64, I32.since(12), I64.since(5), I32];

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
            let (&byte, rest) = self.rest.split_first().ok_or(Fault::Short)?;
            self.rest = rest;
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
    use crate::embedded::dispatch::SUPPORTED;
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
        }
    }

    fn each_supported(mut test: impl FnMut(ApiKey, i16, &[Field], bool)) {
        let refused = [
            (ApiKey::AddPartitionsToTxn, 0, 3),
            (ApiKey::TxnOffsetCommit, 0, 3),
        ];
        for (api, first, last) in SUPPORTED.iter().chain(&refused) {
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
