//! From when and until when a certificate is valid.

use std::{fmt, time::Duration};

use jiff::Timestamp;
use rustls::{
    CertificateError, Error, RootCertStore,
    client::verify_server_cert_signed_by_trust_anchor,
    pki_types::{CertificateDer, UnixTime},
    server::ParsedCertificate,
};

const DAY: u64 = 24 * 60 * 60;

/// How many days before its end a certificate should be replaced.
const SOON: i64 = 14;

/// The end of the year 9999, which stands for no end.
const NEVER: Duration = Duration::from_secs(253_402_300_799);

/// The first and the last moment at which a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Validity {
    not_before: UnixTime,
    not_after: UnixTime,
}

impl Validity {
    /// Reads the dates of a certificate, or returns `None` if they cannot be read.
    ///
    /// webpki has no function for it, but says the dates where it refuses a certificate for them, which it does before it
    /// looks at anything else.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let parsed = ParsedCertificate::try_from(certificate).ok()?;
        let none = RootCertStore::empty();
        let refusal = |at: Duration| {
            let at = UnixTime::since_unix_epoch(at);
            let verified = verify_server_cert_signed_by_trust_anchor(&parsed, &none, &[], at, &[]);
            match verified {
                Err(Error::InvalidCertificate(error)) => Some(error),
                _ => None,
            }
        };
        let not_before = match refusal(Duration::ZERO)? {
            CertificateError::NotValidYetContext { not_before, .. } => not_before,
            _ => UnixTime::since_unix_epoch(Duration::ZERO),
        };
        let not_after = match refusal(NEVER)? {
            CertificateError::ExpiredContext { not_after, .. } => not_after,
            CertificateError::NotValidYetContext { .. } | CertificateError::BadEncoding => {
                return None;
            }
            _ => UnixTime::since_unix_epoch(NEVER),
        };
        Some(Self {
            not_before,
            not_after,
        })
    }

    /// Whether the certificate is valid at this moment.
    pub(super) fn contains(self, now: UnixTime) -> bool {
        (self.not_before..=self.not_after).contains(&now)
    }

    /// Returns the number of whole days to the end, negative after it.
    pub(super) fn days_left(self, now: UnixTime) -> i64 {
        let (now, end) = (now.as_secs(), self.not_after.as_secs());
        let days = i64::try_from(end.abs_diff(now) / DAY).unwrap_or(i64::MAX);
        if now <= end { days } else { -1 - days }
    }

    /// Returns what is wrong with the dates, if something is.
    pub(super) fn fault(self, now: UnixTime) -> Option<String> {
        let days = self.days_left(now);
        match days {
            _ if now < self.not_before => Some(format!(
                "the certificate is not valid before {}",
                Date(self.not_before)
            )),
            ..0 => Some(format!(
                "the certificate has expired at {}; clients refuse it",
                Date(self.not_after)
            )),
            0..SOON => Some(format!(
                "the certificate expires in {days} days, at {}",
                Date(self.not_after)
            )),
            _ => None,
        }
    }
}

/// A moment as RFC 3339 writes it.
struct Date(UnixTime);

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.as_secs()).ok();
        match seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()) {
            Some(time) => time.fmt(f),
            None => write!(f, "second {} since 1970", self.0.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use eventos_testkit::{Authority, Issued};
    use rustls::pki_types::pem::PemObject as _;

    use super::*;

    fn of(issued: &Issued) -> Validity {
        let certificate = CertificateDer::from_pem_slice(issued.certificate.as_bytes());
        Validity::of(&certificate.expect("PEM")).expect("dates")
    }

    #[test]
    fn the_dates_of_a_certificate_are_read() {
        let authority = Authority::new("authority");
        let second = |time: &str| {
            let time: Timestamp = time.parse().expect(time);
            let seconds = u64::try_from(time.as_second()).expect("after 1970");
            UnixTime::since_unix_epoch(Duration::from_secs(seconds))
        };
        let expired = of(&authority.issue_expired(&["host"]));
        assert_eq!(expired.not_after, second("2020-01-01T00:00:00Z"));
        // What the crate writes if it is given none.
        let (from, until) = (
            second("1975-01-01T00:00:00Z"),
            second("4096-01-01T00:00:00Z"),
        );
        for long in [authority.issue(&["host"]), Issued::self_signed(&["host"])] {
            let long = of(&long);
            assert_eq!((long.not_before, long.not_after), (from, until));
        }
    }

    #[test]
    fn days_are_counted_in_both_directions() {
        let at = |days: u64| UnixTime::since_unix_epoch(Duration::from_secs(days * DAY));
        let validity = Validity {
            not_before: at(100),
            not_after: at(200),
        };
        for (now, days, fault) in [
            (99, 101, Some("is not valid before 1970-04-11T00:00:00Z")),
            (100, 100, None),
            (186, 14, None),
            (187, 13, Some("expires in 13 days, at 1970-07-20T00:00:00Z")),
            (200, 0, Some("expires in 0 days")),
            (201, -2, Some("has expired at 1970-07-20")),
        ] {
            assert_eq!(validity.days_left(at(now)), days, "{now}");
            let found = validity.fault(at(now)).unwrap_or_default();
            assert!(found.contains(fault.unwrap_or_default()), "{now}: {found}");
            assert_eq!(found.is_empty(), fault.is_none(), "{now}: {found}");
        }
        assert!(validity.contains(at(100)) && validity.contains(at(200)));
        assert!(!validity.contains(at(99)) && !validity.contains(at(201)));
    }
}
