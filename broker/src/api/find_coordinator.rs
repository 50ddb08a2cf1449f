//! `FindCoordinator`: this node coordinates every group and every transactional id.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        BrokerId, FindCoordinatorRequest, FindCoordinatorResponse,
        find_coordinator_response::Coordinator,
    },
};

use super::{NODE, text};
use crate::shared::Shared;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;

/// Returns this node. A request asks for one key before version 4, and for several from then on.
pub(crate) fn handle(
    shared: &Shared,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let host = text(shared.address.ip().to_string());
    let port = i32::from(shared.address.port());
    let known = matches!(request.key_type, GROUP | TRANSACTION);
    let (code, message) = match known {
        true => (0, None),
        false => (
            ResponseError::InvalidRequest.code(),
            Some(text(format!(
                "unknown coordinator key type {}",
                request.key_type
            ))),
        ),
    };
    let node = if known { NODE } else { BrokerId(-1) };
    if version < 4 {
        return FindCoordinatorResponse::default()
            .with_error_code(code)
            .with_error_message(message)
            .with_node_id(node)
            .with_host(host)
            .with_port(port);
    }
    let coordinator = |key| {
        Coordinator::default()
            .with_key(key)
            .with_error_code(code)
            .with_error_message(message.clone())
            .with_node_id(node)
            .with_host(host.clone())
            .with_port(port)
    };
    FindCoordinatorResponse::default().with_coordinators(
        request
            .coordinator_keys
            .into_iter()
            .map(coordinator)
            .collect(),
    )
}
