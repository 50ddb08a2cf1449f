//! The state of a broker.

use std::net::SocketAddr;

use crate::{
    Flush,
    coordinator::{
        group::GroupCoordinator,
        offsets::CommittedOffsets,
        transaction::{TransactionCoordinator, TransactionStores, producer_ids::ProducerIdManager},
    },
    storage::DataFolder,
    topics::Topics,
};

/// The state that all connections of a broker share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The address that `Metadata` and `FindCoordinator` return to clients.
    pub(crate) address: SocketAddr,
    pub(crate) cluster_id: String,
    pub(crate) flush: Flush,
    pub(crate) topics: Topics,
    pub(crate) groups: GroupCoordinator,
    pub(crate) offsets: CommittedOffsets,
    pub(crate) producer_ids: ProducerIdManager,
    pub(crate) transactions: TransactionCoordinator,
    /// The last field, so that the lock of the folder is released after all files are closed.
    pub(crate) folder: DataFolder,
}

impl Shared {
    /// Returns the stores that a transaction changes.
    pub(crate) fn stores(&self) -> TransactionStores<'_> {
        TransactionStores {
            topics: &self.topics,
            offsets: &self.offsets,
        }
    }
}
