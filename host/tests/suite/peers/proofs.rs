//! What proves a request of an instance, as another program that knows the secret could make it.

use std::{
    fmt::Write as _,
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::atomic::{AtomicU64, Ordering},
    time::{SystemTime, UNIX_EPOCH},
};

use eventos_testkit::{Broker, DEADLINE, Daemon, Setup};
use ring::{digest, hmac};

use crate::EVENTOS;

/// A minute, in milliseconds.
pub(crate) const MINUTE: i64 = 60_000;

/// A request with a proof. Tests change one of these and expect a refusal.
#[derive(Clone)]
pub(crate) struct Proven {
    pub(crate) secret: String,
    /// Milliseconds since now.
    pub(crate) later: i64,
    pub(crate) nonce: String,
    pub(crate) method: &'static str,
    pub(crate) host: String,
    pub(crate) path: &'static str,
    pub(crate) body: &'static str,
}

impl Proven {
    /// Returns a valid request for a proof.
    pub(crate) fn new(daemon: &Daemon, secret: &str) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        Self {
            secret: secret.to_owned(),
            later: 0,
            nonce: format!("{number:032x}"),
            method: "GET",
            host: daemon.url("").replace("http://", ""),
            path: "/peers/proof",
            body: "",
        }
    }

    /// Returns the value of the header `Authorization`, and the HMAC in it.
    pub(crate) fn authorization(&self) -> (String, String) {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = i64::try_from(now.expect("after 1970").as_millis()).expect("soon enough");
        let digest = hex(digest::digest(&digest::SHA256, self.body.as_bytes()).as_ref());
        let proof = format!("{} {} {digest}", now + self.later, self.nonce);
        let Self {
            method, host, path, ..
        } = self;
        let mac = self.sign(&format!("request\n{proof}\n{method}\n{host}\n{path}\n"));
        (format!("Eventos-Peer {proof} {mac}"), mac)
    }

    fn sign(&self, text: &str) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.secret.as_bytes());
        hex(hmac::sign(&key, text.as_bytes()).as_ref())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Sends a request with this header, and returns the status code and the answer.
pub(crate) fn ask(daemon: &Daemon, request: &Proven, authorization: &str) -> (u16, String) {
    let Proven {
        method, path, body, ..
    } = request;
    let address = daemon.url("").replace("http://", "");
    let mut connection = TcpStream::connect(&address).expect("it listens");
    let timeout = connection.set_read_timeout(Some(DEADLINE));
    timeout.expect("a socket option");
    let text = format!(
        "{method} {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: {authorization}\r\nconnection: close\r\n\
         content-type: application/vnd.eventos.replay-1+json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    connection.write_all(text.as_bytes()).expect("it is sent");
    let mut answer = String::new();
    connection.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1);
    let status = status.and_then(|status| status.parse().ok());
    (status.expect("a status code"), answer)
}

fn start(secret: &str) -> (Setup, Daemon) {
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    setup.set_env("EVENTOS__PEERS__SECRET", secret);
    let daemon = setup.start();
    (setup, daemon)
}

#[test]
fn a_proof_is_valid_once_and_its_answer_proves_itself() {
    let secret = "s".repeat(32);
    let (_setup, daemon) = start(&secret);
    for (method, path, body, expected) in [
        ("GET", "/peers/proof", "", 204),
        ("GET", "/peers/messages?partitions=0", "", 200),
        ("POST", "/peers/replay", "{}", 200),
    ] {
        let request = Proven {
            method,
            path,
            body,
            ..Proven::new(&daemon, &secret)
        };
        let (authorization, mac) = request.authorization();
        let (status, answer) = ask(&daemon, &request, &authorization);
        assert_eq!(status, expected, "{answer}");
        let proof = request.sign(&format!("answer\n{mac}\n"));
        assert!(
            answer.contains(&format!("x-eventos-proof: {proof}")),
            "{answer}"
        );
        let (status, answer) = ask(&daemon, &request, &authorization);
        assert_eq!(status, 401, "{answer}");
        assert!(answer.contains("was used before"), "{answer}");
        assert!(!answer.contains("x-eventos-proof"), "{answer}");
    }
}

/// Returns a valid request to rewind nothing.
fn rewinding(daemon: &Daemon, secret: &str) -> Proven {
    Proven {
        method: "POST",
        path: "/peers/replay",
        body: "{}",
        ..Proven::new(daemon, secret)
    }
}

/// Returns proofs of something else than [`rewinding`], and what the refusal of each says.
fn other_proofs(valid: impl Fn() -> Proven) -> [(Proven, &'static str); 9] {
    let with = |change: &dyn Fn(&mut Proven)| {
        let mut proven = valid();
        change(&mut proven);
        proven
    };
    [
        (with(&|it| it.later = -2 * MINUTE), "of another time"),
        (with(&|it| it.later = 2 * MINUTE), "of another time"),
        (with(&|it| it.secret = "t".repeat(32)), "is wrong"),
        (with(&|it| it.secret.clear()), "is wrong"),
        (with(&|it| it.method = "GET"), "is wrong"),
        (with(&|it| it.path = "/peers/proof"), "is wrong"),
        (
            with(&|it| it.host = "eventos-2:8080".to_owned()),
            "is wrong",
        ),
        (with(&|it| it.body = "{\"0\":0}"), "of another body"),
        (with(&|it| it.nonce = "1".to_owned()), "was used before"),
    ]
}

#[test]
fn a_proof_of_anything_else_is_refused() {
    let secret = "s".repeat(32);
    let (_setup, daemon) = start(&secret);
    let valid = || rewinding(&daemon, &secret);
    for (proof, why) in other_proofs(valid) {
        let (status, answer) = ask(&daemon, &valid(), &proof.authorization().0);
        assert_eq!(status, 401, "{why}: {answer}");
        assert!(answer.contains(why), "{why}: {answer}");
        assert!(!answer.contains("x-eventos-proof"), "{answer}");
    }
    for header in ["", "Bearer x", "Eventos-Peer", "Eventos-Peer 1 2 3 4"] {
        let (status, answer) = ask(&daemon, &valid(), header);
        assert_eq!(status, 401, "{answer}");
        assert!(answer.contains("has no proof"), "{answer}");
    }
}

#[test]
fn a_proof_is_checked_before_the_body_is_read() {
    let secret = "s".repeat(32);
    let (_setup, daemon) = start(&secret);
    let request = Proven {
        body: "x".repeat(3 << 20).leak(),
        ..rewinding(&daemon, &secret)
    };
    let (status, answer) = ask(&daemon, &request, "Eventos-Peer 1 2 3 4");
    assert_eq!(status, 401, "{answer}");
    let (status, answer) = ask(&daemon, &request, &request.authorization().0);
    assert_eq!(status, 413, "{answer}");
}
