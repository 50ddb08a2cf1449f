//! From a frame to an answer: the request's header, the table of what is supported, and the way to each API.
//!
//! Every request whose header can be read is answered. Kafka closes the connection where it lacks an API or a version;
//! here it gets the error in the form of that API's response, so that a client can say what is missing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind};
use kafka_protocol::protocol::{Decodable, Encodable};

use crate::Shared;
use crate::api::{self, Caller};
use crate::flush::{Flush, flush};
use crate::protocol::server::invalid;

/// Each API that is supported, with its first and last version. `ApiVersions` tells clients exactly this.
pub const SUPPORTED: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 11),
    (ApiKey::Fetch, 4, 16),
    (ApiKey::ListOffsets, 1, 10),
    (ApiKey::Metadata, 0, 13),
    (ApiKey::OffsetCommit, 2, 8),
    (ApiKey::OffsetFetch, 1, 8),
    (ApiKey::FindCoordinator, 0, 4),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 6),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::ApiVersions, 0, 4),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::DeleteRecords, 0, 2),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 3),
    (ApiKey::EndTxn, 0, 3),
    (ApiKey::TxnOffsetCommit, 0, 3),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::AlterConfigs, 0, 2),
    (ApiKey::DescribeLogDirs, 1, 4),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::IncrementalAlterConfigs, 0, 1),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 2),
    (ApiKey::ConsumerGroupHeartbeat, 0, 1),
    (ApiKey::DescribeTransactions, 0, 0),
    (ApiKey::ListTransactions, 0, 1),
    (ApiKey::DescribeTopicPartitions, 0, 0),
];

/// A request whose header has been read.
#[derive(Debug)]
pub struct Call {
    key: i16,
    version: i16,
    correlation_id: i32,
    caller: Caller,
    body: Bytes,
}

impl Call {
    /// Reads the header at the start of a frame.
    ///
    /// # Errors
    ///
    /// `InvalidData` for a supported request whose header cannot be read.
    pub fn parse(mut frame: Bytes, peer: SocketAddr) -> io::Result<Call> {
        // Key, version and correlation id stand at the same place in every version of the header.
        let Some(fixed) = frame.first_chunk::<8>() else {
            return Err(invalid(format!("a frame of {} bytes", frame.len())));
        };
        let key = i16::from_be_bytes([fixed[0], fixed[1]]);
        let version = i16::from_be_bytes([fixed[2], fixed[3]]);
        let correlation_id = i32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let mut client_id = None;
        if let Ok(api) = ApiKey::try_from(key) {
            match RequestHeader::decode(&mut frame, api.request_header_version(version)) {
                Ok(header) => client_id = header.client_id,
                Err(error) if is_supported(api, version) => {
                    return Err(invalid(format!("a header that cannot be read: {error:#}")));
                }
                // A version to come may have another header, but will be refused by its correlation id.
                Err(_) => {}
            }
        }
        Ok(Call {
            key,
            version,
            correlation_id,
            caller: Caller {
                client_id: client_id.map(|id| id.to_string()).unwrap_or_default(),
                host: peer.ip(),
            },
            body: frame,
        })
    }
}

fn is_supported(api: ApiKey, version: i16) -> bool {
    let covers = |(key, first, last): &(ApiKey, i16, i16)| {
        *key == api && (*first..=*last).contains(&version)
    };
    SUPPORTED.iter().any(covers)
}

/// Works on a request; `None` where the protocol wants no answer (produce with acks=0).
///
/// # Errors
///
/// `InvalidData` if the answer cannot be put into the protocol's form, a fault of ours.
pub async fn answer(shared: &Arc<Shared>, call: Call) -> io::Result<Option<BytesMut>> {
    let Ok(api) = ApiKey::try_from(call.key) else {
        tracing::warn!(key = call.key, "an api that is not known");
        return Ok(Some(bare_refusal(&call, ResponseError::UnsupportedVersion)));
    };
    if !is_supported(api, call.version) {
        tracing::debug!(
            ?api,
            call.version,
            client = call.caller.client_id,
            "not supported"
        );
        return refusal(api, &call, ResponseError::UnsupportedVersion).map(Some);
    }
    if let Err(fault) = super::length_check::check(api, call.version, &call.body) {
        tracing::warn!(?api, call.version, client = call.caller.client_id, %fault, "malformed request");
        return refusal(api, &call, ResponseError::InvalidRequest).map(Some);
    }
    let request = match RequestKind::decode(api, &mut call.body.clone(), call.version) {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(
                ?api,
                call.version,
                client = call.caller.client_id,
                error = format!("{error:#}"),
                "malformed request"
            );
            return refusal(api, &call, ResponseError::InvalidRequest).map(Some);
        }
    };
    let answered = handle(shared, &call, request).await;
    if shared.flush == Flush::Each && lasts(api) {
        // Without an answer the client asks again, and hears then what became of it.
        flush(shared).await.map_err(io::Error::other)?;
    }
    match answered {
        Some(response) => frame(&call, api, call.version, &response).map(Some),
        None => Ok(None),
    }
}

/// Whether an answer promises that something is kept.
fn lasts(api: ApiKey) -> bool {
    matches!(
        api,
        ApiKey::Produce
            | ApiKey::OffsetCommit
            | ApiKey::OffsetDelete
            | ApiKey::DeleteGroups
            | ApiKey::DeleteRecords
            | ApiKey::InitProducerId
            | ApiKey::AddPartitionsToTxn
            | ApiKey::AddOffsetsToTxn
            | ApiKey::TxnOffsetCommit
            | ApiKey::EndTxn
    )
}

/// One line an API.
async fn handle(shared: &Shared, call: &Call, request: RequestKind) -> Option<ResponseKind> {
    let version = call.version;
    Some(match request {
        RequestKind::ApiVersions(_) => super::api_versions::handle(None).into(),
        RequestKind::Metadata(r) => api::metadata::handle(shared, r, version).into(),
        RequestKind::DescribeCluster(r) => api::metadata::describe_cluster(shared, &r).into(),
        RequestKind::FindCoordinator(r) => api::find_coordinator::handle(shared, r, version).into(),
        RequestKind::Produce(r) => return api::produce::handle(shared, r, version).map(Into::into),
        RequestKind::InitProducerId(r) => api::init_producer_id::handle(shared, &r, version).into(),
        RequestKind::AddPartitionsToTxn(r) => {
            api::transactions::add_partitions(shared, r, version).into()
        }
        RequestKind::AddOffsetsToTxn(r) => {
            api::transactions::add_offsets(shared, &r, version).into()
        }
        RequestKind::TxnOffsetCommit(r) => api::transactions::commit_offsets(shared, r).into(),
        RequestKind::EndTxn(r) => api::transactions::end(shared, &r, version).into(),
        RequestKind::ListTransactions(r) => api::describe_transactions::list(shared, r).into(),
        RequestKind::DescribeTransactions(r) => {
            api::describe_transactions::describe(shared, r).into()
        }
        RequestKind::Fetch(r) => api::fetch::handle(shared, r, version).await.into(),
        RequestKind::ListOffsets(r) => api::list_offsets::handle(shared, r, version).into(),
        RequestKind::OffsetForLeaderEpoch(r) => {
            api::list_offsets::for_leader_epoch(shared, r).into()
        }
        RequestKind::CreateTopics(r) => api::topics::create(shared, r).into(),
        RequestKind::CreatePartitions(r) => api::topics::grow(shared, r).into(),
        RequestKind::DeleteTopics(r) => api::topics::delete(shared, r, version).into(),
        RequestKind::DescribeConfigs(r) => api::configs::describe::handle(shared, r).into(),
        RequestKind::IncrementalAlterConfigs(r) => {
            api::configs::alter::incremental(shared, r).into()
        }
        RequestKind::AlterConfigs(r) => api::configs::alter::replace(shared, r).into(),
        RequestKind::DeleteRecords(r) => api::delete_records::handle(shared, r).into(),
        RequestKind::DescribeLogDirs(r) => api::describe_log_dirs::handle(shared, r).into(),
        RequestKind::DescribeTopicPartitions(r) => api::describe_topic_partitions::handle(shared, r).into(),
        RequestKind::JoinGroup(r) => {
            api::groups::membership::join(shared, &call.caller, r, version)
                .await
                .into()
        }
        RequestKind::SyncGroup(r) => api::groups::membership::sync(shared, r).await.into(),
        RequestKind::Heartbeat(r) => api::groups::membership::heartbeat(shared, &r).into(),
        RequestKind::ConsumerGroupHeartbeat(_) => api::groups::newer_protocol().into(),
        RequestKind::LeaveGroup(r) => api::groups::membership::leave(shared, r, version).into(),
        RequestKind::OffsetCommit(r) => api::groups::offsets::commit(shared, r).into(),
        RequestKind::OffsetFetch(r) => api::groups::offsets::fetch(shared, r, version).into(),
        RequestKind::DescribeGroups(r) => {
            api::groups::describe::describe(shared, r, version).into()
        }
        RequestKind::ListGroups(r) => api::groups::describe::list(shared, &r).into(),
        RequestKind::OffsetDelete(r) => api::groups::offset_delete::handle(shared, r).into(),
        RequestKind::DeleteGroups(r) => api::groups::describe::delete(shared, r).into(),
        // Not reached while this match covers the table; an answer without content is better than none.
        _ => return None,
    })
}

/// The error in the form of the API's own response, if the crate knows that version of it.
fn refusal(api: ApiKey, call: &Call, error: ResponseError) -> io::Result<BytesMut> {
    if api == ApiKey::ApiVersions {
        // Version 0, whatever was asked, for that one every client can read (KIP-511).
        return frame(call, api, 0, &super::api_versions::handle(Some(error)).into());
    }
    let versions = api.valid_versions();
    let known = (versions.min..=versions.max).contains(&call.version);
    let response = known
        .then(|| super::error_response::refuse(api, call.version, &call.body, error))
        .flatten();
    let response = response.and_then(|r| frame(call, api, call.version, &r).ok());
    Ok(response.unwrap_or_else(|| bare_refusal(call, error)))
}

/// For what has no form that we know: the correlation id, so that the client can tell which request, and the error.
fn bare_refusal(call: &Call, error: ResponseError) -> BytesMut {
    let mut out = BytesMut::with_capacity(10);
    out.put_i32(6);
    out.put_i32(call.correlation_id);
    out.put_i16(error.code());
    out
}

/// Length, header and body of a response.
fn frame(call: &Call, api: ApiKey, version: i16, response: &ResponseKind) -> io::Result<BytesMut> {
    const PREFIX: usize = 4;
    let mut out = BytesMut::with_capacity(256 + api::fetch::records_len(response));
    out.put_i32(0);
    ResponseHeader::default()
        .with_correlation_id(call.correlation_id)
        .encode(&mut out, api.response_header_version(version))
        .and_then(|()| response.encode(&mut out, version))
        .map_err(|error| invalid(format!("{api:?} v{version} cannot be encoded: {error:#}")))?;
    let length = (out.len() - PREFIX) as i32;
    out[..PREFIX].copy_from_slice(&length.to_be_bytes());
    Ok(out)
}

