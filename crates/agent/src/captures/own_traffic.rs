//! What a capture leaves out: the traffic between this agent and its analyzers, which would grow by being told of.

use std::net::IpAddr;
use std::time::Duration;

/// Where analyzers are: host and port.
pub(crate) type Addresses = Vec<(String, u16)>;

/// How long the name of an analyzer may take to be looked up.
const LOOK_UP: Duration = Duration::from_secs(2);

/// Host and port of `host:port`.
pub(crate) fn address(text: &str) -> Option<(String, u16)> {
    let (host, port) = text.rsplit_once(':')?;
    Some((host.trim_matches(['[', ']']).to_owned(), port.parse().ok()?))
}

/// The filter that passes what `user` does, but not what goes to an analyzer or comes from it.
pub(super) async fn excluded(user: &str, analyzers: &[(String, u16)]) -> String {
    let mut found: Vec<(IpAddr, u16)> = Vec::new();
    for (host, port) in analyzers {
        let looked_up = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((host.as_str(), *port)));
        match looked_up.await {
            Ok(Ok(addresses)) => found.extend(addresses.map(|address| (address.ip(), address.port()))),
            Ok(Err(error)) => {
                tracing::warn!(analyzer = host, %error, "its traffic is captured, too: no address");
            }
            Err(_) => tracing::warn!(analyzer = host, "its traffic is captured, too: no address in time"),
        }
    }
    found.sort_unstable();
    found.dedup();
    joined(user, &found)
}

fn joined(user: &str, analyzers: &[(IpAddr, u16)]) -> String {
    let user = user.trim();
    let users = (!user.is_empty()).then(|| format!("({user})"));
    let others = analyzers.iter().map(|(host, port)| match port {
        0 => format!("not host {host}"),
        port => format!("not (host {host} and port {port})"),
    });
    users.into_iter().chain(others).collect::<Vec<_>>().join(" and ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_analyzers_hear_is_left_out() {
        let analyzers: Addresses = ["127.0.0.1:8082", "[::1]:9", "10.0.0.1:0", "127.0.0.1:8082"]
            .iter()
            .filter_map(|a| address(a))
            .collect();
        assert_eq!(
            excluded("tcp or udp", &analyzers).await,
            "(tcp or udp) and not host 10.0.0.1 and not (host 127.0.0.1 and port 8082) and not (host ::1 and port 9)"
        );
        assert_eq!(excluded("", &analyzers[..1]).await, "not (host 127.0.0.1 and port 8082)");
        assert_eq!(excluded("icmp", &[]).await, "(icmp)");
        assert_eq!(excluded(" ", &[]).await, "");
        for filter in [excluded("tcp or udp", &analyzers).await, excluded("", &analyzers).await] {
            skydive_capture::check_filter(&filter).unwrap();
        }
    }
}
