//! What drivers tell: offload features, speed, duplex, their own name and place on the bus.
//!
//! Features and link modes come over generic netlink (Linux 5.6), one question for all interfaces of a namespace.
//! The name of the driver has no netlink message and is asked by `ioctl`, interface by interface.

use std::sync::Arc;

use smol_str::SmolStr;

use crate::ffi;
use crate::netlink::{
    Attr, Attrs, Message, NLA_F_NESTED, NetlinkError, RequestSocket, Scratch, Tally, numbers,
};

/// What the driver of one interface tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceFacts {
    /// The interface.
    pub index: u32,
    /// Name of the driver; empty when it tells none.
    pub driver: SmolStr,
    /// Place on the bus; empty for virtual interfaces.
    pub bus: SmolStr,
    /// Active offload features, one bit each, lowest first, in the order of the names.
    pub features: Vec<u32>,
    /// Speed in Mb/s.
    pub speed: Option<u32>,
    /// Whether both directions can be used at once.
    pub full_duplex: Option<bool>,
}

impl DeviceFacts {
    /// Whether the feature of this number is active.
    pub fn has_feature(&self, number: usize) -> bool {
        self.features.get(number / 32).is_some_and(|word| word >> (number % 32) & 1 == 1)
    }
}

/// Names of the offload features, the same in every namespace.
pub type FeatureNames = Arc<[SmolStr]>;

/// The generic netlink family of ethtool as this kernel has it.
#[derive(Clone, Debug)]
pub(crate) struct Ethtool {
    family: u16,
    pub(crate) features: FeatureNames,
}

const CTRL_FAMILY: u16 = 0x10;
const CTRL_CMD_GETFAMILY: u8 = 3;
const CTRL_ATTR_FAMILY_ID: u16 = 1;
const CTRL_ATTR_FAMILY_NAME: u16 = 2;
const MSG_STRSET_GET: u8 = 1;
const MSG_LINKMODES_GET: u8 = 4;
const MSG_FEATURES_GET: u8 = 11;
/// Every message of the family has its header as attribute 1.
const A_HEADER: u16 = 1;
const A_HEADER_DEV_INDEX: u16 = 1;
const A_HEADER_FLAGS: u16 = 3;
const FLAG_COMPACT_BITSETS: u32 = 1;
const GENL_HEADER: usize = 4;

impl Ethtool {
    /// Asks the kernel for the family and its feature names.
    pub(crate) fn resolve(socket: &mut RequestSocket, scratch: &mut Scratch) -> Result<Self, NetlinkError> {
        let mut family = 0;
        socket.one(
            scratch,
            CTRL_FAMILY,
            &[(CTRL_ATTR_FAMILY_NAME, b"ethtool\0")],
            &[CTRL_CMD_GETFAMILY, 1, 0, 0],
            &mut |message| {
                with_attrs(&message, &mut |attr| {
                    if attr.kind == CTRL_ATTR_FAMILY_ID {
                        family = attr.u16().unwrap_or_default();
                    }
                });
            },
        )?;
        let mut names = Vec::new();
        const A_STRSET_STRINGSETS: u16 = 2;
        const A_STRINGSETS_STRINGSET: u16 = 1;
        const A_STRINGSET_ID: u16 = 1;
        const ETH_SS_FEATURES: u32 = 4;
        let set = {
            // stringsets { stringset { id } }
            let id = numbers(&[(A_STRINGSET_ID, ETH_SS_FEATURES)]);
            let mut bytes = Vec::from((id.len() as u16 + 4).to_ne_bytes());
            bytes.extend_from_slice(&(A_STRINGSETS_STRINGSET | NLA_F_NESTED).to_ne_bytes());
            bytes.extend_from_slice(&id);
            bytes
        };
        socket.one(
            scratch,
            family,
            &[(A_HEADER | NLA_F_NESTED, &[]), (A_STRSET_STRINGSETS | NLA_F_NESTED, &set)],
            &[MSG_STRSET_GET, 1, 0, 0],
            &mut |message| {
                with_attrs(&message, &mut |attr| {
                    if attr.kind == A_STRSET_STRINGSETS {
                        names = string_set(&attr);
                    }
                });
            },
        )?;
        Ok(Self { family, features: names.into() })
    }

    /// Reads features and link modes, of one interface or of all of the socket's namespace, into `devices`, which
    /// holds an entry for each interface of interest in order of their numbers.
    pub(crate) fn read(
        &self,
        socket: &mut RequestSocket,
        scratch: &mut Scratch,
        index: Option<u32>,
        devices: &mut [DeviceFacts],
    ) -> Result<(), NetlinkError> {
        for command in [MSG_FEATURES_GET, MSG_LINKMODES_GET] {
            let mut each = |message: Message<'_>| read_reply(&message, command, devices);
            let fixed = [command, 1, 0, 0];
            let flags = (A_HEADER_FLAGS, FLAG_COMPACT_BITSETS);
            match index {
                Some(index) => {
                    let header = numbers(&[(A_HEADER_DEV_INDEX, index), flags]);
                    match socket.one(
                        scratch,
                        self.family,
                        &[(A_HEADER | NLA_F_NESTED, &header)],
                        &fixed,
                        &mut each,
                    ) {
                        Err(NetlinkError::Refused { .. }) => {} // the interface has none, or is gone
                        other => other?,
                    }
                }
                None => {
                    let header = numbers(&[flags]);
                    socket.dump(
                        scratch,
                        self.family,
                        &[(A_HEADER | NLA_F_NESTED, &header)],
                        &fixed,
                        &mut each,
                    )?;
                }
            }
        }
        Ok(())
    }
}

/// Asks the driver of an interface for its name and place.
pub(crate) fn read_driver(socket: &RequestSocket, device: &mut DeviceFacts) {
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
        SmolStr::from(String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()))
    };
    if let Ok(reply) = ffi::driver(socket.fd(), device.index) {
        device.driver = text(&reply.driver);
        device.bus = text(&reply.bus);
        if device.bus == "N/A" {
            device.bus = SmolStr::default();
        }
    }
}

fn with_attrs(message: &Message<'_>, each: &mut impl FnMut(Attr<'_>)) {
    if let Message::Other(_, body) = message {
        let tally = Tally::default();
        for attr in Attrs::new(body.get(GENL_HEADER..).unwrap_or_default(), &tally) {
            each(attr);
        }
    }
}

fn string_set(sets: &Attr<'_>) -> Vec<SmolStr> {
    const STRINGS: u16 = 3;
    const INDEX: u16 = 1;
    const VALUE: u16 = 2;
    /// More than any kernel has; bounds what a wrong index can make us allocate.
    const MOST: usize = 1024;
    let mut names = Vec::new();
    for strings in sets.nested().flat_map(|set| set.nested().filter(|a| a.kind == STRINGS)) {
        for string in strings.nested() {
            let (mut index, mut name) = (None, None);
            for part in string.nested() {
                match part.kind {
                    INDEX => index = part.u32(),
                    VALUE => name = Some(part.text()),
                    _ => {}
                }
            }
            if let (Some(index), Some(name)) = (index, name)
                && (index as usize) < MOST
            {
                if names.len() <= index as usize {
                    names.resize(index as usize + 1, SmolStr::default());
                }
                if let Some(slot) = names.get_mut(index as usize) {
                    *slot = name;
                }
            }
        }
    }
    names
}

fn read_reply(message: &Message<'_>, command: u8, devices: &mut [DeviceFacts]) {
    const A_FEATURES_ACTIVE: u16 = 4;
    const A_BITSET_VALUE: u16 = 4;
    const A_LINKMODES_SPEED: u16 = 5;
    const A_LINKMODES_DUPLEX: u16 = 6;
    const SPEED_UNKNOWN: u32 = u32::MAX;
    let mut at = None;
    with_attrs(message, &mut |attr| {
        if attr.kind == A_HEADER {
            let index = attr.nested().find(|a| a.kind == A_HEADER_DEV_INDEX).and_then(|a| a.u32());
            at = index.and_then(|index| devices.binary_search_by_key(&index, |d| d.index).ok());
            return;
        }
        let Some(device) = at.and_then(|at: usize| devices.get_mut(at)) else { return };
        match (command, attr.kind) {
            (MSG_FEATURES_GET, A_FEATURES_ACTIVE) => {
                if let Some(bits) = attr.nested().find(|a| a.kind == A_BITSET_VALUE) {
                    let words = bits.value.as_chunks::<4>().0;
                    device.features = words.iter().map(|w| u32::from_ne_bytes(*w)).collect();
                }
            }
            (MSG_LINKMODES_GET, A_LINKMODES_SPEED) => {
                device.speed = attr.u32().filter(|s| *s != SPEED_UNKNOWN && *s != 0);
            }
            (MSG_LINKMODES_GET, A_LINKMODES_DUPLEX) => {
                device.full_duplex = match attr.u8() {
                    Some(0) => Some(false),
                    Some(1) => Some(true),
                    _ => None,
                };
            }
            _ => {}
        }
    });
}
