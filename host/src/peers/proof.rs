//! Proofs that a request, and the answer to it, come from instances of one group.
//!
//! All instances know the same secret. The header `Authorization` of a request contains the time, a nonce, the SHA-256 of the
//! body, and an HMAC (RFC 2104) with SHA-256 over these and over method, host and path. The host keeps a member of the group from
//! passing a request on to an instance, and the instance's answer back. The answer contains an HMAC over that of the request.

use std::{
    collections::HashSet,
    fmt::Write as _,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use parking_lot::Mutex;
use ring::{digest, hmac};

/// How far the clocks of two instances may differ, together with the time that a request takes.
const MAX_AGE: Duration = Duration::from_secs(60);

/// The scheme of the header `Authorization`.
const SCHEME: &str = "Eventos-Peer";

/// The length of a nonce in hexadecimal digits.
const NONCE_DIGITS: usize = 32;

/// Issues and checks proofs. Cheap to clone; clones share the nonces that were used.
#[derive(Clone)]
pub struct Proofs {
    key: hmac::Key,
    used: Arc<Mutex<UsedNonces>>,
}

/// The head of the request to prove.
#[derive(Clone, Copy, Debug)]
pub struct ProvenRequest<'a> {
    /// The method, in uppercase.
    pub method: &'a str,
    /// The host and port that the request is for, as in the header `Host`.
    pub host: &'a str,
    /// Path and query, as in the request line.
    pub path: &'a str,
}

/// The proof of a request that is sent, and what its answer has to contain.
pub(super) struct IssuedProof {
    /// The value of the header `Authorization`.
    pub(super) header: String,
    mac: String,
}

/// A valid proof of a request that was received.
#[derive(Debug)]
pub struct CheckedProof {
    /// The value of the header [`ANSWER_PROOF`](super::ANSWER_PROOF) of the answer.
    pub answer: String,
    digest: Vec<u8>,
}

/// Why a proof is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidProof {
    /// The proof is missing, or is not of this version.
    #[error(
        "the request has no proof that it comes from an instance of the group; set the same peers.secret in all of them"
    )]
    Missing,
    /// The HMAC differs.
    #[error("the proof is wrong; set the same peers.secret in all instances of the group")]
    Wrong,
    /// The time of the proof is more than a minute from now.
    #[error(
        "the proof is of another time; the clocks of the instances differ by more than a minute"
    )]
    Time,
    /// The proof was used before.
    #[error("the proof was used before")]
    Used,
}

/// The nonces of the last minutes, of which each is valid once. Only those of valid proofs get here.
struct UsedNonces {
    recent: HashSet<String>,
    earlier: HashSet<String>,
    /// When `recent` was begun.
    since: Instant,
}

impl Proofs {
    /// Returns the proofs of a secret. With an empty one, they only show that both are instances without a secret.
    #[must_use]
    pub fn new(secret: &str) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()),
            used: Arc::new(Mutex::new(UsedNonces {
                recent: HashSet::new(),
                earlier: HashSet::new(),
                since: Instant::now(),
            })),
        }
    }

    /// Returns the proof of a request with this body that is sent now, or `None` if the system has no random numbers.
    pub(super) fn issue(&self, request: ProvenRequest<'_>, body: &[u8]) -> Option<IssuedProof> {
        let mut nonce = [0; NONCE_DIGITS / 2];
        getrandom::fill(&mut nonce).ok()?;
        Some(self.issue_at(now(), &encode(&nonce), request, body))
    }

    fn issue_at(
        &self,
        time: u64,
        nonce: &str,
        request: ProvenRequest<'_>,
        body: &[u8],
    ) -> IssuedProof {
        let digest = encode(digest::digest(&digest::SHA256, body).as_ref());
        let signed = signed_text(&format!("{time} {nonce} {digest}"), request);
        let mac = encode(hmac::sign(&self.key, signed.as_bytes()).as_ref());
        IssuedProof {
            header: format!("{SCHEME} {time} {nonce} {digest} {mac}"),
            mac,
        }
    }

    /// Checks the header `Authorization` of a request of which the head has arrived now.
    ///
    /// # Errors
    /// [`InvalidProof`].
    pub fn check(
        &self,
        header: Option<&str>,
        request: ProvenRequest<'_>,
    ) -> Result<CheckedProof, InvalidProof> {
        self.check_at(now(), header.unwrap_or_default(), request)
    }

    fn check_at(
        &self,
        now: u64,
        header: &str,
        request: ProvenRequest<'_>,
    ) -> Result<CheckedProof, InvalidProof> {
        let words: Vec<_> = header.splitn(6, ' ').collect();
        let [SCHEME, time, nonce, digest, mac] = words[..] else {
            return Err(InvalidProof::Missing);
        };
        let given = decode(mac).ok_or(InvalidProof::Missing)?;
        let signed = signed_text(&format!("{time} {nonce} {digest}"), request);
        // It takes the same time whatever the first byte that differs.
        hmac::verify(&self.key, signed.as_bytes(), &given).map_err(|_| InvalidProof::Wrong)?;
        let time: u64 = time.parse().map_err(|_| InvalidProof::Missing)?;
        let digest = decode(digest).ok_or(InvalidProof::Missing)?;
        if u128::from(now.abs_diff(time)) > MAX_AGE.as_millis() {
            return Err(InvalidProof::Time);
        }
        let is_new = nonce.len() == NONCE_DIGITS && self.used.lock().insert(nonce);
        match is_new {
            true => Ok(CheckedProof {
                answer: encode(self.answer(mac).as_ref()),
                digest,
            }),
            false => Err(InvalidProof::Used),
        }
    }

    /// Returns whether the answer to a request comes from an instance that knows the secret.
    pub(super) fn confirms(&self, issued: &IssuedProof, answer: Option<&[u8]>) -> bool {
        let answer = answer.and_then(|answer| decode(std::str::from_utf8(answer).ok()?));
        let signed = answer_text(&issued.mac);
        answer.is_some_and(|tag| hmac::verify(&self.key, signed.as_bytes(), &tag).is_ok())
    }

    fn answer(&self, mac: &str) -> hmac::Tag {
        hmac::sign(&self.key, answer_text(mac).as_bytes())
    }
}

impl CheckedProof {
    /// Returns whether the proof is of a request with this body.
    #[must_use]
    pub fn is_of(&self, body: &[u8]) -> bool {
        digest::digest(&digest::SHA256, body).as_ref() == self.digest
    }
}

impl UsedNonces {
    /// Adds a nonce. Returns false if it is here already.
    ///
    /// A proof is valid until [`MAX_AGE`] after its time, which may lie as far ahead. So a nonce is kept for at least twice that.
    fn insert(&mut self, nonce: &str) -> bool {
        if self.since.elapsed() > 2 * MAX_AGE {
            self.earlier = std::mem::take(&mut self.recent);
            self.since = Instant::now();
        }
        !self.earlier.contains(nonce) && self.recent.insert(nonce.to_owned())
    }
}

/// Returns what the HMAC of a request is made of. None of the parts contains a line break.
fn signed_text(proof: &str, request: ProvenRequest<'_>) -> String {
    let ProvenRequest { method, host, path } = request;
    let host = host.to_ascii_lowercase();
    format!("request\n{proof}\n{method}\n{host}\n{path}\n")
}

fn answer_text(mac: &str) -> String {
    format!("answer\n{mac}\n")
}

/// Returns the milliseconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let millis = since.map_or(0, |since| since.as_millis());
    u64::try_from(millis).unwrap_or(u64::MAX)
}

fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Parses the 64 lowercase hexadecimal digits of a SHA-256.
fn decode(digits: &str) -> Option<Vec<u8>> {
    let is_digit = |digit: u8| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit);
    let is_hex = digits.len() == 64 && digits.bytes().all(is_digit);
    let pairs = (0..digits.len()).step_by(2);
    is_hex.then(|| {
        pairs
            .filter_map(|i| u8::from_str_radix(&digits[i..i + 2], 16).ok())
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: ProvenRequest<'_> = ProvenRequest {
        method: "POST",
        host: "eventos-1:8080",
        path: "/peers/replay",
    };
    const BODY: &[u8] = b"{}";
    const NOW: u64 = 1_800_000_000_000;

    fn nonce(number: u32) -> String {
        format!("{number:0NONCE_DIGITS$x}")
    }

    fn issue(secret: &str) -> IssuedProof {
        Proofs::new(secret).issue_at(NOW, &nonce(1), REQUEST, BODY)
    }

    fn check(proofs: &Proofs, now: u64, header: &str) -> Result<(), InvalidProof> {
        proofs.check_at(now, header, REQUEST).map(|_| ())
    }

    #[test]
    fn a_proof_is_valid_once_and_for_a_minute() {
        let header = issue("secret").header;
        for now in [NOW - 60_000, NOW, NOW + 60_000] {
            let proofs = Proofs::new("secret");
            assert_eq!(check(&proofs, now, &header), Ok(()));
            assert_eq!(check(&proofs, now, &header), Err(InvalidProof::Used));
            // A clone knows the nonce as well.
            let clone = proofs.clone();
            assert_eq!(check(&clone, now, &header), Err(InvalidProof::Used));
        }
        for now in [0, NOW - 60_001, NOW + 60_001, u64::MAX] {
            let proofs = Proofs::new("secret");
            assert_eq!(check(&proofs, now, &header), Err(InvalidProof::Time));
        }
    }

    #[test]
    fn a_proof_is_for_one_secret_one_request_and_one_body() {
        let proofs = Proofs::new("secret");
        let header = issue("secret").header;
        for other in ["other", "secret2", ""] {
            let checked = check(&Proofs::new(other), NOW, &header);
            assert_eq!(checked, Err(InvalidProof::Wrong), "{other}");
        }
        let (method, host, path) = ("GET", "evil:8080", "/peers/messages");
        for request in [
            ProvenRequest { method, ..REQUEST },
            ProvenRequest { host, ..REQUEST },
            ProvenRequest { path, ..REQUEST },
        ] {
            let checked = proofs.check_at(NOW, &header, request);
            assert_eq!(checked.err(), Some(InvalidProof::Wrong), "{request:?}");
        }
        for (from, to) in [
            (NOW.to_string(), (NOW + 1).to_string()),
            (nonce(1), nonce(2)),
        ] {
            let changed = header.replacen(&from, &to, 1);
            assert_eq!(check(&proofs, NOW, &changed), Err(InvalidProof::Wrong));
        }
        let proof = proofs.check_at(NOW, &header, REQUEST).expect("it is valid");
        assert!(proof.is_of(BODY));
        assert!(!proof.is_of(b"") && !proof.is_of(b"{} "));
    }

    #[test]
    fn an_answer_is_of_one_request_and_one_secret() {
        let (issued, proofs) = (issue("secret"), Proofs::new("secret"));
        let checked = proofs.check_at(NOW, &issued.header, REQUEST);
        let answer = checked.expect("it is valid").answer;
        let confirms = |proofs: &Proofs, issued: &IssuedProof, answer: &str| {
            proofs.confirms(issued, Some(answer.as_bytes()))
        };
        assert!(confirms(&proofs, &issued, &answer));
        assert!(!confirms(&Proofs::new("other"), &issued, &answer));
        let other = proofs.issue_at(NOW, &nonce(2), REQUEST, BODY);
        assert!(!confirms(&proofs, &other, &answer));
        // Repeating what was sent proves nothing.
        assert!(!confirms(&proofs, &issued, &issued.mac));
        assert!(!proofs.confirms(&issued, None));
        assert!(!proofs.confirms(&issued, Some(b"\xff")));
    }

    #[test]
    fn nonsense_is_no_proof() {
        let zeros = "0".repeat(64);
        for header in [
            "",
            "Eventos-Peer",
            "Eventos-Peer 1 n d zz",
            "Bearer x",
            "Eventos-Peer x n d 00 ",
            "Eventos-Peer 1 n d é",
            &format!("Eventos-Peer 1 n d {zeros} more"),
            &format!("eventos-peer 1 n d {zeros}"),
        ] {
            let checked = check(&Proofs::new("secret"), NOW, header);
            assert_eq!(checked, Err(InvalidProof::Missing), "{header}");
        }
    }

    #[test]
    fn nonces_are_forgotten_after_their_proofs_have_expired() {
        let used = &mut UsedNonces {
            recent: HashSet::new(),
            earlier: HashSet::new(),
            since: Instant::now(),
        };
        let pass = |used: &mut UsedNonces| {
            used.since = used.since.checked_sub(3 * MAX_AGE).expect("it is recent");
        };
        assert!(used.insert("a") && !used.insert("a"));
        pass(used);
        assert!(used.insert("b") && !used.insert("a"));
        pass(used);
        assert!(used.insert("a") && !used.insert("b"));
        assert_eq!(used.recent.len() + used.earlier.len(), 2);
    }
}
