//! `ApiVersions`: the supported APIs and versions. The first request of every modern client.

use kafka_protocol::{
    error::ResponseError,
    messages::{ApiVersionsRequest, ApiVersionsResponse, api_versions_response::ApiVersion},
};

use super::apis::{APIS, Api};

/// The first version in which a client says which software it is (KIP-511).
const FIRST_VERSION_WITH_SOFTWARE: i16 = 3;

/// Returns the table of APIs, or an error without it if the client has an ill-formed name or version (KIP-511).
pub(crate) fn respond(request: &ApiVersionsRequest, version: i16) -> ApiVersionsResponse {
    let mut software = [
        &request.client_software_name,
        &request.client_software_version,
    ]
    .into_iter();
    match version >= FIRST_VERSION_WITH_SOFTWARE && !software.all(|name| is_well_formed(name)) {
        true => {
            ApiVersionsResponse::default().with_error_code(ResponseError::InvalidRequest.code())
        }
        false => table(None),
    }
}

/// Returns whether a name consists of letters, digits, dots and hyphens, and begins and ends with a letter or digit.
fn is_well_formed(name: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric();
    let bytes = name.as_bytes();
    bytes.first().is_some_and(is_plain)
        && bytes.last().is_some_and(is_plain)
        && bytes
            .iter()
            .all(|byte| is_plain(byte) || b".-".contains(byte))
}

/// Returns the table of APIs. A response with an error has it too, so that the client can ask again in another version.
pub(crate) fn table(error: Option<ResponseError>) -> ApiVersionsResponse {
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
