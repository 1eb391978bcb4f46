//! Addresses of listeners and servers: `host:port`, `:port`, `port`, `[v6]:port`, with service names for ports, each
//! also as `http://…/`.

use std::fmt::{self, Display, Formatter};

/// A host and a port. The host is a name or an address, without brackets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl Address {
    /// Reads an address; `service` gives the port of a service name.
    pub(crate) fn parse(text: &str, service: &dyn Fn(&str) -> Option<u16>) -> Result<Self, String> {
        let given = text.trim();
        let text = match given.split_once("://") {
            None => given,
            Some(("http", rest)) => rest.strip_suffix('/').unwrap_or(rest),
            Some(("https", _)) => {
                return Err(format!(
                    "`{given}`: TLS is not available in this version, only host:port in clear"
                ));
            }
            Some(_) => {
                return Err(format!("`{given}` is not an address: host:port or http://host:port expected"));
            }
        };
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, after) =
                    rest.split_once(']').ok_or_else(|| format!("`{text}` lacks the closing bracket"))?;
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(format!("`{host}` is not an IPv6 address"));
                }
                let port = after.strip_prefix(':').ok_or_else(|| format!("`{text}` lacks a port"))?;
                (host, port)
            }
            None => match text.rsplit_once(':') {
                None => ("", text),
                Some((host, _)) if host.contains(':') && !host.contains(is_strange) => {
                    return Err(format!("`{text}` is ambiguous: write an IPv6 address as [::1]:8082"));
                }
                Some(pair) => pair,
            },
        };
        let port = match port.parse::<u16>() {
            Ok(port) => port,
            Err(_) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => {
                return Err(format!("port {port} is above 65535"));
            }
            Err(_) if port.is_empty() => return Err(format!("`{text}` lacks a port")),
            Err(_) => service(port).ok_or_else(|| {
                if text == port {
                    format!("`{text}` is not an address: host:port expected")
                } else {
                    format!("`{port}` is neither a port nor a known service")
                }
            })?,
        };
        if host.contains(is_strange) {
            return Err(format!("`{host}` is not a host"));
        }
        let host = if host.is_empty() { "localhost" } else { host };
        Ok(Self { host: host.to_owned(), port })
    }

    /// Where a listener on this address is reached from the same host.
    pub(crate) fn reachable(&self) -> Self {
        let host = match self.host.as_str() {
            "0.0.0.0" => "127.0.0.1",
            "::" => "::1",
            host => host,
        };
        Self { host: host.to_owned(), port: self.port }
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// What no host has in its name.
fn is_strange(c: char) -> bool {
    c.is_whitespace() || "/@?#".contains(c)
}

/// The port of a service in the format of `/etc/services`.
pub(crate) fn service_port(services: &str, name: &str) -> Option<u16> {
    services.lines().find_map(|line| {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let first = words.next()?;
        let port = words.next()?.strip_suffix("/tcp")?.parse().ok()?;
        (first == name || words.any(|alias| alias == name)).then_some(port)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<String, String> {
        let services = "# list\nhttp 80/tcp www # web\nhttp 80/udp\nhttp-alt\t8080/tcp\twebcache\n";
        Address::parse(text, &|name| service_port(services, name)).map(|address| address.to_string())
    }

    #[test]
    fn reads_every_spelling() {
        for (text, expected) in [
            ("127.0.0.1:8082", "127.0.0.1:8082"),
            (":8082", "localhost:8082"),
            ("8082", "localhost:8082"),
            ("[::1]:8082", "[::1]:8082"),
            ("0.0.0.0:8082", "0.0.0.0:8082"),
            ("analyzer.example:http-alt", "analyzer.example:8080"),
            ("analyzer:webcache", "analyzer:8080"),
            ("http", "localhost:80"),
            ("http://127.0.0.1:8082", "127.0.0.1:8082"),
            ("http://analyzer:webcache/", "analyzer:8080"),
            ("http://[::1]:8082/", "[::1]:8082"),
        ] {
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
        }
    }

    /// Recorded of the original.
    #[test]
    fn addresses_of_the_original() {
        let cases: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/data/addresses.json")).unwrap();
        for case in cases.as_array().unwrap() {
            let expected = (case["error"] != true).then(|| Address {
                host: case["host"].as_str().unwrap().to_owned(),
                port: u16::try_from(case["port"].as_u64().unwrap()).unwrap(),
            });
            let read = Address::parse(case["text"].as_str().unwrap(), &|_| None);
            assert_eq!(read.ok(), expected, "{case}");
        }
    }

    #[test]
    fn names_the_defect() {
        for (text, part) in [
            ("", "lacks a port"),
            ("host:", "lacks a port"),
            ("[::1]", "lacks a port"),
            ("[::1:8082", "closing bracket"),
            ("[nine]:1", "not an IPv6"),
            ("::1", "ambiguous"),
            ("host:70000", "above 65535"),
            ("host:gopherx", "neither a port nor"),
            ("analyzer.example", "host:port expected"),
            ("http://host", "host:port expected"),
            ("http://user:password@host:1", "not a host"),
            ("https://host:8082", "TLS is not available"),
            ("ftp://host:1", "http://host:port expected"),
            ("a b:1", "not a host"),
        ] {
            let why = parse(text).expect_err(text);
            assert!(why.contains(part), "{text}: {why}");
        }
    }
}
