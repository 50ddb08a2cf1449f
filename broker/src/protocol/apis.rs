//! The table of all APIs of the broker.
//!
//! A new API takes one row here and one arm in [`dispatch`](super::dispatch).

use kafka_protocol::messages::ApiKey;

use super::layout::{
    BLOB, Field, I8, I8S, I16, I32, I32S, I64, I64S, TEXT, TEXTS, UUID, nullable, structs,
};

/// An API, with everything that the broker has to know about its requests before it handles them.
#[derive(Debug)]
pub(crate) struct Api {
    /// The API key of the protocol.
    pub(crate) key: ApiKey,
    /// The first and the last supported version; `ApiVersions` returns them to clients.
    pub(crate) versions: (i16, i16),
    /// Whether a response acknowledges stored data.
    pub(crate) durability: Durability,
    /// The fields of a request, as in Kafka's message definitions
    /// (`clients/src/main/resources/common/message/*Request.json`). A test compares them with the decoder.
    pub(crate) layout: &'static [Field],
}

/// Whether a response acknowledges stored data, which has to be on disk first if the broker runs with `flush = "each"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Durability {
    /// The response acknowledges data that must survive a power cut.
    Stored,
    /// The response acknowledges nothing, or something that is synced anyway.
    None,
}

impl Api {
    /// Returns the API with a key, if the broker has it.
    pub(crate) fn find(key: ApiKey) -> Option<&'static Self> {
        APIS.iter().find(|api| api.key == key)
    }

    /// Returns whether the broker supports a version of the API.
    pub(crate) fn supports(&self, version: i16) -> bool {
        let (first, last) = self.versions;
        (first..=last).contains(&version)
    }
}

/// All APIs, in the order of their keys.
pub(crate) static APIS: &[Api] = &[
    Api {
        key: ApiKey::Produce,
        versions: (3, 11),
        durability: Durability::Stored,
        layout: &[TEXT, I16, I32, structs![TEXT, structs![I32, BLOB]]],
    },
    Api {
        key: ApiKey::Fetch,
        versions: (4, 16),
        durability: Durability::None,
        layout: &[
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
                structs![I32, I32.since(9), I64, I32.since(12), I64.since(5), I32]
            ],
            structs![TEXT.until(12), UUID.since(13), I32S].since(7),
            TEXT.since(11),
        ],
    },
    Api {
        key: ApiKey::ListOffsets,
        versions: (1, 10),
        durability: Durability::None,
        layout: &[
            I32,
            I8.since(2),
            structs![TEXT, structs![I32, I32.since(4), I64]],
            I32.since(10),
        ],
    },
    Api {
        key: ApiKey::Metadata,
        versions: (0, 13),
        durability: Durability::None,
        layout: &[
            structs![UUID.since(10), TEXT],
            I8.since(4),
            I8.since(8).until(10),
            I8.since(8),
        ],
    },
    Api {
        key: ApiKey::OffsetCommit,
        versions: (2, 8),
        durability: Durability::Stored,
        layout: &[
            TEXT,
            I32,
            TEXT,
            TEXT.since(7),
            I64.until(4),
            structs![TEXT, structs![I32, I64, I32.since(6), TEXT]],
        ],
    },
    Api {
        key: ApiKey::OffsetFetch,
        versions: (1, 8),
        durability: Durability::None,
        layout: &[
            TEXT.until(7),
            structs![TEXT, I32S].until(7),
            structs![TEXT, structs![TEXT, I32S]].since(8),
            I8.since(7),
        ],
    },
    Api {
        key: ApiKey::FindCoordinator,
        versions: (0, 4),
        durability: Durability::None,
        layout: &[TEXT.until(3), I8.since(1), TEXTS.since(4)],
    },
    Api {
        key: ApiKey::JoinGroup,
        versions: (0, 9),
        durability: Durability::None,
        layout: &[
            TEXT,
            I32,
            I32.since(1),
            TEXT,
            TEXT.since(5),
            TEXT,
            structs![TEXT, BLOB],
            TEXT.since(8),
        ],
    },
    Api {
        key: ApiKey::Heartbeat,
        versions: (0, 4),
        durability: Durability::None,
        layout: &[TEXT, I32, TEXT, TEXT.since(3)],
    },
    Api {
        key: ApiKey::LeaveGroup,
        versions: (0, 5),
        durability: Durability::None,
        layout: &[
            TEXT,
            TEXT.until(2),
            structs![TEXT, TEXT, TEXT.since(5)].since(3),
        ],
    },
    Api {
        key: ApiKey::SyncGroup,
        versions: (0, 5),
        durability: Durability::None,
        layout: &[
            TEXT,
            I32,
            TEXT,
            TEXT.since(3),
            TEXT.since(5),
            TEXT.since(5),
            structs![TEXT, BLOB],
        ],
    },
    Api {
        key: ApiKey::DescribeGroups,
        versions: (0, 6),
        durability: Durability::None,
        layout: &[TEXTS, I8.since(3)],
    },
    Api {
        key: ApiKey::ListGroups,
        versions: (0, 5),
        durability: Durability::None,
        layout: &[TEXTS.since(4), TEXTS.since(5)],
    },
    Api {
        key: ApiKey::ApiVersions,
        versions: (0, 4),
        durability: Durability::None,
        layout: &[TEXT.since(3), TEXT.since(3)],
    },
    Api {
        key: ApiKey::CreateTopics,
        versions: (2, 7),
        durability: Durability::None,
        layout: &[
            structs![TEXT, I32, I16, structs![I32, I32S], structs![TEXT, TEXT]],
            I32,
            I8,
        ],
    },
    Api {
        key: ApiKey::DeleteTopics,
        versions: (1, 6),
        durability: Durability::None,
        layout: &[structs![TEXT, UUID].since(6), TEXTS.until(5), I32],
    },
    Api {
        key: ApiKey::DeleteRecords,
        versions: (0, 2),
        durability: Durability::Stored,
        layout: &[structs![TEXT, structs![I32, I64]], I32],
    },
    Api {
        key: ApiKey::InitProducerId,
        versions: (0, 4),
        durability: Durability::Stored,
        layout: &[TEXT, I32, I64.since(3), I16.since(3)],
    },
    Api {
        key: ApiKey::OffsetForLeaderEpoch,
        versions: (2, 4),
        durability: Durability::None,
        layout: &[I32.since(3), structs![TEXT, structs![I32, I32, I32]]],
    },
    Api {
        key: ApiKey::AddPartitionsToTxn,
        versions: (0, 3),
        durability: Durability::Stored,
        layout: &[TEXT, I64, I16, structs![TEXT, I32S]],
    },
    Api {
        key: ApiKey::AddOffsetsToTxn,
        versions: (0, 3),
        durability: Durability::Stored,
        layout: &[TEXT, I64, I16, TEXT],
    },
    Api {
        key: ApiKey::EndTxn,
        versions: (0, 3),
        durability: Durability::Stored,
        layout: &[TEXT, I64, I16, I8],
    },
    Api {
        key: ApiKey::TxnOffsetCommit,
        versions: (0, 3),
        durability: Durability::Stored,
        layout: &[
            TEXT,
            TEXT,
            I64,
            I16,
            I32.since(3),
            TEXT.since(3),
            TEXT.since(3),
            structs![TEXT, structs![I32, I64, I32.since(2), TEXT]],
        ],
    },
    Api {
        key: ApiKey::DescribeAcls,
        versions: (1, 3),
        durability: Durability::None,
        layout: &[I8, TEXT, I8, TEXT, TEXT, I8, I8],
    },
    Api {
        key: ApiKey::CreateAcls,
        versions: (1, 3),
        durability: Durability::None,
        layout: &[structs![I8, TEXT, I8, TEXT, TEXT, I8, I8]],
    },
    Api {
        key: ApiKey::DeleteAcls,
        versions: (1, 3),
        durability: Durability::None,
        layout: &[structs![I8, TEXT, I8, TEXT, TEXT, I8, I8]],
    },
    Api {
        key: ApiKey::DescribeConfigs,
        versions: (1, 4),
        durability: Durability::None,
        layout: &[structs![I8, TEXT, TEXTS], I8, I8.since(3)],
    },
    Api {
        key: ApiKey::AlterConfigs,
        versions: (0, 2),
        durability: Durability::None,
        layout: &[structs![I8, TEXT, structs![TEXT, TEXT]], I8],
    },
    Api {
        key: ApiKey::DescribeLogDirs,
        versions: (1, 4),
        durability: Durability::None,
        layout: &[structs![TEXT, I32S]],
    },
    Api {
        key: ApiKey::CreatePartitions,
        versions: (0, 3),
        durability: Durability::None,
        layout: &[structs![TEXT, I32, structs![I32S]], I32, I8],
    },
    Api {
        key: ApiKey::DeleteGroups,
        versions: (0, 2),
        durability: Durability::Stored,
        layout: &[TEXTS],
    },
    Api {
        key: ApiKey::ElectLeaders,
        versions: (0, 2),
        durability: Durability::None,
        layout: &[I8.since(1), structs![TEXT, I32S], I32],
    },
    Api {
        key: ApiKey::IncrementalAlterConfigs,
        versions: (0, 1),
        durability: Durability::None,
        layout: &[structs![I8, TEXT, structs![TEXT, I8, TEXT]], I8],
    },
    Api {
        key: ApiKey::ListPartitionReassignments,
        versions: (0, 0),
        durability: Durability::None,
        layout: &[I32, structs![TEXT, I32S]],
    },
    Api {
        key: ApiKey::OffsetDelete,
        versions: (0, 0),
        durability: Durability::Stored,
        layout: &[TEXT, structs![TEXT, structs![I32]]],
    },
    Api {
        key: ApiKey::DescribeClientQuotas,
        versions: (0, 1),
        durability: Durability::None,
        layout: &[structs![TEXT, I8, TEXT], I8],
    },
    Api {
        key: ApiKey::DescribeUserScramCredentials,
        versions: (0, 0),
        durability: Durability::None,
        layout: &[structs![TEXT]],
    },
    Api {
        key: ApiKey::DescribeQuorum,
        versions: (0, 2),
        durability: Durability::None,
        layout: &[structs![TEXT, structs![I32]]],
    },
    Api {
        key: ApiKey::DescribeCluster,
        versions: (0, 2),
        durability: Durability::None,
        layout: &[I8, I8.since(1), I8.since(2)],
    },
    Api {
        key: ApiKey::ConsumerGroupHeartbeat,
        versions: (0, 1),
        durability: Durability::None,
        layout: &[
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
        ],
    },
    Api {
        key: ApiKey::DescribeTransactions,
        versions: (0, 0),
        durability: Durability::None,
        layout: &[TEXTS],
    },
    Api {
        key: ApiKey::ListTransactions,
        versions: (0, 1),
        durability: Durability::None,
        layout: &[TEXTS, I64S, I64.since(1)],
    },
    Api {
        key: ApiKey::ListConfigResources,
        versions: (0, 1),
        durability: Durability::None,
        layout: &[I8S.since(1)],
    },
    Api {
        key: ApiKey::DescribeTopicPartitions,
        versions: (0, 0),
        durability: Durability::None,
        layout: &[structs![TEXT], I32, nullable(&[TEXT, I32])],
    },
];
