//! `ListConfigResources` (KIP-1142): what has settings that can be described.

use kafka_protocol::{
    error::ResponseError,
    messages::{
        ListConfigResourcesRequest, ListConfigResourcesResponse,
        list_config_resources_response::ConfigResource,
    },
};

use crate::{
    api::{NODE, text},
    shared::Shared,
};

/// Types of resources (Kafka's `ConfigResource.Type`).
const TOPIC: i8 = 2;
const BROKER: i8 = 4;
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;
const GROUP: i8 = 32;
const KNOWN: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

/// The first version that has types; before, the request is only about client metrics.
const FIRST_VERSION_OF_TYPES: i16 = 1;

/// Lists the topics and the only node, or those of the requested types.
///
/// The other types are known, but nothing of them has settings here.
pub(crate) fn handle(
    shared: &Shared,
    request: &ListConfigResourcesRequest,
    version: i16,
) -> ListConfigResourcesResponse {
    let requested = match &request.resource_types[..] {
        _ if version < FIRST_VERSION_OF_TYPES => &[CLIENT_METRICS],
        [] => &KNOWN[..],
        types => types,
    };
    if !requested.iter().all(|kind| KNOWN.contains(kind)) {
        return ListConfigResourcesResponse::default()
            .with_error_code(ResponseError::UnsupportedVersion.code());
    }
    let resource = |kind, name: &str| {
        ConfigResource::default()
            .with_resource_type(kind)
            .with_resource_name(text(name))
    };
    let mut resources = Vec::new();
    if requested.contains(&TOPIC) {
        let topics = shared.topics.all();
        resources.extend(topics.iter().map(|topic| resource(TOPIC, &topic.name)));
    }
    if requested.contains(&BROKER) {
        resources.push(resource(BROKER, &NODE.0.to_string()));
    }
    ListConfigResourcesResponse::default().with_config_resources(resources)
}
