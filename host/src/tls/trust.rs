//! Which certificates of the other side are accepted.

use std::sync::Arc;

use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor, verify_server_name,
    },
    crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime},
    server::{
        ParsedCertificate,
        danger::{ClientCertVerified, ClientCertVerifier},
    },
};

use super::validity::Validity;

/// Certificates that are trusted themselves, whoever issued them. webpki accepts such a certificate only if it is not one of an
/// authority, but the self-signed certificates of `openssl req -x509` say that they are.
#[derive(Clone, Debug)]
pub(super) struct Pinned(pub(super) Vec<CertificateDer<'static>>);

impl Pinned {
    /// Accepts a certificate that webpki has refused, if it is one of these and its dates are right.
    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        now: UnixTime,
        refusal: Error,
    ) -> Result<(), Error> {
        let is_valid = || Validity::of(certificate).is_some_and(|validity| validity.contains(now));
        match refusal {
            Error::InvalidCertificate(
                CertificateError::UnknownIssuer | CertificateError::Other(_),
            ) if self.0.contains(certificate) && is_valid() => Ok(()),
            refusal => Err(refusal),
        }
    }
}

/// Accepts servers whose certificate is issued by an authority, or pinned.
#[derive(Debug)]
pub(super) struct TrustedServers {
    pub(super) authorities: RootCertStore,
    pub(super) pinned: Pinned,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
}

impl ServerCertVerifier for TrustedServers {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        let (authorities, algorithms) = (&self.authorities, self.algorithms.all);
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            authorities,
            intermediates,
            now,
            algorithms,
        )
        .or_else(|refusal| self.pinned.check(end_entity, now, refusal))?;
        verify_server_name(&certificate, server_name)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signature, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// Accepts only clients with a certificate that is issued by an authority, or pinned.
#[derive(Debug)]
pub(super) struct TrustedClients {
    pub(super) issued: Arc<dyn ClientCertVerifier>,
    pub(super) pinned: Pinned,
}

impl ClientCertVerifier for TrustedClients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.issued.root_hint_subjects()
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let issued = self
            .issued
            .verify_client_cert(end_entity, intermediates, now);
        issued.or_else(|refusal| {
            self.pinned.check(end_entity, now, refusal)?;
            Ok(ClientCertVerified::assertion())
        })
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued
            .verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.issued
            .verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.issued.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use eventos_testkit::{Authority, Issued};
    use rustls::{crypto::ring, pki_types::pem::PemObject as _};

    use super::*;

    fn certificate(issued: &Issued) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(issued.certificate.as_bytes()).expect("PEM")
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(Duration::from_secs(seconds))
    }

    #[test]
    fn a_pinned_certificate_is_accepted_for_its_names_and_dates_only() {
        let (own, other) = (
            Issued::self_signed(&["host"]),
            Issued::self_signed(&["host"]),
        );
        let pinned = Pinned(vec![certificate(&own)]);
        let algorithms = ring::default_provider().signature_verification_algorithms;
        let servers = TrustedServers {
            authorities: RootCertStore::empty(),
            pinned: pinned.clone(),
            algorithms,
        };
        let now = at(2_000_000_000);
        let is_accepted = |issued: &Issued, name: &str, now: UnixTime| {
            let name = ServerName::try_from(name.to_owned()).expect("a name");
            let verified = servers.verify_server_cert(&certificate(issued), &[], &name, &[], now);
            verified.is_ok()
        };
        assert!(is_accepted(&own, "host", now));
        assert!(!is_accepted(&own, "other", now));
        assert!(!is_accepted(&other, "host", now));
        // Its dates are those of the crate that makes it.
        assert!(!is_accepted(&own, "host", at(0)));
        assert!(!is_accepted(&own, "host", at(100_000_000_000)));
    }

    #[test]
    fn a_client_is_accepted_if_it_is_issued_or_pinned() {
        let (authority, own) = (Authority::new("clients"), Issued::self_signed(&["client"]));
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        let ca = CertificateDer::from_pem_slice(authority.certificate.as_bytes());
        roots.add(ca.expect("PEM")).expect("a certificate");
        let builder =
            rustls::server::WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
        let clients = TrustedClients {
            issued: builder.build().expect("an authority"),
            pinned: Pinned(vec![certificate(&own)]),
        };
        let is_accepted = |issued: &Issued| {
            let verified = clients.verify_client_cert(&certificate(issued), &[], at(2_000_000_000));
            verified.is_ok()
        };
        assert!(clients.client_auth_mandatory());
        assert!(is_accepted(&own));
        assert!(is_accepted(&authority.issue(&["client"])));
        assert!(!is_accepted(&authority.issue_expired(&["client"])));
        assert!(!is_accepted(&Issued::self_signed(&["client"])));
    }
}
