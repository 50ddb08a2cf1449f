//! An HTTP client that costs little, so that it leaves the cores to what is measured.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Method, Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// A connection that is kept alive, for one request at a time.
pub(crate) struct Connection {
    address: String,
    sender: http1::SendRequest<Full<Bytes>>,
}

/// A response with its whole body.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Connection {
    /// Connects to a server, given as host and port.
    pub(crate) async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address)
            .await
            .expect("the server listens");
        stream.set_nodelay(true).expect("it is a TCP connection");
        let (sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .expect("a connection that was just opened is usable");
        // Ends with the sender. An error is also that of the request.
        tokio::spawn(connection);
        let address = address.to_owned();
        Self { address, sender }
    }

    /// Connects several times.
    pub(crate) async fn open_all(address: &str, count: usize) -> Vec<Self> {
        let mut all = Vec::new();
        for _ in 0..count {
            all.push(Self::open(address).await);
        }
        all
    }

    /// Sends a GET request.
    pub(crate) async fn get(&mut self, path: &str) -> Reply {
        self.request(Method::GET, path, Bytes::new()).await
    }

    /// Sends JSON with POST, and checks that it is accepted.
    pub(crate) async fn post(&mut self, path: &str, json: String) -> Reply {
        let reply = self.request(Method::POST, path, json.into()).await;
        let text = String::from_utf8_lossy(&reply.body);
        assert_eq!(reply.status, StatusCode::OK, "{path}: {text}");
        reply
    }

    async fn request(&mut self, method: Method, path: &str, body: Bytes) -> Reply {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address);
        if !body.is_empty() {
            request = request.header("content-type", "application/json");
        }
        let request = request.body(Full::new(body)).expect("a valid request");
        self.sender.ready().await.expect("the connection is open");
        let response = self.sender.send_request(request).await;
        let (head, body) = response.expect("the server answers").into_parts();
        let body = body.collect().await.expect("the whole body arrives");
        Reply {
            status: head.status,
            headers: head.headers,
            body: body.to_bytes(),
        }
    }
}
