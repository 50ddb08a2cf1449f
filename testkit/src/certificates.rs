//! Certificates for tests: an authority of their own, and what it issues.

use std::{net::IpAddr, sync::Arc};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    SanType, date_time_ymd,
};
use reqwest::header::HeaderMap;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

/// An authority that issues certificates.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, in PEM.
    pub certificate: String,
}

/// A certificate and its key, in PEM.
pub struct Issued {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// Makes an authority.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate").pem();
        Self {
            issuer: Issuer::new(params, key),
            certificate,
        }
    }

    /// Issues a certificate for these names and addresses, for servers and clients.
    #[must_use]
    pub fn issue(&self, names: &[&str]) -> Issued {
        self.sign(names_of(names))
    }

    /// Issues a certificate that expired in 2020.
    #[must_use]
    pub fn issue_expired(&self, names: &[&str]) -> Issued {
        let mut params = names_of(names);
        params.not_after = date_time_ymd(2020, 1, 1);
        self.sign(params)
    }

    fn sign(&self, mut params: CertificateParams) -> Issued {
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        Issued {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

impl Issued {
    /// Makes a certificate that signs itself and says that it is an authority, as `openssl req -x509` does.
    #[must_use]
    pub fn self_signed(names: &[&str]) -> Self {
        let mut params = names_of(names);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        }
    }
}

fn names_of(names: &[&str]) -> CertificateParams {
    let mut params = CertificateParams::default();
    let name = |name: &&str| match name.parse::<IpAddr>() {
        Ok(address) => SanType::IpAddress(address),
        Err(_) => SanType::DnsName((*name).try_into().expect("a host name")),
    };
    params.subject_alt_names = names.iter().map(name).collect();
    params
}

/// Returns what clients of tests connect with: they trust the authorities in `ca`, and show a certificate if they have one.
pub(crate) fn client_config(ca: Option<&str>, own: Option<&Issued>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(ca.unwrap_or_default().as_bytes()) {
        let added = roots.add(certificate.expect("PEM"));
        added.expect("a certificate");
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("cipher suites")
        .with_root_certificates(roots);
    match own {
        None => builder.with_no_client_auth(),
        Some(Issued { certificate, key }) => {
            let chain = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
            let config = builder.with_client_auth_cert(vec![chain], key);
            config.expect("a key that matches")
        }
    }
}

/// Returns a client that sends this key, trusts the authorities in `ca`, and shows a certificate if it has one.
#[must_use]
pub fn blocking_client(
    key: Option<&str>,
    ca: Option<&str>,
    own: Option<&Issued>,
) -> reqwest::blocking::Client {
    let mut headers = HeaderMap::new();
    if let Some(key) = key {
        let value = format!("Bearer {key}").parse().expect("a header value");
        headers.insert("authorization", value);
    }
    let client = reqwest::blocking::Client::builder();
    let client = client.default_headers(headers);
    let client = client.tls_backend_preconfigured(client_config(ca, own));
    client.build().expect("an HTTP client")
}

/// Returns a client that trusts no authority, for servers without TLS.
#[must_use]
pub fn async_client() -> reqwest::Client {
    let client = reqwest::Client::builder();
    let client = client.tls_backend_preconfigured(client_config(None, None));
    client.build().expect("an HTTP client")
}
