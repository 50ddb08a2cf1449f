//! Clients of a daemon that serves with TLS and asks for certificates: they have none or a wrong one, or do not speak TLS.

use eventos_testkit::{Authority, Issued, blocking_client};

use super::*;

/// A third daemon, which serves with TLS and asks clients for a certificate.
pub(super) struct Encrypted {
    // Kept for its folder.
    _setup: Setup,
    daemon: Daemon,
    authority: Authority,
    clients: Authority,
}

impl Encrypted {
    pub(super) fn start() -> Self {
        let [authority, clients] = ["servers", "clients"].map(Authority::new);
        let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
        setup.use_certificate(&authority.issue(&["127.0.0.1"]), &authority.certificate);
        let client_ca = setup.write("clients.pem", &clients.certificate);
        setup.add_config(&format!("client_ca = {client_ca:?}\n"));
        setup.client_certificate = Some(clients.issue(&["client"]));
        let daemon = setup.start();
        Self {
            _setup: setup,
            daemon,
            authority,
            clients,
        }
    }

    fn address(&self) -> String {
        self.daemon.url("").replace("https://", "")
    }

    /// Sends bytes that are not TLS, or not a whole handshake.
    fn send_raw(&self, bytes: &[u8]) -> Outcome {
        let answer = exchange(&self.address(), bytes);
        match answer.starts_with("HTTP/1.1 4") {
            true => refused_or_closed(&answer),
            // An alert of TLS is all else that may come.
            false if answer.is_empty() || answer.starts_with('\u{15}') => {
                Ok("the handshake is refused".to_owned())
            }
            false => Err(format!("answered {answer:?}")),
        }
    }

    /// Asks for the Eventos as a client that shows this certificate.
    fn ask_with(&self, certificate: Option<&Issued>) -> Outcome {
        let client = blocking_client(None, Some(&self.authority.certificate), certificate);
        match client.get(self.daemon.url("/messages")).send() {
            Err(_) => Ok("the handshake is refused".to_owned()),
            Ok(answer) => Err(format!("answered {}", answer.status())),
        }
    }

    /// Checks that a client with a certificate is served.
    fn check_served(&self) -> Result<(), String> {
        let own = self.clients.issue(&["client"]);
        match self.ask_with(Some(&own)) {
            Err(answer) if answer == "answered 200 OK" => Ok(()),
            other => Err(format!("an honest client got {other:?}")),
        }
    }
}

pub(super) const ATTACKS: &[NamedAttack] = &[
    ("plain HTTP where TLS is expected", |target| {
        let request = b"GET /messages HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
        target.encrypted.send_raw(request)
    }),
    ("nonsense in place of a TLS handshake", |target| {
        target.encrypted.send_raw(&[0xa5; 4096])
    }),
    ("a TLS record longer than TLS allows", |target| {
        let mut record = vec![0x16, 3, 1, 0xff, 0xff];
        record.resize(70_000, 1);
        target.encrypted.send_raw(&record)
    }),
    ("a TLS handshake message of 16 MiB", |target| {
        let mut records = Vec::new();
        for _ in 0..64 {
            records.extend([0x16, 3, 1, 0x40, 0]);
            records.extend([1, 0xff, 0xff, 0xff]);
            records.resize(records.len() + 0x4000 - 4, 0);
        }
        target.encrypted.send_raw(&records)
    }),
    ("TLS handshakes that are begun and left", |target| {
        let address = target.encrypted.address();
        let begun: Vec<_> = (0..100)
            .map(|_| {
                let mut stream = connect(&address);
                let _ = stream.write_all(b"\x16\x03\x01\x02\x00\x01");
                stream
            })
            .collect();
        let served = target.encrypted.check_served();
        drop(begun);
        served.map(|()| "others are served meanwhile".to_owned())
    }),
    ("a client without a certificate", |target| {
        target.encrypted.ask_with(None)
    }),
    ("a client with a certificate of its own", |target| {
        let own = Issued::self_signed(&["client"]);
        target.encrypted.ask_with(Some(&own))
    }),
    ("a client with a certificate that has expired", |target| {
        let expired = target.encrypted.clients.issue_expired(&["client"]);
        target.encrypted.ask_with(Some(&expired))
    }),
    ("a client with the certificate of a server", |target| {
        let other = target.encrypted.authority.issue(&["127.0.0.1"]);
        target.encrypted.ask_with(Some(&other))
    }),
];
