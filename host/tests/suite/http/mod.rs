//! Clients of the HTTP server that mean harm, or do not finish what they begin.

mod limits;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
};

use eventos_testkit::{DEADLINE, Daemon};

/// A connection to the HTTP server of a daemon, for requests that no client would send.
struct RawHttp(TcpStream);

impl RawHttp {
    /// Connects, and sends these bytes.
    fn send(daemon: &Daemon, bytes: &str) -> Self {
        let url = daemon.url("");
        let address = url.rsplit_once('/').expect("a URL").1;
        let mut stream = TcpStream::connect(address).expect("a connection");
        let timeout = stream.set_read_timeout(Some(DEADLINE));
        timeout.expect("a socket option");
        stream.write_all(bytes.as_bytes()).expect("it is sent");
        Self(stream)
    }

    /// Reads until the daemon closes the connection.
    fn read(mut self) -> String {
        let mut answer = Vec::new();
        // A reset is an end as well.
        let _ = self.0.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }
}
