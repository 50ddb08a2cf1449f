//! Connections: accepting them, cutting their bytes into frames, answering each request in its turn.
//!
//! A connection has one request in work at a time and reads no further meanwhile, so a client that sends faster than
//! it is answered, or reads slower, is held up by its own socket, and a connection holds at most one request and one
//! answer in memory.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::Shared;
use crate::maintenance;
use crate::protocol::dispatch::{Call, answer};

/// The largest request, as `socket.request.max.bytes` of Kafka.
const MAX_FRAME: usize = 100 << 20;
/// Memory is taken as bytes come, not as a length promises them: this much ahead of what is there.
const READ_AHEAD: usize = 1 << 20;
/// The buffer that a request begins in; most fit.
const FIRST_READ: usize = 64 << 10;
/// The buffer of a request up to this size is used again for the next one. Getting the memory anew from the system
/// would cost more than reading into it.
const KEPT: usize = 1 << 20;
/// A connection that waits this long for its next request is idle, and holds no buffer.
const IDLE: Duration = Duration::from_secs(1);
/// How long to rest when the system has no more sockets to give.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until `shutdown`, then ends every connection. Dropped, it ends them too.
pub async fn serve(
    listener: TcpListener,
    shared: &Arc<Shared>,
    shutdown: impl Future<Output = ()>,
) {
    let stop = CancellationToken::new();
    let mut connections = JoinSet::new();
    let chores = chores::run(shared);
    tokio::pin!(chores);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            () = &mut chores => {}
            Some(ended) = connections.join_next(), if !connections.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a connection ended in a bug");
                }
            }
            accepted = listener.accept() => match accepted {
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
    stop.cancel();
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
        match self.answer_all().await {
            Ok(()) => tracing::debug!(%peer, "disconnected"),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!(%peer, %error, "closing a connection that does not speak Kafka");
            }
            Err(error) => tracing::debug!(%peer, %error, "connection lost"),
        }
    }

    async fn answer_all(&mut self) -> io::Result<()> {
        self.stream.set_nodelay(true)?;
        let stop = self.stop.clone();
        let mut input = BytesMut::new();
        loop {
            let turn = async {
                let Some(frame) = read_frame(&mut self.stream, &mut input).await? else {
                    return io::Result::Ok(false);
                };
                let call = Call::parse(frame, self.peer)?;
                if let Some(answer) = answer(&self.shared, call).await? {
                    self.stream.write_all(&answer).await?;
                }
                Ok(true)
            };
            tokio::select! {
                // First, so that a request whose effect is in the log is answered if the socket takes it.
                biased;
                more = turn => if !more? { return Ok(()) },
                () = stop.cancelled() => return Ok(()),
            }
        }
    }
}

/// The next frame without its length, or `None` at the orderly end of the connection.
///
/// # Errors
///
/// `InvalidData` for a length that no request has; `UnexpectedEof` for half a frame.
async fn read_frame(stream: &mut TcpStream, input: &mut BytesMut) -> io::Result<Option<Bytes>> {
    const PREFIX: usize = 4;
    if input.is_empty() && timeout(IDLE, stream.readable()).await.is_err() {
        *input = BytesMut::new();
        stream.readable().await?;
    }
    while input.len() < PREFIX {
        // Finds the room of the last request again, now that nobody has that any more.
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
                "a frame of {length} bytes; the most is {MAX_FRAME}"
            ))
        })?;
    let end = PREFIX + length;
    while input.len() < end {
        input.reserve((end - input.len()).min(READ_AHEAD));
        // Not more than the frame needs, lest the rest of the next one has to be moved.
        let mut rest = (&mut *stream).take((end - input.len()) as u64);
        if rest.read_buf(input).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    input.advance(PREFIX);
    let frame = input.split_to(length).freeze();
    if length > KEPT {
        *input = BytesMut::from(&input[..]);
    }
    Ok(Some(frame))
}

/// The peer speaks something else; the connection cannot go on.
pub fn invalid(reason: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.into())
}
