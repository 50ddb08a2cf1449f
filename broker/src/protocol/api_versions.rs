//! `ApiVersions`: what is supported. The first request of every modern client.

use kafka_protocol::error::ResponseError;
use kafka_protocol::messages::ApiVersionsResponse;
use kafka_protocol::messages::api_versions_response::ApiVersion;

use crate::protocol::dispatch::SUPPORTED;

/// The table; with an error too, so that the client can ask again in a version that it names.
pub fn handle(error: Option<ResponseError>) -> ApiVersionsResponse {
    let keys = SUPPORTED.iter().map(|(key, first, last)| {
        ApiVersion::default()
            .with_api_key(*key as i16)
            .with_min_version(*first)
            .with_max_version(*last)
    });
    ApiVersionsResponse::default()
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_api_keys(keys.collect())
}
