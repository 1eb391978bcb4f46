//! Numbers and times for people.

use skydive_flow::{Flow, Icmp};
use skydive_value::Timestamp;

/// Thousands apart.
pub(super) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// In the unit that fits, decimal.
pub(crate) fn bytes(number: u64) -> String {
    let mut value = number as f64;
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next();
    while let Some(larger) = (value >= 999.95).then(|| units.next()).flatten() {
        value /= 1000.0;
        unit = Some(larger);
    }
    let unit = unit.unwrap_or_default();
    if number < 1000 { format!("{number} {unit}") } else { format!("{value:.1} {unit}") }
}

/// From the first to the last, in seconds.
pub(super) fn duration(start: Timestamp, last: Timestamp) -> String {
    let millis = last.as_millis().saturating_sub(start.as_millis());
    format!("{:.3}", millis as f64 / 1000.0)
}

/// A round-trip time given in nanoseconds; empty when it is not known.
pub(crate) fn round_trip(nanos: u64) -> String {
    if nanos == 0 { String::new() } else { format!("{:.3}", nanos as f64 / 1e6) }
}

/// Side A and side B, by the highest layer that has addresses.
pub(crate) fn sides(flow: &Flow) -> (String, String) {
    if let Some(network) = flow.network {
        let with_port = |address, port: Option<u16>| match port {
            Some(port) => std::net::SocketAddr::new(address, port).to_string(),
            None => address.to_string(),
        };
        let ports = flow.transport.map(|transport| (transport.a, transport.b));
        return (
            with_port(network.a, ports.map(|ports| ports.0)),
            with_port(network.b, ports.map(|ports| ports.1)),
        );
    }
    flow.link.map_or_else(Default::default, |link| (mac(link.a), mac(link.b)))
}

/// What a flow is: its layers, of ICMP also which message.
pub(crate) fn layers(flow: &Flow) -> String {
    match flow.icmp {
        Some(Icmp { kind, .. }) => format!("{} {}", flow.layers_path, kind.name().to_lowercase()),
        None => flow.layers_path.to_string(),
    }
}

fn mac(octets: [u8; 6]) -> String {
    octets.map(|octet| format!("{octet:02x}")).join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!([0, 999, 1000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 999, 1000, 999_960].map(bytes), ["0 B", "999 B", "1.0 kB", "1.0 MB"]);
        let at = Timestamp::from_millis;
        assert_eq!(duration(at(1), at(1234)), "1.233");
        assert_eq!(duration(at(2), at(1)), "-0.001");
        assert_eq!((round_trip(0), round_trip(1_234_567)), (String::new(), "1.235".to_owned()));
    }
}
