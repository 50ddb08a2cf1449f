//! The host names under which the daemon serves.
//!
//! A web page can make its own host name resolve to the address of this daemon (DNS rebinding). Its requests are then of the
//! same origin as far as the browser knows, and they differ only in the header `Host`.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{Request, State},
    http::{HeaderMap, Uri, header, uri::Authority},
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::{
    config::Config,
    problem::{HOST, MISDIRECTED, Problem},
};

/// The names that requests may have in the header `Host`, without ports, in lowercase. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct AllowedHosts(Arc<[String]>);

/// The local address of the connection that a request came in by. A client that uses an IP address is not misled by a name.
#[derive(Clone, Copy, Debug)]
pub(super) struct LocalAddress(pub(super) IpAddr);

impl AllowedHosts {
    /// Returns the hosts that are allowed: loopback, the address to listen on, the host of `advertise`, and `hosts`.
    pub(super) fn new(config: &Config, listening: Option<SocketAddr>) -> Self {
        let advertised = config.advertise.parse::<Uri>().ok();
        let advertised = advertised.and_then(|url| Some(url.host()?.to_owned()));
        let names = config.hosts.iter().cloned().chain(advertised);
        let listening = listening.map(|address| bare(&address.ip().to_string()));
        Self(names.map(|name| bare(&name)).chain(listening).collect())
    }

    fn allows(&self, host: &str, local: Option<LocalAddress>) -> bool {
        let host = bare(host);
        if let Ok(address) = host.parse::<IpAddr>() {
            let is_local = local.is_some_and(|LocalAddress(local)| local.to_canonical() == address);
            return address.is_loopback() || is_local || self.0.contains(&host);
        }
        host == "localhost" || self.0.contains(&host)
    }
}

/// Returns a host name or address in the form in which hosts are compared: in lowercase, without brackets and without the dot
/// of the root.
fn bare(host: &str) -> String {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    match host.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().to_string(),
        Err(_) => host,
    }
}

/// Refuses requests without one valid header `Host`, and those for a host that is not allowed.
pub(super) async fn refuse_other_hosts(
    State(allowed): State<AllowedHosts>,
    request: Request,
    next: Next,
) -> Response {
    let host = match requested_host(request.headers(), request.uri()) {
        Ok(host) => host,
        Err(problem) => return problem.into_response(),
    };
    let local = request.extensions().get::<LocalAddress>().copied();
    if allowed.allows(host.host(), local) {
        return next.run(request).await;
    }
    let detail = format!(
        "this daemon does not serve the host {:?}; if it should, add the name to http.hosts",
        host.host()
    );
    Problem::new(MISDIRECTED, detail).into_response()
}

/// Returns the host that a request is for.
fn requested_host(headers: &HeaderMap, uri: &Uri) -> Result<Authority, Problem> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Problem::new(HOST, "expected one header Host"));
    };
    let host = host.to_str().ok();
    let host = host.and_then(|host| host.parse::<Authority>().ok());
    let host = host.filter(|host| !host.as_str().contains('@') && !host.host().is_empty());
    let host = host.ok_or_else(|| Problem::new(HOST, "the header Host is not a host name"))?;
    match uri.authority() {
        Some(target) if *target != host => {
            let detail = "the header Host differs from the host in the request line";
            Err(Problem::new(HOST, detail))
        }
        _ => Ok(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(hosts: &[&str], advertise: &str) -> AllowedHosts {
        let config = Config {
            hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            advertise: advertise.to_owned(),
            ..Config::default()
        };
        AllowedHosts::new(&config, "10.0.0.7:8080".parse().ok())
    }

    #[test]
    fn loopback_and_what_is_configured_is_allowed_and_nothing_else() {
        let hosts = allowed(&["Events.Example"], "http://eventos-1.eventos:8080");
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "127.0.0.1",
            "127.1.2.3",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "10.0.0.7",
            "events.example",
            "EVENTS.example.",
            "eventos-1.eventos",
        ] {
            assert!(hosts.allows(host, None), "{host}");
        }
        for host in [
            "",
            ".",
            "evil.example",
            "localhost.evil.example",
            "evil.localhost",
            "10.0.0.8",
            "[::2]",
            "events.example.evil",
            "127.0.0.1.evil.example",
            "0.0.0.0",
            "2130706433",
        ] {
            assert!(!hosts.allows(host, None), "{host}");
        }
    }

    #[test]
    fn the_address_of_the_connection_is_allowed() {
        let hosts = allowed(&[], "");
        let local = Some(LocalAddress("10.9.8.7".parse().expect("an address")));
        assert!(hosts.allows("10.9.8.7", local));
        assert!(!hosts.allows("10.9.8.6", local));
    }
}
