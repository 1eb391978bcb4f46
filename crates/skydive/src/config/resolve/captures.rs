//! How captures are made where they do not say it themselves.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use skydive_flow::{KeyMode, TransportProtocol};

use super::Resolver;
use crate::config::keys;
use crate::config::resolved::Captures;
use crate::config::settings::Setting;
use crate::config::typed::Typed;

/// Idle times of applications that hold unless others are given.
const TIMEOUTS: [(&str, Duration); 2] = [("arp", Duration::from_secs(10)), ("dns", Duration::from_secs(10))];

/// Largest ring, bytes.
const RING_MAX: usize = 1 << 30;

impl Resolver<'_> {
    pub(super) fn captures(&mut self) -> Captures {
        const FIRST: &str = "agent.flow.pcapsocket.min_port";
        const LAST: &str = "agent.flow.pcapsocket.max_port";
        Captures {
            key_mode: match self.text("flow.default_layer_key_mode").as_str() {
                "L3" => KeyMode::L3,
                _ => KeyMode::L2,
            },
            application_ports: self.application_ports(),
            application_timeouts: self.application_timeouts(),
            socket_address: self.socket_address(),
            socket_ports: self.whole(FIRST) as u16..=self.whole(LAST) as u16,
            stats_update: self.time("agent.capture.stats_update"),
            ring: self.ring(),
            memory: self.bytes("agent.capture.memory"),
            flows: self.whole("agent.capture.flows") as usize,
            threads: self.whole("agent.capture.threads") as usize,
            fanout: self.whole("agent.capture.fanout") as usize,
        }
    }

    fn ring(&mut self) -> usize {
        const KEY: &str = "agent.capture.ring_size";
        let ring = self.bytes(KEY);
        if ring > RING_MAX {
            self.error(KEY, "a ring is of 1GiB at most".to_owned());
        }
        ring
    }

    fn socket_address(&mut self) -> IpAddr {
        const KEY: &str = "agent.flow.pcapsocket.bind_address";
        let text = self.text(KEY);
        text.parse().unwrap_or_else(|_| {
            self.error(KEY, format!("`{text}` is no address"));
            Ipv4Addr::LOCALHOST.into()
        })
    }

    fn application_ports(&mut self) -> Vec<((TransportProtocol, u16), String)> {
        let mut ports = Vec::new();
        for (name, protocol) in [
            ("flow.application_ports.tcp.<port>", TransportProtocol::Tcp),
            ("flow.application_ports.udp.<port>", TransportProtocol::Udp),
        ] {
            for (key, application) in self.given_under(name) {
                let Typed::Text(application) = application else { continue };
                match key.rsplit('.').next().and_then(|port| port.parse().ok()) {
                    Some(port) => ports.push(((protocol, port), application.to_uppercase())),
                    None => self.error(&key, "the last part of the key is no port".to_owned()),
                }
            }
        }
        ports
    }

    fn application_timeouts(&self) -> Vec<(String, Duration)> {
        let mut timeouts: Vec<_> = TIMEOUTS.map(|(name, time)| (name.to_owned(), time)).into();
        for (key, time) in self.given_under("flow.application_timeout.<app>") {
            let (Some(name), Typed::Time(time)) = (key.rsplit('.').next(), time) else { continue };
            timeouts.retain(|(known, _)| known != name);
            timeouts.push((name.to_owned(), time));
        }
        timeouts
    }

    /// The given keys of a declaration with a part that the user chooses, and their values as far as they fit.
    fn given_under(&self, name: &str) -> Vec<(String, Typed)> {
        let Some(def) = keys::find(name) else { return Vec::new() };
        let value = |(key, setting): (&str, &Setting)| Some((key.to_owned(), setting.typed.clone()?));
        self.settings.covered_by(def).filter_map(value).collect()
    }
}
