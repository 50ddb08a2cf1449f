//! Clients of the HTTP server that mean harm, or do not finish what they begin.

mod audit;
mod browsers;
mod keys;
mod limits;
mod secrets;
mod tls;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
};

use eventos_testkit::{DEADLINE, Daemon};

use crate::EVENTOS;

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

/// A key, and the table that makes a daemon accept it.
pub(crate) struct NewKey {
    pub(crate) key: String,
    pub(crate) table: String,
}

impl NewKey {
    /// Makes a key as a user would.
    pub(crate) fn with(arguments: &[&str]) -> Self {
        let output = Command::new(EVENTOS)
            .args(["keys", "new"])
            .args(arguments)
            .output();
        let output = output.expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let (key, table) = text.split_once("\n\n").expect("a key and a table");
        Self {
            key: key.to_owned(),
            table: table.to_owned(),
        }
    }
}
