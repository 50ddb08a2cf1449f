//! How a connection begins: with a TLS handshake, if the daemon has a certificate.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutWriter;
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::either::Either;

use super::problem::{HTTPS_REQUIRED, Problem};
use crate::tls::Certificates;

/// The first byte of every TLS connection: the type of a record with a handshake.
const HANDSHAKE_RECORD: u8 = 22;

/// How much of a request without TLS is read at a time.
const MAX_PLAIN: usize = 8 << 10;

/// How long to wait for a client to close its connection after it was refused.
const LINGER: Duration = Duration::from_secs(1);

/// How often each kind of failure is logged at most.
const LOG_PERIOD: Duration = Duration::from_secs(60);

/// A connection whose writes time out.
type Plain = Pin<Box<TimeoutWriter<TcpStream>>>;

/// A connection that is ready for requests.
pub(super) type Opened = Either<Plain, TlsStream<Plain>>;

/// Opens connections. Cheap to clone.
#[derive(Clone)]
pub(super) struct Handshakes(Arc<Shared>);

struct Shared {
    certificates: Certificates,
    without_tls: Throttle,
    failed: Throttle,
}

impl Handshakes {
    /// Returns handshakes with these certificates, or none if there are none.
    pub(super) fn new(certificates: Certificates) -> Self {
        Self(Arc::new(Shared {
            certificates,
            without_tls: Throttle::default(),
            failed: Throttle::default(),
        }))
    }

    /// Opens a connection whose writes time out after `write`. The handshake may take as long as `limit`. Returns `None`
    /// if there is nothing to serve.
    pub(super) async fn open(
        &self,
        stream: TcpStream,
        client: SocketAddr,
        limit: Duration,
        write: Duration,
    ) -> Option<Opened> {
        let config = self.0.certificates.server();
        let mut stream = TimeoutWriter::new(stream);
        stream.set_timeout(Some(write));
        let stream = Box::pin(stream);
        let Some(config) = config else {
            return Some(Either::Left(stream));
        };
        match timeout(limit, self.shake_hands(stream, client, config)).await {
            Ok(opened) => opened.map(Either::Right),
            Err(_) => {
                tracing::debug!(%client, "a client did not finish its TLS handshake in time");
                None
            }
        }
    }

    async fn shake_hands(
        &self,
        stream: Plain,
        client: SocketAddr,
        config: Arc<ServerConfig>,
    ) -> Option<TlsStream<Plain>> {
        let mut first = [0];
        match stream.get_ref().peek(&mut first).await {
            Ok(1) => {}
            // The client has closed the connection, as monitoring does.
            _ => return None,
        }
        if first[0] != HANDSHAKE_RECORD {
            self.0.without_tls.warn(|left_out| {
                tracing::warn!(%client, left_out, "a client did not use TLS; it has to use an https URL");
            });
            // The client learns of it if it reads.
            let _ = refuse(stream, first[0]).await;
            return None;
        }
        let accepting = TlsAcceptor::from(config).accept(stream).into_fallible();
        let (error, stream) = match accepting.await {
            Ok(stream) => return Some(stream),
            Err(failed) => failed,
        };
        // Anything else is not about TLS: the client is gone.
        if error.kind() == io::ErrorKind::InvalidData {
            self.0.failed.warn(|left_out| {
                tracing::warn!(%client, %error, left_out, "a TLS handshake failed");
            });
            // The client has got an alert that says why, and may have sent its request already.
            let _ = close(stream).await;
        }
        None
    }
}

/// Refuses a client that does not use TLS, with a response if it seems to use HTTP.
async fn refuse(mut stream: Plain, first: u8) -> io::Result<()> {
    if !first.is_ascii_uppercase() {
        return Ok(());
    }
    let mut request = vec![0; MAX_PLAIN];
    let _ = stream.read(&mut request).await?;
    let problem = Problem::new(HTTPS_REQUIRED, "this port speaks TLS; use an https URL");
    let body = serde_json::to_string(&problem)?;
    let response = format!(
        "HTTP/1.1 400 Bad Request\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
         connection: close\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(response.as_bytes()).await?;
    close(stream).await
}

/// Closes a connection after the client had time to read what was sent last. With unread bytes, the system would reset the
/// connection, and the client might not get it.
async fn close(mut stream: Plain) -> io::Result<()> {
    stream.shutdown().await?;
    let mut unread = vec![0; MAX_PLAIN];
    let read = async {
        while stream.read(&mut unread).await? > 0 {
            sleep(Duration::from_millis(10)).await;
        }
        Ok(())
    };
    timeout(LINGER, read).await.unwrap_or(Ok(()))
}

/// Limits how often something is logged that any client can cause.
#[derive(Default)]
struct Throttle(Mutex<Throttled>);

#[derive(Default)]
struct Throttled {
    logged: Option<Instant>,
    left_out: u64,
}

impl Throttle {
    /// Calls `log` with the number of times that it was left out, or leaves it out.
    fn warn(&self, log: impl FnOnce(u64)) {
        let mut state = self.0.lock();
        if state.logged.is_some_and(|at| at.elapsed() < LOG_PERIOD) {
            state.left_out += 1;
            return;
        }
        state.logged = Some(Instant::now());
        let left_out = std::mem::take(&mut state.left_out);
        drop(state);
        log(left_out);
    }
}
