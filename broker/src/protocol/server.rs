//! Connections: accepts them, splits their bytes into frames, and handles the requests in order.
//!
//! A connection handles one request at a time and reads nothing else meanwhile. So a client that sends too fast or reads
//! too slowly is held up by its own socket, and a connection keeps at most one request and one response in memory.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::dispatch::{RequestFrame, respond};
use crate::{descriptors, maintenance, shared::Shared};

/// The largest request in bytes: Kafka's default of `socket.request.max.bytes`.
const MAX_FRAME: usize = 100 << 20;
/// How far memory is allocated ahead of the bytes that have arrived. The announced length of a frame allocates nothing.
const READ_AHEAD: usize = 1 << 20;
/// Initial size of the buffer of a request; most requests fit.
const FIRST_READ: usize = 64 << 10;
/// The buffer of a request up to this size is reused for the next one, because allocating it again costs more than
/// reading into it.
const REUSED: usize = 1 << 20;
/// A connection without a request for this long is idle and gives its buffer back.
const IDLE: Duration = Duration::from_secs(1);
/// A connection without a complete request for this long is closed: Kafka's default of `connections.max.idle.ms`.
const MAX_IDLE: Duration = Duration::from_secs(600);
/// Pause after a failed accept, for example when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `stop` is cancelled, then ends the connections and waits for them.
///
/// If the future is dropped, the connections stay in `connections` for the caller to end.
pub(crate) async fn serve(
    listener: TcpListener,
    shared: &Arc<Shared>,
    stop: CancellationToken,
    connections: &mut JoinSet<()>,
) {
    let maintenance = maintenance::run(shared);
    tokio::pin!(maintenance);
    let max_connections = descriptors::budget().connections;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = &mut maintenance => {}
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection panicked");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((_, peer)) if connections.len() >= max_connections => {
                    tracing::warn!(%peer, max_connections, "refused a connection, because there are too many");
                    // A client that tries again and again does not fill the log.
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                Ok((stream, peer)) => {
                    let connection = Connection { stream, peer, shared: Arc::clone(shared), stop: stop.clone() };
                    connections.spawn(connection.run());
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl Connection {
    async fn run(mut self) {
        let peer = self.peer;
        tracing::debug!(%peer, "connected");
        match self.serve_requests().await {
            Ok(()) => tracing::debug!(%peer, "disconnected"),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%peer, %error, "closed a connection that does not speak the Kafka protocol");
            }
            Err(error) => tracing::debug!(%peer, %error, "connection lost"),
        }
    }

    async fn serve_requests(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let stop = self.stop.clone();
        let mut input = BytesMut::new();
        loop {
            let turn = async {
                let frame = timeout(MAX_IDLE, read_frame(&mut self.stream, &mut input)).await;
                let Some(frame) = frame.unwrap_or(Ok(None))? else {
                    return io::Result::Ok(false);
                };
                let request = RequestFrame::parse(frame, self.peer)?;
                if let Some(response) = respond(&self.shared, request).await? {
                    self.stream.write_all(&response).await?;
                }
                Ok(true)
            };
            tokio::select! {
                // The request comes first, so that one that is already in the log still gets its response.
                biased;
                more = turn => if !more? { return Ok(()) },
                () = stop.cancelled() => return Ok(()),
            }
        }
    }
}

/// Reads the next frame, without its length. Returns `None` if the client has closed the connection.
///
/// # Errors
///
/// Returns `InvalidData` for a length that no request has, and `UnexpectedEof` if the connection ends within a frame.
async fn read_frame(stream: &mut TcpStream, input: &mut BytesMut) -> io::Result<Option<Bytes>> {
    const PREFIX: usize = 4;
    if input.is_empty() && timeout(IDLE, stream.readable()).await.is_err() {
        *input = BytesMut::new();
        stream.readable().await?;
    }
    while input.len() < PREFIX {
        // Reuses the memory of the last request, which has been dropped by now.
        input.reserve(FIRST_READ);
        let mut first = (&mut *stream).take(FIRST_READ as u64);
        if first.read_buf(input).await? == 0 {
            return match input.len() {
                0 => Ok(None),
                _ => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
    }
    let length = i32::from_be_bytes([input[0], input[1], input[2], input[3]]);
    let length = usize::try_from(length)
        .ok()
        .filter(|length| *length <= MAX_FRAME)
        .ok_or_else(|| {
            invalid(format!(
                "frame length {length} is not between 0 and {MAX_FRAME}"
            ))
        })?;
    let end = PREFIX + length;
    while input.len() < end {
        input.reserve((end - input.len()).min(READ_AHEAD));
        // Reads no further than this frame, so that no part of the next one has to be moved.
        let mut rest = (&mut *stream).take((end - input.len()) as u64);
        if rest.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    input.advance(PREFIX);
    let frame = input.split_to(length).freeze();
    if length > REUSED {
        *input = BytesMut::from(&input[..]);
    }
    Ok(Some(frame))
}

/// Returns the error of a connection that cannot go on, because the peer does not speak the Kafka protocol.
pub(crate) fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}
