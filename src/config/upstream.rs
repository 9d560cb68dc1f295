//! WAHA's address: scheme, host and port, nothing more.
//!
//! A path is refused because the proxy passes the bot's paths on as they are; user and password because they would
//! be one more place for secrets.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use hyper::Uri;

/// Where all calls go: `http://host:port` or `https://host:port`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Whether TLS is spoken (https).
    pub tls: bool,
    /// A name or an address, in lower case; IPv6 without brackets.
    pub host: String,
    /// The port, given or implied by the scheme.
    pub port: u16,
}

impl Upstream {
    /// What stands in a `Host` header: brackets around IPv6, the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == default_port(self.tls) { host } else { format!("{host}:{}", self.port) }
    }

    /// Whether a call to this upstream would arrive at our own listener, as far as that can be told without DNS.
    pub(super) fn reaches(&self, listener: SocketAddr) -> bool {
        let ours = listener.ip().to_canonical();
        let local = ours.is_loopback() || ours.is_unspecified();
        self.port == listener.port()
            && match self.host.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
                Ok(ip) if ip.is_unspecified() => local,
                Ok(ip) if ip.is_loopback() => ip == ours || ours.is_unspecified(),
                Ok(ip) => ip == ours,
                Err(_) => self.host == "localhost" && local,
            }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.tls { "https" } else { "http" }, self.authority())
    }
}

fn default_port(tls: bool) -> u16 {
    if tls { 443 } else { 80 }
}

/// Parses a `waha.url`; the error completes the sentence "waha.url ...".
pub(super) fn parse(text: &str) -> Result<Upstream, String> {
    const FORM: &str = "a URL like http://127.0.0.1:3000";
    let uri: Uri = text.parse().map_err(|_| format!("must be {FORM}"))?;
    let tls = match uri.scheme_str() {
        Some("http") => false,
        Some("https") => true,
        _ => return Err(format!("must begin with http:// or https://: {FORM}")),
    };
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    if authority.contains('@') {
        return Err("must not contain user or password: WAHA's key belongs in waha.api_key".to_owned());
    }
    if uri.query().is_some() || text.contains('#') {
        return Err(format!("must not contain a query or fragment: {FORM}"));
    }
    if uri.path() != "/" {
        return Err(
            "must not contain a path: clients see WAHA's own paths, at /, and they are passed on unchanged"
                .to_owned(),
        );
    }
    let host = uri.host().unwrap_or_default();
    let rest = authority.strip_prefix(host).unwrap_or_default();
    let port = match rest.strip_prefix(':') {
        None => default_port(tls),
        Some(digits) => match digits.parse() {
            Ok(port) if port > 0 => port,
            _ => return Err("must have a port from 1 to 65535, or none".to_owned()),
        },
    };
    let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
    if host.is_empty() {
        return Err(format!("must name a host: {FORM}"));
    }
    Ok(Upstream { tls, host, port })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepted() {
        for (text, tls, host, port, authority, shown) in [
            ("http://127.0.0.1:3000", false, "127.0.0.1", 3000, "127.0.0.1:3000", "http://127.0.0.1:3000"),
            ("http://WAHA:3000/", false, "waha", 3000, "waha:3000", "http://waha:3000"),
            ("http://my_waha", false, "my_waha", 80, "my_waha", "http://my_waha"),
            ("https://w.example.com", true, "w.example.com", 443, "w.example.com", "https://w.example.com"),
            ("https://w:80", true, "w", 80, "w:80", "https://w:80"),
            ("http://[::1]:3000", false, "::1", 3000, "[::1]:3000", "http://[::1]:3000"),
        ] {
            let upstream = parse(text).unwrap();
            assert_eq!(upstream, Upstream { tls, host: host.to_owned(), port }, "{text}");
            assert_eq!(upstream.authority(), authority);
            assert_eq!(upstream.to_string(), shown);
        }
    }

    #[test]
    fn refused() {
        for (text, problem) in [
            ("", "must be a URL like"),
            ("waha:3000", "must begin with http:// or https://"),
            ("127.0.0.1", "must begin with http:// or https://"),
            ("ftp://waha:3000", "must begin with http:// or https://"),
            ("http://", "must be a URL like"),
            ("http://:3000", "must name a host"),
            ("http://a b", "must be a URL like"),
            ("http://user:pass@waha:3000", "must not contain user or password"),
            ("http://waha:3000/api", "must not contain a path: clients see WAHA's own paths"),
            ("http://waha:3000/?x-api-key=1", "must not contain a query"),
            ("http://waha:3000/#x", "must not contain a query"),
            ("http://waha:99999", "must have a port from 1 to 65535"),
            ("http://waha:0", "must have a port from 1 to 65535"),
            ("http://waha:", "must have a port from 1 to 65535"),
        ] {
            let got = parse(text).expect_err(text);
            assert!(got.starts_with(problem), "{text}: {got}");
        }
    }

    #[test]
    fn own_listeners_are_recognized() {
        for (url, listener, expected) in [
            ("http://127.0.0.1:3001", "127.0.0.1:3001", true),
            ("http://localhost:3001", "127.0.0.1:3001", true),
            ("http://127.0.0.1:3001", "0.0.0.0:3001", true),
            ("http://[::1]:3001", "[::]:3001", true),
            ("http://0.0.0.0:3001", "127.0.0.1:3001", true),
            ("http://10.0.0.7:3001", "10.0.0.7:3001", true),
            ("http://127.0.0.1:3000", "127.0.0.1:3001", false),
            ("http://10.0.0.8:3001", "10.0.0.7:3001", false),
            ("http://127.0.0.2:3001", "127.0.0.1:3001", false),
            ("http://waha:3001", "0.0.0.0:3001", false),
        ] {
            assert_eq!(parse(url).unwrap().reaches(listener.parse().unwrap()), expected, "{url} {listener}");
        }
    }
}
