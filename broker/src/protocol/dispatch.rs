//! From a frame to its response: reads the request header, checks the table of APIs, and calls the handler.
//!
//! Every request with a readable header gets a response. Where Kafka closes the connection because it lacks an API or a
//! version, this broker returns the error in the form of the response of that API, so that a client can name the reason.

use std::{io, net::SocketAddr, sync::Arc};

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::{
    error::ResponseError,
    messages::{ApiKey, RequestHeader, RequestKind, ResponseHeader, ResponseKind},
    protocol::{Decodable, Encodable},
};

use super::{
    api_versions,
    apis::{Api, Durability},
    error_response, length_check,
    server::invalid,
};
use crate::{
    api::{
        Caller,
        configs::{alter as alter_configs, describe as describe_configs, list as list_configs},
        delete_records, describe_log_dirs, describe_topic_partitions, describe_transactions, fetch,
        find_coordinator,
        groups::{
            self, describe as group_admin, membership, offset_delete, offsets as group_offsets,
        },
        init_producer_id, list_offsets, metadata, produce, single_node, topics, transactions,
    },
    flush::{Flush, flush},
    shared::Shared,
};

/// A request with a decoded header and a body that is still encoded.
#[derive(Debug)]
pub(crate) struct RequestFrame {
    key: i16,
    version: i16,
    correlation_id: i32,
    caller: Caller,
    body: Bytes,
}

impl RequestFrame {
    /// Decodes the header at the start of a frame.
    ///
    /// # Errors
    ///
    /// Returns `InvalidData` if the header of a supported request cannot be decoded.
    pub(crate) fn parse(mut frame: Bytes, peer: SocketAddr) -> io::Result<RequestFrame> {
        // API key, version and correlation id have the same position in every version of the header.
        let Some(fixed) = frame.first_chunk::<8>() else {
            return Err(invalid(format!(
                "a frame of {} bytes is too short for a request header",
                frame.len()
            )));
        };
        let key = i16::from_be_bytes([fixed[0], fixed[1]]);
        let version = i16::from_be_bytes([fixed[2], fixed[3]]);
        let correlation_id = i32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]);
        let mut client_id = None;
        if let Ok(key) = ApiKey::try_from(key) {
            match RequestHeader::decode(&mut frame, key.request_header_version(version)) {
                Ok(header) => client_id = header.client_id,
                Err(error) if Api::find(key).is_some_and(|api| api.supports(version)) => {
                    return Err(invalid(format!(
                        "cannot decode the request header of {key:?} v{version}: {error:#}"
                    )));
                }
                // A future version may have another header. Its correlation id is enough to refuse it.
                Err(_) => {}
            }
        }
        Ok(RequestFrame {
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

/// Handles a request. Returns `None` if the protocol wants no response (produce with acks=0).
///
/// # Errors
///
/// Returns `InvalidData` if the response cannot be encoded, which is a bug, and any error of a sync that had to come
/// before the response.
pub(crate) async fn respond(
    shared: &Arc<Shared>,
    request: RequestFrame,
) -> io::Result<Option<BytesMut>> {
    let (version, client) = (request.version, &request.caller.client_id);
    let Ok(key) = ApiKey::try_from(request.key) else {
        tracing::warn!(key = request.key, client, "request of an unknown API");
        let error = ResponseError::UnsupportedVersion;
        return Ok(Some(bare_error(&request, error)));
    };
    let Some(api) = Api::find(key).filter(|api| api.supports(version)) else {
        tracing::debug!(
            ?key,
            version,
            client,
            "request of an unsupported API or version"
        );
        return error_frame(key, &request, ResponseError::UnsupportedVersion).map(Some);
    };
    if let Err(error) = length_check::check(api, version, &request.body) {
        tracing::warn!(?key, version, client, %error, "malformed request");
        return error_frame(key, &request, ResponseError::InvalidRequest).map(Some);
    }
    let decoded = match RequestKind::decode(key, &mut request.body.clone(), version) {
        Ok(decoded) => decoded,
        Err(error) => {
            let error = format!("{error:#}");
            tracing::warn!(?key, version, client, error, "malformed request");
            return error_frame(key, &request, ResponseError::InvalidRequest).map(Some);
        }
    };
    let response = handle(shared, &request, decoded).await;
    if shared.flush == Flush::Each && api.durability == Durability::Stored {
        // If this fails, the client gets no response, asks again, and then learns whether its request was stored.
        flush(shared).await.map_err(io::Error::other)?;
    }
    match response {
        Some(response) => frame(&request, key, version, &response).map(Some),
        None => Ok(None),
    }
}

/// Calls the handler of a request: one arm per API.
async fn handle(
    shared: &Shared,
    frame: &RequestFrame,
    request: RequestKind,
) -> Option<ResponseKind> {
    let version = frame.version;
    Some(match request {
        RequestKind::ApiVersions(r) => api_versions::respond(&r, version).into(),
        RequestKind::Metadata(r) => metadata::handle(shared, r, version).into(),
        RequestKind::DescribeCluster(r) => metadata::describe_cluster(shared, &r).into(),
        RequestKind::FindCoordinator(r) => find_coordinator::handle(shared, r, version).into(),
        RequestKind::Produce(r) => return produce::handle(shared, r, version).map(Into::into),
        RequestKind::InitProducerId(r) => init_producer_id::handle(shared, &r, version).into(),
        RequestKind::AddPartitionsToTxn(r) => {
            transactions::add_partitions(shared, r, version).into()
        }
        RequestKind::AddOffsetsToTxn(r) => transactions::add_offsets(shared, &r, version).into(),
        RequestKind::TxnOffsetCommit(r) => transactions::commit_offsets(shared, r).into(),
        RequestKind::EndTxn(r) => transactions::end(shared, &r, version).into(),
        RequestKind::ListTransactions(r) => describe_transactions::list(shared, r).into(),
        RequestKind::DescribeTransactions(r) => describe_transactions::describe(shared, r).into(),
        RequestKind::Fetch(r) => fetch::handle(shared, r, version).await.into(),
        RequestKind::ListOffsets(r) => list_offsets::handle(shared, r, version).into(),
        RequestKind::OffsetForLeaderEpoch(r) => list_offsets::for_leader_epoch(shared, r).into(),
        RequestKind::CreateTopics(r) => topics::create(shared, r).into(),
        RequestKind::CreatePartitions(r) => topics::create_partitions(shared, r).into(),
        RequestKind::DeleteTopics(r) => topics::delete(shared, r, version).into(),
        RequestKind::DescribeConfigs(r) => describe_configs::handle(shared, r).into(),
        RequestKind::ListConfigResources(r) => list_configs::handle(shared, &r, version).into(),
        RequestKind::DescribeAcls(_) => single_node::describe_acls().into(),
        RequestKind::CreateAcls(r) => single_node::create_acls(&r).into(),
        RequestKind::DeleteAcls(r) => single_node::delete_acls(&r).into(),
        RequestKind::DescribeClientQuotas(_) => single_node::describe_quotas().into(),
        RequestKind::DescribeUserScramCredentials(r) => single_node::describe_users(r).into(),
        RequestKind::ListPartitionReassignments(_) => single_node::list_reassignments().into(),
        RequestKind::ElectLeaders(r) => single_node::elect_leaders(shared, r).into(),
        RequestKind::DescribeQuorum(r) => single_node::describe_quorum(shared, r, version).into(),
        RequestKind::IncrementalAlterConfigs(r) => alter_configs::incremental(shared, r).into(),
        RequestKind::AlterConfigs(r) => alter_configs::replace(shared, r).into(),
        RequestKind::DeleteRecords(r) => delete_records::handle(shared, r).into(),
        RequestKind::DescribeLogDirs(r) => describe_log_dirs::handle(shared, r).into(),
        RequestKind::DescribeTopicPartitions(r) => {
            describe_topic_partitions::handle(shared, r).into()
        }
        RequestKind::JoinGroup(r) => membership::join(shared, &frame.caller, r, version)
            .await
            .into(),
        RequestKind::SyncGroup(r) => membership::sync(shared, r).await.into(),
        RequestKind::Heartbeat(r) => membership::heartbeat(shared, &r).into(),
        RequestKind::ConsumerGroupHeartbeat(_) => groups::refuse_new_protocol().into(),
        RequestKind::LeaveGroup(r) => membership::leave(shared, r, version).into(),
        RequestKind::OffsetCommit(r) => group_offsets::commit(shared, r).into(),
        RequestKind::OffsetFetch(r) => group_offsets::fetch(shared, r, version).into(),
        RequestKind::DescribeGroups(r) => group_admin::describe(shared, r, version).into(),
        RequestKind::ListGroups(r) => group_admin::list(shared, &r).into(),
        RequestKind::OffsetDelete(r) => offset_delete::handle(shared, r).into(),
        RequestKind::DeleteGroups(r) => group_admin::delete(shared, r).into(),
        // Unreachable as long as this match covers the table of APIs, which a test checks.
        _ => return None,
    })
}

/// Returns the frame of an error in the form of the response of the API, if the protocol crate knows that version.
fn error_frame(key: ApiKey, request: &RequestFrame, error: ResponseError) -> io::Result<BytesMut> {
    if key == ApiKey::ApiVersions {
        // Always in version 0, because every client can read that one (KIP-511).
        return frame(request, key, 0, &api_versions::table(Some(error)).into());
    }
    let versions = key.valid_versions();
    let known = (versions.min..=versions.max).contains(&request.version);
    let response = known
        .then(|| error_response::build(key, request.version, &request.body, error))
        .flatten();
    let response = response.and_then(|r| frame(request, key, request.version, &r).ok());
    Ok(response.unwrap_or_else(|| bare_error(request, error)))
}

/// Returns the frame of an error for an API whose responses are unknown: the correlation id, by which the client finds
/// its request, and the error code.
fn bare_error(request: &RequestFrame, error: ResponseError) -> BytesMut {
    let mut out = BytesMut::with_capacity(10);
    out.put_i32(6);
    out.put_i32(request.correlation_id);
    out.put_i16(error.code());
    out
}

/// Encodes length, header and body of a response.
fn frame(
    request: &RequestFrame,
    key: ApiKey,
    version: i16,
    response: &ResponseKind,
) -> io::Result<BytesMut> {
    const LENGTH_PREFIX: usize = 4;
    let mut out = BytesMut::with_capacity(256 + fetch::records_len(response));
    out.put_i32(0);
    ResponseHeader::default()
        .with_correlation_id(request.correlation_id)
        .encode(&mut out, key.response_header_version(version))
        .and_then(|()| response.encode(&mut out, version))
        .map_err(|error| {
            invalid(format!(
                "cannot encode the response of {key:?} v{version}: {error:#}"
            ))
        })?;
    let length = (out.len() - LENGTH_PREFIX) as i32;
    out[..LENGTH_PREFIX].copy_from_slice(&length.to_be_bytes());
    Ok(out)
}
