//! Clients that may not do what they try: web pages in a user's browser, programs without a sufficient key, and programs that
//! pretend to be an instance of the group.

use super::*;
use crate::{
    http::NewKey,
    peers::{
        lies::FalsePeer,
        proofs::{MINUTE, Proven, ask},
    },
};

/// A second daemon, which needs keys, and proofs of other instances.
pub(super) struct Guarded {
    setup: Setup,
    daemon: Daemon,
    /// A key with the scope `read`.
    key: String,
    secret: String,
}

impl Guarded {
    pub(super) fn start() -> Self {
        let NewKey { key, table } = NewKey::with(&["--scopes", "read"]);
        let secret = "s".repeat(32);
        let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], &table);
        setup.key = Some(key.clone());
        setup.set_env("EVENTOS__PEERS__SECRET", &secret);
        let daemon = setup.start();
        Self {
            setup,
            daemon,
            key,
            secret,
        }
    }

    /// Sends a request without a body and with these headers to this daemon.
    fn send(&self, request: &str, headers: &str) -> Outcome {
        let address = self.daemon.url("").replace("http://", "");
        let text = format!("{request} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n");
        not_permitted(&exchange(&address, text.as_bytes()))
    }

    /// Sends a request as another instance would, with the proof of `proven`.
    fn ask(&self, request: &Proven, proven: &Proven) -> Outcome {
        let (_, answer) = ask(&self.daemon, request, &proven.authorization().0);
        not_permitted(&answer)
    }

    fn proven(&self) -> Proven {
        Proven::new(&self.daemon, &self.secret)
    }
}

pub(super) const ATTACKS: &[NamedAttack] = &[
    ("a page whose name leads to the daemon, reading", |target| {
        page(
            target,
            "GET /messages",
            "Host: evil.example\r\nSec-Fetch-Site: same-origin\r\n",
        )
    }),
    ("a page whose name leads to the daemon, sending", |target| {
        let headers = "Host: evil.example:8080\r\nOrigin: http://evil.example:8080\r\n\
                       Content-Type: application/json\r\n";
        page(target, "POST /send", headers)
    }),
    ("a form of another site", |target| {
        own_host(
            target,
            "POST /send",
            "Origin: http://evil.example\r\nContent-Type: text/plain\r\n",
        )
    }),
    ("a body without a media type", |target| {
        own_host(target, "POST /send", "")
    }),
    ("a form of another site without an origin", |target| {
        own_host(
            target,
            "POST /send",
            "Content-Type: application/x-www-form-urlencoded\r\n",
        )
    }),
    ("a page of another site that deletes a handler", |target| {
        own_host(
            target,
            "DELETE /handlers/store",
            "Origin: null\r\nContent-Type: text/plain\r\n",
        )
    }),
    ("an image of another site that reads Eventos", |target| {
        let headers =
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: image\r\n";
        own_host(target, "GET /messages", headers)
    }),
    ("a link of another site that reads Eventos", |target| {
        let headers = "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: document\r\n";
        own_host(target, "GET /messages", headers)
    }),
    ("a frame of another site around the first page", |target| {
        let headers =
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\nSec-Fetch-Dest: iframe\r\n";
        own_host(target, "GET /", headers)
    }),
    (
        "a page of another site that asks for permission",
        |target| {
            let headers = "Origin: http://evil.example\r\nAccess-Control-Request-Method: PUT\r\n";
            own_host(target, "OPTIONS /handlers/new", headers)
        },
    ),
    ("a request without a host", |target| {
        page(target, "GET /messages", "")
    }),
    ("a request with two hosts", |target| {
        page(
            target,
            "GET /messages",
            "Host: localhost\r\nHost: evil.example\r\n",
        )
    }),
    ("a request line with another host", |target| {
        page(
            target,
            "GET http://evil.example/messages",
            "Host: localhost\r\n",
        )
    }),
    ("a client without a key", |target| {
        target.guarded.send("GET /messages", "")
    }),
    ("2,000 guessed keys", |target| {
        for number in 0..2_000 {
            let guess = format!("Authorization: Bearer {number:043}\r\nConnection: close\r\n");
            target.guarded.send("GET /messages", &guess)?;
        }
        Ok("each is refused".to_owned())
    }),
    ("a key of 60,000 characters", |target| {
        let long = format!("Authorization: Bearer {}\r\n", "x".repeat(60_000));
        target.guarded.send("GET /messages", &long)
    }),
    ("a key in the query", |target| {
        let request = format!("GET /messages?key={}", target.guarded.key);
        target.guarded.send(&request, "")
    }),
    ("a key beside another", |target| {
        let key = &target.guarded.key;
        let both = format!("Authorization: Bearer x\r\nAuthorization: Bearer {key}\r\n");
        target.guarded.send("GET /messages", &both)
    }),
    ("the hash of a key instead of it", |target| {
        let config = fs::read_to_string(target.guarded.setup.write_config());
        let config = config.map_err(|error| error.to_string())?;
        let hash = config.split_once("hash = \"").expect("a key").1;
        let header = format!("Authorization: Bearer {}\r\n", &hash[..64]);
        target.guarded.send("GET /messages", &header)
    }),
    ("a key for reading that sends", |target| {
        with_key(target, "POST /send")
    }),
    ("a key for reading that removes a handler", |target| {
        with_key(target, "DELETE /handlers/store")
    }),
    ("a key for reading that replays", |target| {
        with_key(target, "POST /replay?from=earliest")
    }),
    ("a key instead of the proof of an instance", |target| {
        with_key(target, "GET /peers/messages?partitions=0")
    }),
    ("an instance without a proof", |target| {
        target.guarded.send("GET /peers/messages?partitions=0", "")
    }),
    ("an instance with another secret", |target| {
        let guarded = &target.guarded;
        let other = Proven::new(&guarded.daemon, &"t".repeat(32));
        guarded.ask(&other, &other)
    }),
    ("a proof that was used", |target| {
        let proven = target.guarded.proven();
        let (status, answer) = ask(&target.guarded.daemon, &proven, &proven.authorization().0);
        match status {
            204 => target.guarded.ask(&proven, &proven),
            _ => Err(format!("a valid proof is refused: {answer}")),
        }
    }),
    ("a proof of two minutes ago", |target| {
        let guarded = &target.guarded;
        let later = -2 * MINUTE;
        let stale = Proven {
            later,
            ..guarded.proven()
        };
        guarded.ask(&stale, &stale)
    }),
    ("the proof of another request", |target| {
        let guarded = &target.guarded;
        let path = "/peers/messages?partitions=0";
        let request = Proven {
            path,
            ..guarded.proven()
        };
        guarded.ask(&request, &guarded.proven())
    }),
    ("a proof that was meant for another instance", |target| {
        let guarded = &target.guarded;
        let other = Proven {
            host: "eventos-2:8080".to_owned(),
            ..guarded.proven()
        };
        guarded.ask(&other, &other)
    }),
    (
        "a member of the group with the URL of another server",
        lying_member,
    ),
];

/// A server that does not belong to the group gets requests without anything of value, and its responses are not used.
fn lying_member(target: &Target) -> Outcome {
    let Guarded { setup, daemon, .. } = &target.guarded;
    let peer = FalsePeer::start(|_| {
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned()
    });
    let member = peer.join(daemon, &setup.name, &setup.topic());
    let reason = format!("{} did not prove", peer.url);
    eventually("the member to be named", || {
        let answer = daemon.get("/messages");
        let reasons = answer.headers.get_all("x-missing-reason").iter();
        let mut reasons = reasons.filter_map(|text| text.to_str().ok());
        reasons.any(|text| text.contains(&reason)).then_some(())
    });
    drop(member);
    let requests = peer.finish();
    let other = requests
        .iter()
        .find(|request| !request.starts_with("GET /peers/proof HTTP/1.1\r\n"));
    match other {
        None => Ok(format!(
            "it got {} handshakes and nothing else",
            requests.len()
        )),
        Some(request) => Err(format!("it got {request}")),
    }
}

/// Sends a request with these headers and a body, if the method has one.
fn page(target: &Target, request: &str, headers: &str) -> Outcome {
    let body = match request.starts_with("POST") {
        true => r#"{"id":"evil","tipo":"good"}"#,
        false => "",
    };
    let length = match body.len() {
        0 => String::new(),
        length => format!("Content-Length: {length}\r\n"),
    };
    let text = format!("{request} HTTP/1.1\r\n{headers}{length}\r\n{body}");
    let answer = target.send_raw(text.as_bytes());
    let outcome = not_permitted(&answer)?;
    match target.daemon.get("/messages/evil").status.as_u16() {
        404 => Ok(outcome),
        status => Err(format!("it was sent: {status}")),
    }
}

fn own_host(target: &Target, request: &str, headers: &str) -> Outcome {
    let headers = format!("Host: {}\r\n{headers}", target.http_address());
    page(target, request, &headers)
}

fn with_key(target: &Target, request: &str) -> Outcome {
    let header = format!("Authorization: Bearer {}\r\n", target.guarded.key);
    target.guarded.send(request, &header)
}

/// Contained if the answer refuses what the client may not do, and gives no other site permission.
fn not_permitted(answer: &str) -> Outcome {
    let line = answer.lines().next().unwrap_or_default();
    let status = line.split(' ').nth(1).unwrap_or_default();
    let is_refused = ["400", "401", "403", "415", "421"].contains(&status);
    match is_refused && !answer.to_lowercase().contains("access-control-allow") {
        true => Ok(format!("refused with {line}")),
        false => Err(format!("answered {line}")),
    }
}
