//! HTTPS: what is served, and who trusts it.

mod clients;
mod files;

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    process::Command,
    sync::Arc,
    thread,
    time::Duration,
};

use eventos_testkit::{
    Authority, Broker, DEADLINE, Daemon, Issued, Setup, blocking_client, eventually,
    run_subcommand, wait::pause,
};
use rustls::{
    ClientConfig, ClientConnection, ProtocolVersion, RootCertStore, StreamOwned,
    SupportedProtocolVersion,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject as _},
    version::{TLS12, TLS13},
};

use crate::EVENTOS;

const LOOPBACK: &[&str] = &["127.0.0.1"];

/// Prepares a daemon with a certificate of this authority, and a file with the certificate of the authority.
fn setup(authority: &Authority) -> (Setup, String) {
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    setup.use_certificate(&authority.issue(LOOPBACK), &authority.certificate);
    let ca = setup.write("ca.pem", &authority.certificate);
    (setup, ca.display().to_string())
}

/// Runs a command that asks the daemon for something. Returns the exit code and standard error.
fn run_command(url: &str, options: &[&str]) -> (Option<i32>, String) {
    let arguments = [&["list"], options].concat();
    let (code, _, errors) = run_subcommand(EVENTOS, "dead-letters", url, &arguments);
    (code, errors)
}

fn assert_refused(url: &str, options: &[&str], hint: &str) {
    let (code, errors) = run_command(url, options);
    assert_eq!(code, Some(1), "{options:?}: {errors}");
    assert!(errors.contains(hint), "{options:?}: {hint}: {errors}");
}

#[test]
fn it_serves_https_and_the_command_line_trusts_the_authority_that_it_is_given() {
    let authority = Authority::new("ours");
    let (setup, ca) = setup(&authority);
    let daemon = setup.start();
    let url = daemon.url("");
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    daemon.send(r#"{"id":1,"tipo":"t"}"#);
    daemon.wait_for_messages(1);
    daemon.wait_for_log("serving with TLS expires_in_days=");

    let (code, errors) = run_command(&url, &["--ca", &ca]);
    assert_eq!(code, Some(0), "{errors}");
    let mut command = Command::new(EVENTOS);
    command.args(["replay", "--from", "earliest", "--dry-run", "--url", &url]);
    let output = command.env("EVENTOS_CA", &ca).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");

    let other = setup.write("other.pem", &Authority::new("another").certificate);
    let other = other.display().to_string();
    for options in [&[][..], &["--ca", &other]] {
        assert_refused(&url, options, "pass --ca FILE");
    }
    let by_name = url.replace("127.0.0.1", "localhost");
    assert_refused(&by_name, &["--ca", &ca], "not for this host");
    assert_refused(&url.replace("https", "http"), &[], "use an https URL");
    assert_refused(&url, &["--ca", "nowhere.pem"], "--ca = \"nowhere.pem\"");

    let plain_setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    let plain = plain_setup.start();
    let url = plain.url("").replace("http", "https");
    assert_refused(&url, &["--ca", &ca], "use an http URL");
}

/// `openssl req -x509` makes such certificates.
#[test]
fn a_certificate_that_signs_itself_can_be_trusted_itself() {
    let own = Issued::self_signed(LOOPBACK);
    let mut setup = Setup::new(EVENTOS, Broker::Embedded, &["store"], "");
    setup.use_certificate(&own, &own.certificate);
    let ca = setup.path("certificate.pem").display().to_string();
    let other = setup.write("other.pem", &Issued::self_signed(LOOPBACK).certificate);
    let daemon = setup.start_listening();
    eventually("the command to succeed", || {
        let (code, _) = run_command(&daemon.url(""), &["--ca", &ca]);
        (code == Some(0)).then_some(())
    });
    let other = other.display().to_string();
    assert_refused(&daemon.url(""), &["--ca", &other], "pass --ca FILE");
}

/// Connects with one version of TLS, and returns the version and the protocol that were agreed on, and the response.
fn request_with(
    daemon: &Daemon,
    ca: &str,
    version: &'static SupportedProtocolVersion,
) -> (Option<ProtocolVersion>, Vec<u8>, String) {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(ca.as_bytes()).expect("PEM");
    roots.add(certificate).expect("a certificate");
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[version])
        .expect("cipher suites")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name = "127.0.0.1".try_into().expect("a name");
    let connection = ClientConnection::new(Arc::new(config), name).expect("a connection");
    let stream = TcpStream::connect(address(daemon)).expect("it listens");
    stream
        .set_read_timeout(Some(DEADLINE))
        .expect("a socket option");
    let mut stream = StreamOwned::new(connection, stream);
    let request = "GET /healthz HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    stream.write_all(request.as_bytes()).expect("it is sent");
    let mut response = String::new();
    // It fails unless the daemon ends TLS in order.
    stream.read_to_string(&mut response).expect("a response");
    let protocol = stream.conn.alpn_protocol().unwrap_or_default().to_vec();
    (stream.conn.protocol_version(), protocol, response)
}

fn address(daemon: &Daemon) -> String {
    let url = daemon.url("");
    url.rsplit_once('/').expect("a URL").1.to_owned()
}

/// Returns whether a new connection gets a response if the client trusts this authority.
fn is_trusted(daemon: &Daemon, authority: &Authority) -> bool {
    let client = blocking_client(None, Some(&authority.certificate), None);
    client.get(daemon.url("/healthz")).send().is_ok()
}

#[test]
fn it_speaks_tls_1_2_and_1_3_and_agrees_on_http_1_1() {
    let authority = Authority::new("ours");
    let (setup, _) = setup(&authority);
    let daemon = setup.start();
    for version in [&TLS12, &TLS13] {
        let (agreed, protocol, response) = request_with(&daemon, &authority.certificate, version);
        assert_eq!(agreed, Some(version.version));
        assert_eq!(protocol, b"http/1.1");
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
    }
}

/// A client that reads slowly, or not at all, does not keep others waiting.
#[test]
fn a_large_response_arrives_whole_over_tls() {
    let authority = Authority::new("ours");
    let (setup, _) = setup(&authority);
    let daemon = setup.start();
    let value = "x".repeat(900_000);
    let eventos: Vec<_> = (0..10)
        .map(|id| format!(r#"{{"id":{id},"tipo":"t","x":"{value}"}}"#))
        .collect();
    daemon.send_all(&eventos);
    daemon.wait_for_messages(10);
    let url = daemon.url("/messages");
    let client = blocking_client(None, Some(&authority.certificate), None);
    let slow = thread::spawn(move || {
        let mut response = client.get(url).send().expect("a response");
        let (mut all, mut part) = (0, vec![0; 1 << 20]);
        loop {
            match response.read(&mut part).expect("the next part") {
                0 => return all,
                read => all += read,
            }
            pause(Duration::from_millis(50));
        }
    });
    daemon.wait_for_messages(10);
    let read = slow.join().expect("it reads");
    assert!(read > 9_000_000, "{read}");
}
