//! Reads certificates and keys from PEM files.

use std::{
    fs::OpenOptions,
    io::{self, Read as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::PathBuf,
    sync::Arc,
};

use rustix::{fs::OFlags, process::geteuid};
use rustls::{
    InconsistentKeys, RootCertStore,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{Error as PemError, PemObject as _},
    },
    sign::CertifiedKey,
};

use super::Error;

/// The largest file that is read, in bytes: several times the size of the list of all public authorities.
const MAX_FILE: u64 = 4 << 20;

/// Permission bits of a key that let other users read or change it. Its group may read it, as it may with secrets in
/// Kubernetes.
const EXPOSED: u32 = 0o026;

/// A file that a setting or option names.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) setting: &'static str,
    pub(super) path: PathBuf,
}

/// What a file contained when it was read.
pub(super) struct PemFile {
    source: Source,
    content: Vec<u8>,
    mode: u32,
}

impl Source {
    /// Reads the file. Waits for nothing: a pipe is refused.
    pub(super) fn read(&self) -> Result<PemFile, Error> {
        let (content, mode) = self.read_file().map_err(|why| self.error(why))?;
        Ok(PemFile {
            source: self.clone(),
            content,
            mode,
        })
    }

    fn read_file(&self) -> Result<(Vec<u8>, u32), String> {
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let opened = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&self.path);
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => "expected a PEM file: there is no such file".to_owned(),
            io::ErrorKind::PermissionDenied => format!(
                "expected a file that the user of this process (id {}) can read: {error}",
                geteuid().as_raw()
            ),
            _ => format!("expected a PEM file: {error}"),
        })?;
        let metadata = file.metadata().map_err(|error| error.to_string())?;
        if metadata.is_dir() {
            return Err("expected a PEM file, not a directory".to_owned());
        }
        if !metadata.is_file() {
            return Err("expected a regular file in PEM".to_owned());
        }
        let mut content = Vec::new();
        let read = (&file).take(MAX_FILE + 1).read_to_end(&mut content);
        read.map_err(|error| format!("cannot be read: {error}"))?;
        if content.len() as u64 > MAX_FILE {
            return Err(format!("expected a PEM file of at most {MAX_FILE} bytes"));
        }
        Ok((content, metadata.mode()))
    }

    fn error(&self, why: impl Into<String>) -> Error {
        Error {
            setting: self.setting,
            path: self.path.clone(),
            why: why.into(),
        }
    }
}

impl PemFile {
    /// Returns the bytes of the file.
    pub(super) fn content(&self) -> &[u8] {
        &self.content
    }

    /// Returns an error about this file.
    pub(super) fn error(&self, why: impl Into<String>) -> Error {
        self.source.error(why)
    }

    /// Returns the certificates, at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, Error> {
        let found = CertificateDer::pem_slice_iter(&self.content).collect::<Result<Vec<_>, _>>();
        let found = found.map_err(|error| self.malformed(&error))?;
        if !found.is_empty() {
            return Ok(found);
        }
        let why = match () {
            () if self.has(b"PRIVATE KEY-----") => {
                "expected a certificate: the file contains a private key instead"
            }
            () if self.is_der() => {
                "expected a certificate in PEM: the file may be DER, which `openssl x509 -inform der -in FILE` converts"
            }
            () => {
                "expected a certificate: the file has no line -----BEGIN CERTIFICATE----- with an end"
            }
        };
        Err(self.error(why))
    }

    /// Returns the certificates as authorities.
    pub(super) fn authorities(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates()? {
            let added = roots.add(certificate);
            added.map_err(|error| self.error(format!("expected valid certificates: {error}")))?;
        }
        Ok(roots)
    }

    /// Returns the private key.
    fn key(&self) -> Result<PrivateKeyDer<'static>, Error> {
        if self.has(b"ENCRYPTED") {
            let why = "expected a key without a passphrase; `openssl pkey -in FILE -out NEW_FILE` decrypts it";
            return Err(self.error(why));
        }
        PrivateKeyDer::from_pem_slice(&self.content).map_err(|error| match error {
            PemError::NoItemsFound if self.has(b"BEGIN CERTIFICATE") => {
                self.error("expected a private key: the file contains a certificate instead")
            }
            PemError::NoItemsFound if self.is_der() => self.error(
                "expected a private key in PEM: the file may be DER, which `openssl pkey -inform der -in FILE` converts",
            ),
            PemError::NoItemsFound => {
                self.error("expected a private key: the file has no line -----BEGIN PRIVATE KEY-----")
            }
            error => self.malformed(&error),
        })
    }

    /// Returns why other users of this machine can read or change the file, if they can.
    pub(super) fn exposure(&self) -> Option<String> {
        let mode = self.mode & 0o7777;
        (mode & EXPOSED != 0).then(|| {
            format!(
                "other users of this machine can read or change the private key in {}, which has mode {mode:o}; run chmod 600 on it",
                self.source.path.display()
            )
        })
    }

    fn malformed(&self, error: &PemError) -> Error {
        self.error(format!("expected PEM: {error}"))
    }

    fn has(&self, text: &[u8]) -> bool {
        self.content
            .windows(text.len())
            .any(|window| window == text)
    }

    /// Whether the file begins as a sequence in DER does.
    fn is_der(&self) -> bool {
        self.content.starts_with(&[0x30]) && std::str::from_utf8(&self.content).is_err()
    }
}

/// Returns the certificate in one file with the key in another, or in the same.
pub(super) fn pair(
    certificate: &PemFile,
    key: &PemFile,
    provider: &CryptoProvider,
) -> Result<Arc<CertifiedKey>, Error> {
    let chain = certificate.certificates()?;
    let der = key.key()?;
    let signing_key = provider.key_provider.load_private_key(der).map_err(|error| {
        key.error(format!(
            "expected a valid key of a supported kind: RSA with 2048 to 8192 bits, P-256, P-384 or Ed25519 ({error})"
        ))
    })?;
    let pair = CertifiedKey::new(chain, signing_key);
    match pair.keys_match() {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
            Ok(Arc::new(pair))
        }
        Err(rustls::Error::InconsistentKeys(_)) => Err(key.error(format!(
            "expected the key of the first certificate in {}; this is the key of another",
            certificate.source.path.display()
        ))),
        Err(error) => {
            Err(certificate.error(format!("expected a valid certificate first: {error}")))
        }
    }
}
