//! Any bytes as the body of a batch.

use std::{
    io,
    sync::{Arc, Mutex},
};

use async_compression::tokio::bufread::{GzipEncoder, ZlibEncoder, ZstdEncoder};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::Request,
    http::header,
};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, future, stream};
use serde_json::value::RawValue;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tower_service::Service as _;

use crate::http::{
    batch::{Format, Split, split},
    body::MAX_EVENTO,
    unpacking,
};

/// How much of what is unpacked is looked at, in bytes.
const MAX_UNPACKED: usize = 1 << 20;

/// Unpacks and splits any bytes as the body of a batch. What is found does not depend on the pieces in which they arrive, and is
/// what another parser finds.
///
/// The first byte chooses the encoding, whether the rest is still to be packed, and the format; the second one the length of the
/// pieces.
///
/// # Panics
/// Panics if it is something else.
pub fn body(input: &[u8]) {
    let [choice, piece, rest @ ..] = input else {
        return;
    };
    let format = match choice & 8 {
        0 => Format::Lines,
        _ => Format::Array,
    };
    let encoding = ["identity", "gzip", "deflate", "zstd"][usize::from(choice & 3)];
    let text = match format {
        Format::Lines => rest.to_vec(),
        Format::Array => [b"[", rest].concat(),
    };
    let is_packed = choice & 4 != 0;
    let sent = match is_packed {
        true => rest.to_vec(),
        false => packed(encoding, &text),
    };
    let whole = read(&sent, encoding, format, sent.len().max(1));
    let pieces = read(&sent, encoding, format, usize::from(*piece).max(1));
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => {
            assert_eq!(whole, pieces);
            if !is_packed {
                check(&whole, &text, format);
            }
        }
        (whole, pieces) => assert!(whole.is_err() && pieces.is_err() && is_packed),
    }
}

/// Compares what was found with what another parser finds.
fn check(found: &[Split], text: &[u8], format: Format) {
    match format {
        Format::Lines => {
            let lines = text.split(|&byte| byte == b'\n').map(<[u8]>::trim_ascii);
            // A byte order mark may be in front of each line.
            let mark = "\u{feff}".as_bytes();
            let lines = lines.map(|line| line.strip_prefix(mark).unwrap_or(line).trim_ascii());
            let lines: Vec<_> = lines.filter(|line| !line.is_empty()).collect();
            assert_eq!(found.len(), lines.len());
            for (found, line) in found.iter().zip(lines) {
                match found {
                    Split::Text(text) => assert_eq!(text, line),
                    Split::TooLong => assert!(line.len() > MAX_EVENTO),
                    Split::Broken => panic!("lines are never broken"),
                }
            }
        }
        Format::Array => {
            let parsed = serde_json::from_slice::<Vec<&RawValue>>(text);
            assert_eq!(parsed.is_ok(), !found.contains(&Split::Broken));
            let Ok(parsed) = parsed else {
                return;
            };
            assert_eq!(found.len(), parsed.len());
            for (found, element) in found.iter().zip(parsed) {
                match found {
                    Split::Text(text) => assert_eq!(text, element.get().as_bytes()),
                    _ => assert!(element.get().len() > MAX_EVENTO),
                }
            }
        }
    }
}

/// Sends a body in pieces through the layer that unpacks it, and splits it.
///
/// # Errors
/// If it cannot be unpacked.
fn read(body: &[u8], encoding: &str, format: Format, piece: usize) -> io::Result<Vec<Split>> {
    let pieces = body
        .chunks(piece)
        .map(|piece| Ok::<_, io::Error>(Bytes::copy_from_slice(piece)));
    let pieces: Vec<_> = pieces.collect();
    let request = Request::builder()
        .header(header::CONTENT_ENCODING, encoding)
        .body(Body::from_stream(stream::iter(pieces)))
        .expect("a request");
    let found = Arc::new(Mutex::new(None));
    let result = Arc::clone(&found);
    let handler = async move |request: Request| {
        let chunks = request.into_body().into_data_stream();
        let chunks = chunks.map_err(io::Error::other);
        let start = chunks.scan(MAX_UNPACKED, |left, chunk| {
            let chunk = chunk.map(|mut chunk| chunk.split_to(chunk.len().min(*left)));
            *left -= chunk.as_ref().map_or(0, Bytes::len);
            future::ready((*left > 0).then_some(chunk))
        });
        let found = split(start.boxed(), format).await;
        *result.lock().expect("nothing panics meanwhile") = Some(found);
    };
    let mut server = unpacking(Router::new().fallback(handler));
    let answer = server.call(request).now_or_never();
    let _ = answer.expect("all of it is there");
    let found = found.lock().expect("nothing panics meanwhile").take();
    found.expect("the request was handled")
}

fn packed(encoding: &str, text: &[u8]) -> Vec<u8> {
    match encoding {
        "gzip" => read_all(GzipEncoder::new(text)),
        "deflate" => read_all(ZlibEncoder::new(text)),
        "zstd" => read_all(ZstdEncoder::new(text)),
        _ => text.to_vec(),
    }
}

fn read_all(mut packed: impl AsyncRead + Unpin) -> Vec<u8> {
    let mut all = Vec::new();
    let read = packed.read_to_end(&mut all).now_or_never();
    read.expect("all of it is there").expect("it can be packed");
    all
}
