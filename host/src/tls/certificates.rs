//! All certificates and keys of this process, as the files last had them.

use std::{
    convert::Infallible,
    path::Path,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    client::verify_server_name,
    crypto::{CryptoProvider, ring},
    pki_types::{ServerName, UnixTime},
    server::{ParsedCertificate, WebPkiClientVerifier},
    sign::{CertifiedKey, SingleCertAndKey},
};

use super::{
    Config, Error,
    config::{CERTIFICATE, KEY},
    pem::{PemFile, Source, pair},
    trust::{Pinned, TrustedClients, TrustedServers},
    validity::Validity,
};

/// How often the files are read, to see whether they have changed. Their times of modification say nothing where a symbolic
/// link is pointed at another file.
const PERIOD: Duration = Duration::from_secs(5);

/// How often the log repeats that the certificate expires.
const REMINDER: Duration = Duration::from_secs(24 * 60 * 60);

/// The protocol that is agreed on with ALPN.
const HTTP: &[u8] = b"http/1.1";

/// The certificates of this process, and those that it trusts. Cheap to clone; all clones have what the files last had.
#[derive(Clone)]
pub struct Certificates(Arc<Shared>);

struct Shared {
    config: Config,
    current: ArcSwap<Material>,
}

/// What the files contained.
struct Files {
    certificate: Option<PemFile>,
    key: Option<PemFile>,
    client_ca: Option<PemFile>,
    peer_ca: Option<PemFile>,
}

/// A digest of all files, including why one cannot be read.
type Digest = blake3::Hash;

/// What is made of the files.
struct Material {
    digest: Digest,
    server: Option<Arc<ServerConfig>>,
    /// Made when the first server is connected to, because most processes connect to none with TLS.
    client: OnceLock<Arc<ClientConfig>>,
    /// The certificate that servers and clients see, and its key.
    own: Option<Arc<CertifiedKey>>,
    /// The authorities that are trusted instead of those of the system.
    ca: Option<(RootCertStore, Pinned)>,
    provider: Arc<CryptoProvider>,
    validity: Option<Validity>,
    /// Why others can read the key.
    exposure: Option<String>,
}

impl Certificates {
    /// Reads the files of a daemon.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub fn load(config: &Config) -> Result<Self, Error> {
        let (digest, files) = Files::read(config);
        let material = Material::new(digest, &files?)?;
        Ok(Self(Arc::new(Shared {
            config: config.clone(),
            current: ArcSwap::from_pointee(material),
        })))
    }

    /// Reads the files of a client: the authorities that it trusts instead of those of the system, and a file with a
    /// certificate and its key, for servers that ask for one.
    ///
    /// # Errors
    /// The first file that cannot be used.
    pub(crate) fn of_client(ca: Option<&Path>, certificate: Option<&Path>) -> Result<Self, Error> {
        let read = |setting, path: Option<&Path>| {
            let source = path.map(|path| Source {
                setting,
                path: path.to_owned(),
            });
            source.map(|source| source.read()).transpose()
        };
        let files = Files {
            certificate: read("--cert", certificate)?,
            key: read("--cert", certificate)?,
            client_ca: None,
            peer_ca: read("--ca", ca)?,
        };
        let material = Material::new(blake3::hash(&[]), &files)?;
        Ok(Self(Arc::new(Shared {
            config: Config::default(),
            current: ArcSwap::from_pointee(material),
        })))
    }

    /// Returns what to serve with, or `None` for no TLS.
    pub(crate) fn server(&self) -> Option<Arc<ServerConfig>> {
        self.0.current.load().server.clone()
    }

    /// Returns what to connect to servers with. The first call may read the authorities of the system, so it may block.
    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        let current = self.0.current.load();
        Arc::clone(current.client.get_or_init(|| current.new_client()))
    }

    /// Returns what should be looked at: the setting, and the reason.
    #[must_use]
    pub fn warnings(&self) -> Vec<(&'static str, String)> {
        let current = self.0.current.load();
        let validity = current.validity.and_then(|it| it.fault(UnixTime::now()));
        let exposure = current.exposure.clone();
        let validity = validity.map(|why| (CERTIFICATE, why));
        validity
            .into_iter()
            .chain(exposure.map(|why| (KEY, why)))
            .collect()
    }

    /// Returns whether the own certificate is one for this host, as it is in a URL. Without a certificate, it returns true.
    #[must_use]
    pub fn are_valid_for(&self, host: &str) -> bool {
        let current = self.0.current.load();
        let own = current.own.as_ref().and_then(|own| own.cert.first());
        let Some(own) = own else {
            return true;
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host);
        let parsed = ParsedCertificate::try_from(own);
        match (name, parsed) {
            (Ok(name), Ok(parsed)) => verify_server_name(&parsed, &name).is_ok(),
            _ => false,
        }
    }

    /// Logs what is served, and what should be looked at.
    pub fn log(&self) {
        let current = self.0.current.load();
        if let Some(validity) = current.validity {
            let expires_in_days = validity.days_left(UnixTime::now());
            tracing::info!(expires_in_days, "serving with TLS");
        }
        for (setting, why) in self.warnings() {
            tracing::warn!("{setting}: {why}");
        }
    }

    /// Reads the files again and again, and uses those that are valid from the next connection on. Never returns.
    pub async fn watch(&self) -> Infallible {
        let shared = &self.0;
        let mut tried = shared.current.load().digest;
        let mut reported = None;
        let mut reminded = Instant::now();
        loop {
            tokio::time::sleep(PERIOD).await;
            if reminded.elapsed() >= REMINDER {
                reminded = Instant::now();
                for (setting, why) in self.warnings() {
                    tracing::warn!("{setting}: {why}");
                }
            }
            let config = shared.config.clone();
            let read = tokio::task::spawn_blocking(move || read_again(&config, tried));
            // It does not panic, and if it did, the next one may not.
            let Ok(Some((digest, material))) = read.await else {
                continue;
            };
            tried = digest;
            match material {
                Ok(material) => {
                    shared.current.store(Arc::new(material));
                    reported = None;
                    reminded = Instant::now();
                    tracing::info!("read changed certificate files; new connections use them");
                    self.log();
                }
                Err(error) if reported.as_ref() == Some(&error) => {}
                Err(error) => {
                    tracing::warn!(
                        %error,
                        "cannot use the changed certificate files; going on with what they contained before"
                    );
                    reported = Some(error);
                }
            }
        }
    }
}

/// Reads the files, and makes something of them if they have changed.
fn read_again(config: &Config, tried: Digest) -> Option<(Digest, Result<Material, Error>)> {
    let (digest, files) = Files::read(config);
    let changed = digest != tried;
    changed.then(|| {
        let material = files.and_then(|files| Material::new(digest, &files));
        (digest, material)
    })
}

impl Files {
    /// Reads all files, and returns their digest in any case.
    fn read(config: &Config) -> (Digest, Result<Self, Error>) {
        let mut digest = blake3::Hasher::new();
        let mut read = |source: Option<Source>| {
            let file = source.map(|source| source.read()).transpose();
            let shown = match &file {
                Ok(Some(file)) => (b'f', file.content().to_vec()),
                Ok(None) => (b'-', Vec::new()),
                Err(error) => (b'e', error.why.clone().into_bytes()),
            };
            digest.update(&[shown.0]);
            digest.update(&shown.1.len().to_le_bytes());
            digest.update(&shown.1);
            file
        };
        let certificate = read(config.certificate());
        let key = read(config.key());
        let client_ca = read(config.client_ca());
        let peer_ca = read(config.peer_ca());
        let files = (|| {
            Ok(Self {
                certificate: certificate?,
                key: key?,
                client_ca: client_ca?,
                peer_ca: peer_ca?,
            })
        })();
        (digest.finalize(), files)
    }
}

impl Material {
    fn new(digest: Digest, files: &Files) -> Result<Self, Error> {
        let provider = Arc::new(ring::default_provider());
        let own = match (&files.certificate, &files.key) {
            (Some(certificate), Some(key)) => Some(pair(certificate, key, &provider)?),
            _ => None,
        };
        let server = own
            .as_ref()
            .map(|own| server(own, files.client_ca.as_ref(), &provider))
            .transpose()?;
        let ca = files.peer_ca.as_ref().map(|file| {
            let pinned = Pinned(file.certificates()?);
            Ok((file.authorities()?, pinned))
        });
        let first = own.as_ref().and_then(|own| own.cert.first());
        Ok(Self {
            digest,
            server,
            client: OnceLock::new(),
            ca: ca.transpose()?,
            provider,
            validity: first.and_then(Validity::of),
            own,
            exposure: files.key.as_ref().and_then(PemFile::exposure),
        })
    }

    /// Returns what to connect to servers with.
    fn new_client(&self) -> Arc<ClientConfig> {
        let own = self.own.as_ref();
        let (authorities, pinned) = self.ca.clone().unwrap_or_else(|| {
            let mut roots = system_authorities();
            let own = own.map(|own| own.cert.clone()).unwrap_or_default();
            // The first one is not an authority, but other instances may have the same.
            roots.add_parsable_certificates(own.iter().skip(1).cloned());
            (roots, Pinned(own))
        });
        let verifier = TrustedServers {
            authorities,
            pinned,
            algorithms: self.provider.signature_verification_algorithms,
        };
        let builder = ClientConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .expect("ring has the cipher suites of both versions")
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier));
        let mut config = match own {
            Some(own) => {
                let resolver = SingleCertAndKey::from(Arc::clone(own));
                builder.with_client_cert_resolver(Arc::new(resolver))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![HTTP.to_vec()];
        Arc::new(config)
    }
}

/// Returns what to serve with.
fn server(
    own: &Arc<CertifiedKey>,
    client_ca: Option<&PemFile>,
    provider: &Arc<CryptoProvider>,
) -> Result<Arc<ServerConfig>, Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_safe_default_protocol_versions()
        .expect("ring has the cipher suites of both versions");
    let builder = match client_ca {
        None => builder.with_no_client_auth(),
        Some(file) => {
            let roots = Arc::new(file.authorities()?);
            let issued =
                WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
            let issued = issued.map_err(|error| file.error(error.to_string()))?;
            let pinned = Pinned(file.certificates()?);
            builder.with_client_cert_verifier(Arc::new(TrustedClients { issued, pinned }))
        }
    };
    let resolver = SingleCertAndKey::from(Arc::clone(own));
    let mut config = builder.with_cert_resolver(Arc::new(resolver));
    config.alpn_protocols = vec![HTTP.to_vec()];
    Ok(Arc::new(config))
}

/// Returns the authorities that this system trusts, as far as they can be read.
fn system_authorities() -> RootCertStore {
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::debug!(%error, "cannot read certificates of the system");
    }
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(found.certs);
    roots
}
