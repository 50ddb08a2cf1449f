//! Certificates for a Kafka that encrypts its connections: an authority of its own, and a certificate that it issued.

use std::{fs, net::Ipv4Addr, path::Path};

use anyhow::{Context, Result};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, SanType};

/// The name of the file with the certificate of the authority, which clients have to trust.
pub(super) const AUTHORITY: &str = "authority.pem";
/// The name of the file with the key and the certificate of the broker, in the form that Kafka reads.
pub(super) const BROKER: &str = "broker.pem";

/// Writes an authority and a certificate for 127.0.0.1 into `dir`. The key of the authority is not kept.
pub(super) fn write(dir: &Path) -> Result<()> {
    let (authority, broker) = issue().context("cannot issue certificates")?;
    for (name, text) in [(AUTHORITY, authority), (BROKER, broker)] {
        let path = dir.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Returns the certificate of an authority, and the key of a broker with the certificate that the authority issued.
fn issue() -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    let name = "authority for tests of eventos";
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate()?;
    let authority = params.self_signed(&key)?;
    let issuer = Issuer::new(params, key);

    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![SanType::IpAddress(Ipv4Addr::LOCALHOST.into())];
    let key = KeyPair::generate()?;
    let broker = params.signed_by(&key, &issuer)?;
    Ok((authority.pem(), key.serialize_pem() + &broker.pem()))
}
