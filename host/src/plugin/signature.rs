//! Signatures of handlers: Ed25519 (RFC 8032) over the bytes of the file, kept in `NAME.wasm.sig` beside it. Keys are those
//! that OpenSSL makes and prints as well, and so are signatures.

use std::{fmt, fs, io, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use rustls_pki_types::{
    PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer,
    pem::{self, PemObject as _},
};

/// Length of a signature, in bytes.
const LEN: usize = 64;

/// What precedes the 32 bytes of an Ed25519 public key in a DER SubjectPublicKeyInfo (RFC 8410, section 4).
const PUBLIC_PREFIX: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// What precedes the 32 bytes of an Ed25519 private key in a DER PrivateKeyInfo (RFC 8410, section 7).
const PRIVATE_PREFIX: &[u8] = b"\x30\x2e\x02\x01\x00\x30\x05\x06\x03\x2b\x65\x70\x04\x22\x04\x20";

/// A public key, which checks signatures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

/// A private key, which makes signatures.
pub struct SigningKey(Ed25519KeyPair);

/// A signature of a file.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Signature([u8; LEN]);

/// The reason why a private key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The file cannot be read.
    #[error("it cannot be read")]
    Read(#[from] io::Error),
    /// The file has no private key in PEM format.
    #[error("it has no private key in PEM format; `eventos keys new --signing FILE` makes one")]
    Pem(#[from] pem::Error),
    /// The key is of another kind.
    #[error(
        "it is not an Ed25519 key in the PKCS#8 format; `eventos keys new --signing FILE` makes one"
    )]
    Kind,
}

impl PublicKey {
    /// Reads a key: its 32 bytes in Base64, or a public key in PEM format. Returns `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let bytes = match text.starts_with("-----") {
            true => SubjectPublicKeyInfoDer::from_pem_slice(text.as_bytes())
                .ok()?
                .to_vec(),
            false => BASE64_STANDARD.decode(text).ok()?,
        };
        let raw = bytes.strip_prefix(PUBLIC_PREFIX).unwrap_or(&bytes);
        raw.try_into().ok().map(Self)
    }

    /// Returns whether the owner of this key has signed these bytes.
    #[must_use]
    pub fn verify(&self, bytes: &[u8], signature: &Signature) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, &self.0);
        key.verify(bytes, &signature.0).is_ok()
    }
}

/// Writes the key in Base64, as [`PublicKey::parse`] reads it.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

impl SigningKey {
    /// Makes a new key, and returns it in PEM format.
    ///
    /// # Errors
    /// Returns an error if the system has no random numbers.
    pub fn generate() -> io::Result<(Self, String)> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).map_err(io::Error::other)?;
        let pair = Ed25519KeyPair::from_seed_unchecked(&seed);
        let pair = pair.map_err(|rejected| io::Error::other(rejected.to_string()))?;
        let der = BASE64_STANDARD.encode([PRIVATE_PREFIX, &seed].concat());
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{der}\n-----END PRIVATE KEY-----\n");
        Ok((Self(pair), pem))
    }

    /// Reads a key in PEM format, which may come from `openssl genpkey -algorithm ed25519`.
    ///
    /// # Errors
    /// Returns [`SigningKeyError`] if the file cannot be read or has no such key.
    pub fn read(path: &Path) -> Result<Self, SigningKeyError> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(&fs::read(path)?)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        pair.map(Self).map_err(|_| SigningKeyError::Kind)
    }

    /// Returns the public key that belongs to this key.
    ///
    /// # Panics
    /// Never: every Ed25519 public key has 32 bytes.
    #[must_use]
    pub fn public_key(&self) -> PublicKey {
        let bytes = self.0.public_key().as_ref();
        PublicKey(
            bytes
                .try_into()
                .expect("an Ed25519 public key has 32 bytes"),
        )
    }

    /// Signs these bytes.
    ///
    /// # Panics
    /// Never: every Ed25519 signature has 64 bytes.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Signature {
        let signature = self.0.sign(bytes);
        let bytes = signature.as_ref().try_into();
        Signature(bytes.expect("an Ed25519 signature has 64 bytes"))
    }
}

impl Signature {
    /// Reads a signature: 64 bytes in Base64, as [`SigningKey::sign`] and [`Display`](fmt::Display) write it, or as they are,
    /// as OpenSSL writes it. Returns `None` for anything else.
    #[must_use]
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        if let Ok(raw) = bytes.try_into() {
            return Some(Self(raw));
        }
        let decoded = BASE64_STANDARD.decode(bytes.trim_ascii()).ok()?;
        decoded.try_into().ok().map(Self)
    }
}

/// Writes the signature in Base64.
impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_of_one_key_and_of_these_bytes() {
        let (key, _) = SigningKey::generate().expect("random numbers");
        let (other, _) = SigningKey::generate().expect("random numbers");
        let signature = key.sign(b"code");
        assert!(key.public_key().verify(b"code", &signature));
        assert!(!key.public_key().verify(b"cod", &signature));
        assert!(!other.public_key().verify(b"code", &signature));
    }

    #[test]
    fn keys_and_signatures_are_read_as_they_were_written() {
        let (key, pem) = SigningKey::generate().expect("random numbers");
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("key.pem");
        fs::write(&path, pem).expect("written");
        let public = key.public_key();
        let read = SigningKey::read(&path).expect("a key");
        assert_eq!(read.public_key(), public);
        assert_eq!(PublicKey::parse(&format!(" {public}\n")), Some(public));
        let signature = key.sign(b"code");
        let text = format!("{signature}\n");
        assert_eq!(Signature::parse(text.as_bytes()), Some(signature));
        assert_eq!(Signature::parse(&signature.0), Some(signature));
    }

    /// The key and the signature are test 2 of RFC 8032, section 7.1, as OpenSSL prints them.
    #[test]
    fn it_agrees_with_the_standard() {
        let pem = "-----BEGIN PUBLIC KEY-----\n\
                   MCowBQYDK2VwAyEAPUAXw+hDiVqStwqnTRt+vJyYLM8uxJaMwM1V8Sr0Zgw=\n\
                   -----END PUBLIC KEY-----\n";
        let signature = "kqAJqfDUyrhyDoILX2QlQKKye1QWUD+Ps3YiI+vbadoIWsHkPhWZbkWPNhPQ8R2M\
                         OHsurrQwKu6wDSkWErsMAA==";
        let key = PublicKey::parse(pem).expect("a key");
        let signature = Signature::parse(signature.as_bytes()).expect("a signature");
        assert!(key.verify(b"\x72", &signature));
        assert!(!key.verify(b"\x73", &signature));
    }

    #[test]
    fn anything_else_is_no_key_and_no_signature() {
        for text in ["", "AAAA", "not Base64", "-----BEGIN PUBLIC KEY-----"] {
            assert_eq!(PublicKey::parse(text), None, "{text}");
            assert_eq!(Signature::parse(text.as_bytes()), None, "{text}");
        }
    }
}
