//! Requests as bytes, which no client library would send.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::support::within;

pub(super) const PRODUCE: i16 = 0;
pub(super) const FETCH: i16 = 1;
pub(super) const METADATA: i16 = 3;
pub(super) const API_VERSIONS: i16 = 18;

/// Opens a connection.
pub(super) async fn connect(address: SocketAddr) -> TcpStream {
    within(TcpStream::connect(address)).await.unwrap()
}

/// Returns a request without a client id and with a header of version 1.
pub(super) fn request(key: i16, version: i16, correlation: i32, body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    frame.extend(((10 + body.len()) as i32).to_be_bytes());
    frame.extend(key.to_be_bytes());
    frame.extend(version.to_be_bytes());
    frame.extend(correlation.to_be_bytes());
    frame.extend((-1i16).to_be_bytes());
    frame.extend(body);
    frame
}

/// Returns a fetch of topic "t" from these offsets of its partitions, of at most a MiB.
pub(super) fn fetch(offsets: &[i64], min_bytes: i32, max_wait_ms: i32) -> Vec<u8> {
    fetch_up_to(1 << 20, offsets, min_bytes, max_wait_ms)
}

/// Returns such a fetch with another limit in bytes, for each partition and for all.
pub(super) fn fetch_up_to(
    max_bytes: i32,
    offsets: &[i64],
    min_bytes: i32,
    max_wait_ms: i32,
) -> Vec<u8> {
    let mut body = Vec::new();
    body.extend((-1i32).to_be_bytes());
    body.extend(max_wait_ms.to_be_bytes());
    body.extend(min_bytes.to_be_bytes());
    body.extend(max_bytes.to_be_bytes());
    body.push(0);
    body.extend([0, 0, 0, 1, 0, 1, b't']);
    body.extend((offsets.len() as i32).to_be_bytes());
    for (partition, offset) in offsets.iter().enumerate() {
        body.extend((partition as i32).to_be_bytes());
        body.extend(offset.to_be_bytes());
        body.extend(max_bytes.to_be_bytes());
    }
    request(FETCH, 4, 1, &body)
}

/// Reads the next response: its correlation id and the rest.
pub(super) async fn answer(stream: &mut TcpStream) -> (i32, Vec<u8>) {
    within(answer_or_end(stream)).await.expect("an answer")
}

/// Reads the next response without a deadline, or returns `None` if the connection ends.
pub(super) async fn answer_or_end(stream: &mut TcpStream) -> Option<(i32, Vec<u8>)> {
    let length = stream.read_i32().await.ok()?;
    let correlation = stream.read_i32().await.ok()?;
    let mut rest = vec![0; length as usize - 4];
    stream.read_exact(&mut rest).await.ok()?;
    Some((correlation, rest))
}

pub(super) async fn assert_alive(stream: &mut TcpStream) {
    stream
        .write_all(&request(API_VERSIONS, 0, 4711, b""))
        .await
        .unwrap();
    let (correlation, rest) = answer(stream).await;
    assert_eq!((correlation, &rest[..2]), (4711, &[0, 0][..]));
}

pub(super) async fn assert_closed(stream: &mut TcpStream) {
    let mut byte = [0];
    let end = within(stream.read(&mut byte)).await;
    assert!(matches!(end, Ok(0) | Err(_)), "{end:?}");
}
