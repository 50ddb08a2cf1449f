//! The fields of each request that is decoded, in their order, for `shape` to walk.
//!
//! They are those of Kafka's message definitions (`clients/src/main/resources/common/message/*Request.json`), for the
//! versions that `dispatch` supports. A test of `shape` holds them against the decoder of the protocol crate.

use kafka_protocol::messages::ApiKey;

/// A field, and the versions that have it.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// How it is written.
    pub kind: Kind,
    /// The first version that has it.
    pub from: i16,
    /// The last version that has it.
    pub to: i16,
}

/// What a field is.
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
    /// One structure, which may be null.
    Nullable(&'static [Field]),
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
const I64S: Field = every(Kind::List(&I64));

/// An array of structures of these fields.
macro_rules! structs {
    ($($field:expr),* $(,)?) => {
        every(Kind::Structs(const { &[$($field),*] }))
    };
}

/// The fields of a request, or `None` for an API that is never decoded.
pub fn layout(api: ApiKey) -> Option<&'static [Field]> {
    Some(match api {
        ApiKey::Produce => PRODUCE,
        ApiKey::Fetch => FETCH,
        ApiKey::ListOffsets => LIST_OFFSETS,
        ApiKey::Metadata => METADATA,
        ApiKey::OffsetCommit => OFFSET_COMMIT,
        ApiKey::OffsetFetch => OFFSET_FETCH,
        ApiKey::FindCoordinator => FIND_COORDINATOR,
        ApiKey::JoinGroup => JOIN_GROUP,
        ApiKey::Heartbeat => HEARTBEAT,
        ApiKey::LeaveGroup => LEAVE_GROUP,
        ApiKey::SyncGroup => SYNC_GROUP,
        ApiKey::DescribeGroups => DESCRIBE_GROUPS,
        ApiKey::ListGroups => LIST_GROUPS,
        ApiKey::ApiVersions => API_VERSIONS,
        ApiKey::CreateTopics => CREATE_TOPICS,
        ApiKey::DeleteTopics => DELETE_TOPICS,
        ApiKey::InitProducerId => INIT_PRODUCER_ID,
        ApiKey::OffsetForLeaderEpoch => OFFSET_FOR_LEADER_EPOCH,
        ApiKey::DescribeConfigs => DESCRIBE_CONFIGS,
        ApiKey::AlterConfigs => ALTER_CONFIGS,
        ApiKey::IncrementalAlterConfigs => INCREMENTAL_ALTER_CONFIGS,
        ApiKey::DescribeLogDirs => DESCRIBE_LOG_DIRS,
        ApiKey::DeleteRecords => DELETE_RECORDS,
        ApiKey::CreatePartitions => CREATE_PARTITIONS,
        ApiKey::DeleteGroups => DELETE_GROUPS,
        ApiKey::DescribeCluster => DESCRIBE_CLUSTER,
        ApiKey::AddPartitionsToTxn => ADD_PARTITIONS_TO_TXN,
        ApiKey::AddOffsetsToTxn => ADD_OFFSETS_TO_TXN,
        ApiKey::EndTxn => END_TXN,
        ApiKey::TxnOffsetCommit => TXN_OFFSET_COMMIT,
        ApiKey::OffsetDelete => OFFSET_DELETE,
        ApiKey::ConsumerGroupHeartbeat => CONSUMER_GROUP_HEARTBEAT,
        ApiKey::DescribeTopicPartitions => DESCRIBE_TOPIC_PARTITIONS,
        ApiKey::ListTransactions => LIST_TRANSACTIONS,
        ApiKey::DescribeTransactions => DESCRIBE_TRANSACTIONS,
        _ => return None,
    })
}

const PRODUCE: &[Field] = &[TEXT, I16, I32, structs![TEXT, structs![I32, BLOB]]];

const FETCH: &[Field] = &[
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
];

const LIST_OFFSETS: &[Field] = &[
    I32,
    I8.since(2),
    structs![TEXT, structs![I32, I32.since(4), I64]],
    I32.since(10),
];

const METADATA: &[Field] = &[
    structs![UUID.since(10), TEXT],
    I8.since(4),
    I8.since(8).until(10),
    I8.since(8),
];

const OFFSET_COMMIT: &[Field] = &[
    TEXT,
    I32,
    TEXT,
    TEXT.since(7),
    I64.until(4),
    structs![TEXT, structs![I32, I64, I32.since(6), TEXT]],
];

const OFFSET_FETCH: &[Field] = &[
    TEXT.until(7),
    structs![TEXT, I32S].until(7),
    structs![TEXT, structs![TEXT, I32S]].since(8),
    I8.since(7),
];

const FIND_COORDINATOR: &[Field] = &[TEXT.until(3), I8.since(1), TEXTS.since(4)];

const JOIN_GROUP: &[Field] = &[
    TEXT,
    I32,
    I32.since(1),
    TEXT,
    TEXT.since(5),
    TEXT,
    structs![TEXT, BLOB],
    TEXT.since(8),
];

const HEARTBEAT: &[Field] = &[TEXT, I32, TEXT, TEXT.since(3)];

const LEAVE_GROUP: &[Field] = &[
    TEXT,
    TEXT.until(2),
    structs![TEXT, TEXT, TEXT.since(5)].since(3),
];

const SYNC_GROUP: &[Field] = &[
    TEXT,
    I32,
    TEXT,
    TEXT.since(3),
    TEXT.since(5),
    TEXT.since(5),
    structs![TEXT, BLOB],
];

const DESCRIBE_GROUPS: &[Field] = &[TEXTS, I8.since(3)];

const LIST_GROUPS: &[Field] = &[TEXTS.since(4), TEXTS.since(5)];

const API_VERSIONS: &[Field] = &[TEXT.since(3), TEXT.since(3)];

const CREATE_TOPICS: &[Field] = &[
    structs![TEXT, I32, I16, structs![I32, I32S], structs![TEXT, TEXT]],
    I32,
    I8,
];

const DELETE_TOPICS: &[Field] = &[structs![TEXT, UUID].since(6), TEXTS.until(5), I32];

const INIT_PRODUCER_ID: &[Field] = &[TEXT, I32, I64.since(3), I16.since(3)];

const OFFSET_FOR_LEADER_EPOCH: &[Field] = &[I32.since(3), structs![TEXT, structs![I32, I32, I32]]];

const DESCRIBE_CONFIGS: &[Field] = &[structs![I8, TEXT, TEXTS], I8, I8.since(3)];

const ALTER_CONFIGS: &[Field] = &[structs![I8, TEXT, structs![TEXT, TEXT]], I8];

const INCREMENTAL_ALTER_CONFIGS: &[Field] = &[structs![I8, TEXT, structs![TEXT, I8, TEXT]], I8];

const DESCRIBE_LOG_DIRS: &[Field] = &[structs![TEXT, I32S]];

const DELETE_RECORDS: &[Field] = &[structs![TEXT, structs![I32, I64]], I32];

const DESCRIBE_TOPIC_PARTITIONS: &[Field] =
    &[structs![TEXT], I32, every(Kind::Nullable(&[TEXT, I32]))];

const CREATE_PARTITIONS: &[Field] = &[structs![TEXT, I32, structs![I32S]], I32, I8];

const DELETE_GROUPS: &[Field] = &[TEXTS];

const DESCRIBE_CLUSTER: &[Field] = &[I8, I8.since(1), I8.since(2)];

const ADD_PARTITIONS_TO_TXN: &[Field] = &[TEXT, I64, I16, structs![TEXT, I32S]];

const ADD_OFFSETS_TO_TXN: &[Field] = &[TEXT, I64, I16, TEXT];

const END_TXN: &[Field] = &[TEXT, I64, I16, I8];

const OFFSET_DELETE: &[Field] = &[TEXT, structs![TEXT, structs![I32]]];

const CONSUMER_GROUP_HEARTBEAT: &[Field] = &[
    TEXT,
    TEXT,
    I32,
    TEXT,
    TEXT,
    I32,
    TEXTS,
    TEXT.since(1),
    TEXT,
    structs![UUID, I32S],
];

const LIST_TRANSACTIONS: &[Field] = &[TEXTS, I64S, I64.since(1)];

const DESCRIBE_TRANSACTIONS: &[Field] = &[TEXTS];

const TXN_OFFSET_COMMIT: &[Field] = &[
    TEXT,
    TEXT,
    I64,
    I16,
    I32.since(3),
    TEXT.since(3),
    TEXT.since(3),
    structs![TEXT, structs![I32, I64, I32.since(2), TEXT]],
];

const FETCH_PARTITION: &[Field] = &[I32, I32.since(9), I64, I32.since(12), I64.since(5), I32];
