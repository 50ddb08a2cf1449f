//! `ApiVersions`: the supported APIs and versions. The first request of every modern client.

use kafka_protocol::{
    error::ResponseError,
    messages::{ApiVersionsResponse, api_versions_response::ApiVersion},
};

use super::apis::{APIS, Api};

/// Returns the table of APIs. A response with an error has it too, so that the client can ask again in another version.
pub(crate) fn handle(error: Option<ResponseError>) -> ApiVersionsResponse {
    let version = |api: &Api| {
        let (first, last) = api.versions;
        ApiVersion::default()
            .with_api_key(api.key as i16)
            .with_min_version(first)
            .with_max_version(last)
    };
    ApiVersionsResponse::default()
        .with_error_code(error.map_or(0, |error| error.code()))
        .with_api_keys(APIS.iter().map(version).collect())
}
