//! The URL of an instance.

use std::{fmt, net::SocketAddr, str::FromStr};

use crate::http_client::Uri;

/// The base URL of an instance: `http://host:port` or `https://host:port`, without user, path or query. It is taken from the client ids of the
/// group, which any program in the group may choose, so it must not be able to name more than a server.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PeerUrl(Uri);

/// The text is not the URL of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a URL such as http://10.0.0.7:8080, without user, path or query, at which other instances can reach this one"
)]
pub struct InvalidPeerUrl;

impl PeerUrl {
    /// Returns the URL of a listener, with the scheme `http` or `https`, or `None` if it listens on all addresses, of which
    /// others can use none.
    #[must_use]
    pub fn of(scheme: &str, address: SocketAddr) -> Option<Self> {
        let concrete = !address.ip().is_unspecified();
        concrete.then(|| format!("{scheme}://{address}").parse().ok())?
    }

    /// Whether it is an `https` URL.
    #[must_use]
    pub fn is_https(&self) -> bool {
        self.scheme() == "https"
    }

    /// Returns the host, with the brackets of an IPv6 address.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host().unwrap_or_default()
    }

    fn scheme(&self) -> &str {
        self.0.scheme_str().unwrap_or_default()
    }

    /// Returns the port; unless the URL has one, it is 80, or 443 for `https`.
    #[must_use]
    pub fn port(&self) -> u16 {
        let default = if self.is_https() { 443 } else { 80 };
        self.0.port_u16().unwrap_or(default)
    }

    /// Returns the URL of a percent-encoded path and query on this instance, or `None` if it is too long: URLs have at
    /// most 65,534 bytes.
    pub(super) fn at(&self, path_and_query: &str) -> Option<Uri> {
        let parts = Uri::builder()
            .scheme(self.scheme())
            .authority(self.0.authority().map_or("", |it| it.as_str()));
        parts.path_and_query(path_and_query).build().ok()
    }
}

impl FromStr for PeerUrl {
    type Err = InvalidPeerUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPeerUrl> {
        let uri: Uri = text.parse().map_err(|_| InvalidPeerUrl)?;
        let authority = uri.authority().ok_or(InvalidPeerUrl)?;
        let host = authority.host();
        let with_port = authority.port_u16().map(|port| format!("{host}:{port}"));
        let plain = matches!(uri.scheme_str(), Some("http" | "https"))
            && !host.is_empty()
            && authority.as_str() == with_port.as_deref().unwrap_or(host)
            && uri.path() == "/"
            && uri.query().is_none()
            && !text.contains('#');
        plain.then_some(Self(uri)).ok_or(InvalidPeerUrl)
    }
}

impl fmt::Display for PeerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_taken_and_shown_without_a_path() {
        for (text, shown) in [
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            (
                "http://eventos-1.eventos:80/",
                "http://eventos-1.eventos:80",
            ),
            ("http://[::1]:8080", "http://[::1]:8080"),
            ("http://host", "http://host"),
            ("https://host:8443/", "https://host:8443"),
        ] {
            let url: PeerUrl = text.parse().expect(text);
            assert_eq!(url.to_string(), shown);
            let asked = url
                .at("/peers/messages?limit=1")
                .expect("short")
                .to_string();
            assert_eq!(asked, format!("{shown}/peers/messages?limit=1"));
            assert_eq!(url.at(&format!("/?id={}", "x".repeat(66_000))), None);
        }
    }

    #[test]
    fn anything_more_or_less_is_refused() {
        for text in [
            "",
            "eventos",
            "rdkafka",
            "127.0.0.1:8080",
            "/messages",
            "https://user@host:8080",
            "https://host:8080/path",
            "file:///etc/passwd",
            "http://user:secret@host:8080",
            "http://host:8080/path",
            "http://host:8080/?query",
            "http://host:8080/#fragment",
            "http://host:99999",
            "http://",
            "http://a b",
        ] {
            assert_eq!(text.parse::<PeerUrl>(), Err(InvalidPeerUrl), "{text}");
        }
    }

    #[test]
    fn a_listener_on_every_address_has_none() {
        let of = |address: &str| PeerUrl::of("http", address.parse().expect(address));
        assert_eq!(of("0.0.0.0:8080"), None);
        assert_eq!(of("[::]:8080"), None);
        let url = of("10.0.0.7:8080").expect("it is concrete");
        assert_eq!(url.to_string(), "http://10.0.0.7:8080");
        let with_tls = PeerUrl::of("https", "10.0.0.7:8080".parse().expect("an address"));
        let with_tls = with_tls.expect("it is concrete").to_string();
        assert_eq!(with_tls, "https://10.0.0.7:8080");
        assert_eq!(
            of("[fe80::1]:80").expect("too").to_string(),
            "http://[fe80::1]:80"
        );
    }
}
