//! Which files may run as handlers: the one that `handler.NAME.sha256` names, and those that were signed with a key in
//! `handlers.keys`.

use std::{
    fs::File,
    io::{self, Read as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use rustix::fs::OFlags;
use sha2::{Digest as _, Sha256};

use super::{
    Config, HandlerConfig, LoadFault, MAX_FILE,
    signature::{PublicKey, Signature},
};

/// The longest signature that is read, in bytes: one in Base64 with a line end takes 89.
pub(super) const MAX_SIGNATURE: u64 = 1 << 10;

/// The file of a handler, and the signature beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HandlerSource {
    bytes: Bytes,
    identity: FileIdentity,
}

/// What distinguishes the file of a handler from others: another signature may make it one that is admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileIdentity {
    /// SHA-256 of the file, in hexadecimal.
    pub digest: String,
    /// The contents of the signature beside it.
    pub signature: Option<Arc<[u8]>>,
}

/// Which files may run as handlers.
#[derive(Clone, Debug)]
pub struct Admission {
    is_signature_required: bool,
    keys: Vec<PublicKey>,
}

impl HandlerSource {
    /// Returns the source of a file with these bytes, and with these contents of the signature beside it, if there is one.
    #[must_use]
    pub fn new(bytes: Vec<u8>, signature: Option<Vec<u8>>) -> Self {
        let digest = format!("{:x}", Sha256::digest(&bytes));
        let signature = signature.map(Into::into);
        Self {
            bytes: bytes.into(),
            identity: FileIdentity { digest, signature },
        }
    }

    /// Reads the file at `path`, and the signature beside it.
    ///
    /// # Errors
    /// Returns [`LoadFault`] if a file cannot be read, or that of the handler is too large.
    pub fn read(path: &Path) -> Result<Self, LoadFault> {
        Self::of(File::open(path)?, path)
    }

    /// Reads a file that [`discover`](super::discover) has found, and the signature beside it. Never waits, as opening a
    /// pipe would.
    ///
    /// # Errors
    /// Returns [`LoadFault`] if it is not a regular file, a file cannot be read, or that of the handler is too large.
    pub fn read_dropped_in(path: &Path) -> Result<Self, LoadFault> {
        let without_waiting = OFlags::NONBLOCK.bits().cast_signed();
        let mut options = File::options();
        let file = options
            .read(true)
            .custom_flags(without_waiting)
            .open(path)?;
        match file.metadata()?.is_file() {
            true => Self::of(file, path),
            false => Err(LoadFault::NoFile),
        }
    }

    fn of(file: File, path: &Path) -> Result<Self, LoadFault> {
        let bytes = read_up_to(file, MAX_FILE + 1)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(LoadFault::FileSize);
        }
        let signature = File::open(signature_path(path));
        let signature = match signature.and_then(|file| read_up_to(file, MAX_SIGNATURE)) {
            Ok(signature) => Some(signature),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Self::new(bytes, signature))
    }

    /// Returns the bytes of the file.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the contents of `NAME.wasm.sig`, if there is one.
    #[must_use]
    pub fn signature(&self) -> Option<&[u8]> {
        self.identity.signature.as_deref()
    }

    /// Returns the SHA-256 of the file, in hexadecimal.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.identity.digest
    }

    /// Returns what distinguishes the file from others.
    #[must_use]
    pub fn identity(&self) -> &FileIdentity {
        &self.identity
    }
}

impl Admission {
    /// Returns what the `[handlers]` table admits. Invalid keys are left out; [`Config::problems`] reports them.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let keys = config.keys.iter().filter_map(|key| PublicKey::parse(key));
        Self {
            is_signature_required: config.require_signature,
            keys: keys.collect(),
        }
    }

    /// Checks whether a file may run as the handler with these settings. Returns the key with which it was signed, if it is
    /// one of `handlers.keys`.
    ///
    /// # Errors
    /// Returns [`LoadFault::Pin`] if the settings name another file, and [`LoadFault::Unsigned`] or
    /// [`LoadFault::Untrusted`] if a signature is required.
    pub fn check(
        &self,
        source: &HandlerSource,
        settings: &HandlerConfig,
    ) -> Result<Option<PublicKey>, LoadFault> {
        if let Some(expected) = &settings.sha256 {
            let found = source.digest();
            if !expected.eq_ignore_ascii_case(found) {
                let (found, expected) = (found.to_owned(), expected.clone());
                return Err(LoadFault::Pin { found, expected });
            }
        }
        let signer = self.signer(source);
        if self.is_signature_required && signer.is_none() {
            return Err(match source.signature() {
                None => LoadFault::Unsigned,
                Some(_) => LoadFault::Untrusted,
            });
        }
        Ok(signer)
    }

    /// Returns whether there is any key to check signatures with.
    #[must_use]
    pub fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Returns the trusted key with which a file was signed.
    #[must_use]
    pub fn signer(&self, source: &HandlerSource) -> Option<PublicKey> {
        let signature = Signature::parse(source.signature()?)?;
        let mut keys = self.keys.iter().copied();
        keys.find(|key| key.verify(source.bytes(), &signature))
    }
}

/// Returns the path of the signature of the handler at `path`.
#[must_use]
pub fn signature_path(path: &Path) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(".sig");
    path.into()
}

fn read_up_to(file: File, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    // The size of a file may change while it is read, and some files have none.
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::SigningKey;

    fn admission(require_signature: bool, keys: &[&SigningKey]) -> Admission {
        Admission::new(&Config {
            require_signature,
            keys: keys
                .iter()
                .map(|key| key.public_key().to_string())
                .collect(),
            ..Config::default()
        })
    }

    fn source(signature: Option<&[u8]>) -> HandlerSource {
        HandlerSource::new(b"code".to_vec(), signature.map(<[u8]>::to_vec))
    }

    #[test]
    fn a_required_signature_has_to_be_of_a_trusted_key() {
        let [key, other] = [(); 2].map(|()| SigningKey::generate().expect("random numbers").0);
        let signed = source(Some(key.sign(b"code").to_string().as_bytes()));
        let settings = HandlerConfig::default();
        let required = admission(true, &[&other, &key]);
        let signer = required.check(&signed, &settings).expect("admitted");
        assert_eq!(signer, Some(key.public_key()));
        for (source, admission) in [
            (source(None), &required),
            (source(Some(b"no signature")), &required),
            (
                source(Some(key.sign(b"other").to_string().as_bytes())),
                &required,
            ),
            (signed, &admission(true, &[&other])),
        ] {
            assert!(admission.check(&source, &settings).is_err());
        }
        let optional = admission(false, &[]);
        assert_eq!(optional.check(&source(None), &settings).ok(), Some(None));
    }

    #[test]
    fn a_pin_names_one_file() {
        let digest = source(None).digest().to_owned();
        let pinned = |sha256: &str| HandlerConfig {
            sha256: Some(sha256.to_owned()),
            ..HandlerConfig::default()
        };
        let admission = admission(false, &[]);
        let check = |pin: &str| admission.check(&source(None), &pinned(pin));
        assert!(check(&digest).is_ok());
        assert!(check(&digest.to_uppercase()).is_ok());
        let refused = check(&"0".repeat(64)).expect_err("refused").to_string();
        assert!(refused.contains(&digest), "{refused}");
    }
}
