//! Bodies of requests that are compressed. The endpoints get them unpacked, so that their limits hold for what is in them.
//!
//! The layer of tower-http does not serve here: it ends a gzip body after its first member, whose successors would be lost, and
//! reserves up to 128 MiB for a zstd frame.

use std::io;

use async_compression::{
    codecs::zstd::params::DParameter,
    tokio::bufread::{GzipDecoder, ZlibDecoder, ZstdDecoder},
};
use axum::{
    body::{Body, Bytes, HttpBody},
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};

use super::{
    limits::ConcurrencyLimit,
    problem::{ENCODING, Problem},
};

/// The encodings, as a header says it.
const ACCEPTED: HeaderValue = HeaderValue::from_static("gzip, deflate, zstd");

/// The largest window of a zstd frame, 8 MiB, as the logarithm to base 2: that of this encoding in HTTP (RFC 9659).
const MAX_WINDOW_LOG: u32 = 23;

/// How many zstd bodies may be read at a time. Each may take its window in memory.
const MAX_ZSTD: usize = 32;

/// How many bytes are unpacked at a time.
const CHUNK: usize = 32 << 10;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Gzip,
    /// The format of zlib: RFC 9110 calls it deflate.
    Deflate,
    Zstd,
}

/// The body could not be unpacked.
#[derive(Debug, thiserror::Error)]
#[error("it is not valid {encoding}, which Content-Encoding says it is: {cause}")]
struct NotDecodable {
    encoding: &'static str,
    cause: io::Error,
}

/// Returns the limit of zstd bodies.
pub(super) fn zstd_limit() -> ConcurrencyLimit {
    ConcurrencyLimit::new(MAX_ZSTD)
}

/// Unpacks the body of a request by its header `Content-Encoding`.
pub(super) async fn decode_body(
    State(zstd): State<ConcurrencyLimit>,
    mut request: Request,
    next: Next,
) -> Response {
    let encoding = match encoding(request.headers()) {
        Ok(Some(encoding)) => encoding,
        Ok(None) => return next.run(request).await,
        Err(_) if request.body().is_end_stream() => {
            return next.run(request).await;
        }
        Err(problem) => {
            let mut response = problem.into_response();
            let headers = response.headers_mut();
            headers.insert(header::ACCEPT_ENCODING, ACCEPTED);
            return response;
        }
    };
    let permit = match encoding {
        Encoding::Zstd => match zstd.admit("with a body in zstd").await {
            Ok(permit) => Some(permit),
            Err(problem) => return problem.into_response(),
        },
        Encoding::Gzip | Encoding::Deflate => None,
    };
    // They are about what was sent.
    request.headers_mut().remove(header::CONTENT_ENCODING);
    request.headers_mut().remove(header::CONTENT_LENGTH);
    let request = request.map(|body| {
        // The permit is given back with the body.
        let keep = move |_: &io::Result<Bytes>| _ = &permit;
        Body::from_stream(encoding.decode(body).inspect(keep))
    });
    next.run(request).await
}

/// Returns the encoding of a body, or `None` if it is not encoded.
fn encoding(headers: &HeaderMap) -> Result<Option<Encoding>, Problem> {
    let values = headers.get_all(header::CONTENT_ENCODING).iter();
    let values: Vec<_> = values
        .map(|value| String::from_utf8_lossy(value.as_bytes()).to_ascii_lowercase())
        .collect();
    let names = values
        .iter()
        .flat_map(|value| value.split(','))
        .map(str::trim);
    let names: Vec<_> = names
        .filter(|name| !matches!(*name, "" | "identity"))
        .collect();
    match names[..] {
        [] => Ok(None),
        ["gzip" | "x-gzip"] => Ok(Some(Encoding::Gzip)),
        ["deflate"] => Ok(Some(Encoding::Deflate)),
        ["zstd"] => Ok(Some(Encoding::Zstd)),
        _ => {
            let given = names.join(", ");
            let detail = format!(
                "the Content-Encoding is {given:?}; expected none, or one of gzip, deflate and zstd"
            );
            Err(Problem::new(ENCODING, detail))
        }
    }
}

impl Encoding {
    fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Zstd => "zstd",
        }
    }

    /// Returns what a body has in it.
    fn decode(self, body: Body) -> BoxStream<'static, io::Result<Bytes>> {
        let packed = StreamReader::new(body.into_data_stream().map_err(io::Error::other));
        match self {
            // A body may have several members, or frames, one after the other.
            Self::Gzip => {
                let mut decoder = GzipDecoder::new(packed);
                decoder.multiple_members(true);
                self.chunks(decoder)
            }
            Self::Deflate => self.chunks(ZlibDecoder::new(packed)),
            Self::Zstd => {
                let window = DParameter::window_log_max(MAX_WINDOW_LOG);
                let mut decoder = ZstdDecoder::with_params(packed, &[window]);
                decoder.multiple_members(true);
                self.chunks(decoder)
            }
        }
    }

    fn chunks(
        self,
        decoder: impl AsyncRead + Send + 'static,
    ) -> BoxStream<'static, io::Result<Bytes>> {
        let chunks = ReaderStream::with_capacity(decoder, CHUNK);
        chunks.map_err(move |error| self.explain(error)).boxed()
    }

    /// Leaves the errors of the body itself as they are, which are about the connection.
    fn explain(self, cause: io::Error) -> io::Error {
        if cause
            .get_ref()
            .is_some_and(|cause| cause.is::<axum::Error>())
        {
            return cause;
        }
        let encoding = self.name();
        io::Error::other(NotDecodable { encoding, cause })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_encoding_is_accepted_however_it_is_written() {
        let of = |values: &[&'static str]| {
            let name = header::CONTENT_ENCODING;
            let values = values.iter().map(|value| HeaderValue::from_static(value));
            encoding(&values.map(|value| (name.clone(), value)).collect())
        };
        for values in [&[][..], &["identity"], &[""], &["identity, Identity"]] {
            assert_eq!(of(values).expect("accepted"), None, "{values:?}");
        }
        for (values, expected) in [
            (&["gzip"][..], Encoding::Gzip),
            (&["X-GZip "], Encoding::Gzip),
            (&["identity", "Deflate"], Encoding::Deflate),
            (&["zstd,identity"], Encoding::Zstd),
        ] {
            assert_eq!(of(values).expect("accepted"), Some(expected), "{values:?}");
        }
        for values in [
            &["br"][..],
            &["gzip, gzip"],
            &["gzip", "zstd"],
            &["aws-chunked"],
        ] {
            assert!(of(values).is_err(), "{values:?}");
        }
    }
}
