//! The fields of each request that is decoded, in their order, for `shape` to walk.
//!
//! They are those of Kafka's message definitions (`clients/src/main/resources/common/message/*Request.json`), for the
//! versions that `dispatch` supports. A test of `shape` holds them against the decoder of the protocol crate.

use kafka_protocol::messages::ApiKey;

/// A field, and the versions that have it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// What it is.
    pub kind: Kind,
    /// The first version that has it.
    pub from: i16,
    /// The last version that has it.
    pub to: i16,
}

#[derive(Clone, Copy, Debug)]
pub enum Kind {
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
pub fn layout(api: ApiKey) -> Option<&'static [Field]> {
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
