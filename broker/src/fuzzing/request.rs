//! Any bytes as a request.

use std::net::{Ipv4Addr, SocketAddr};

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    error::ResponseError,
    messages::{ApiKey, RequestHeader, RequestKind},
    protocol::Decodable,
};

use crate::protocol::{apis::Api, dispatch::RequestFrame, error_response, length_check};

/// Decodes a frame as `dispatch` does, and encodes the error response of a frame that cannot be decoded.
///
/// # Panics
///
/// Panics if `dispatch` and the protocol crate disagree about a header.
pub fn request(frame: &[u8]) {
    let frame = Bytes::copy_from_slice(frame);
    let parsed = RequestFrame::parse(frame.clone(), SocketAddr::from((Ipv4Addr::LOCALHOST, 1)));
    let Some((api, version)) = supported_api(&frame) else {
        return;
    };
    let mut body = frame;
    let header = RequestHeader::decode(&mut body, api.key.request_header_version(version));
    assert_eq!(parsed.is_ok(), header.is_ok(), "{:?} v{version}", api.key);
    if header.is_err() {
        return;
    }
    if length_check::check(api, version, &body).is_ok()
        && RequestKind::decode(api.key, &mut body.clone(), version).is_ok()
    {
        return;
    }
    // Without a response of its own, the API gets a bare error code.
    let error = ResponseError::InvalidRequest;
    if let Some(response) = error_response::build(api.key, version, &body, error) {
        let _ = response.encode(&mut BytesMut::new(), version);
    }
}

/// Returns the API and the version that a frame asks for, if the broker supports them.
fn supported_api(frame: &[u8]) -> Option<(&'static Api, i16)> {
    let &[key, key_low, version, version_low, ..] = frame else {
        return None;
    };
    let key = ApiKey::try_from(i16::from_be_bytes([key, key_low])).ok()?;
    let version = i16::from_be_bytes([version, version_low]);
    let api = Api::find(key).filter(|api| api.supports(version))?;
    Some((api, version))
}
