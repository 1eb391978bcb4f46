//! Packets as bytes, from the inside out.

/// Ends of the outer flow.
pub(crate) const A: [u8; 4] = [192, 0, 2, 1];
pub(crate) const B: [u8; 4] = [192, 0, 2, 2];

fn under(header: &[u8], payload: &[u8]) -> Vec<u8> {
    [header, payload].concat()
}

fn with_number(number: u16, before: &[u8], behind: &[u8], payload: &[u8]) -> Vec<u8> {
    [before, &number.to_be_bytes(), behind, payload].concat()
}

pub(crate) fn eth(ethertype: u16, payload: &[u8]) -> Vec<u8> {
    with_number(ethertype, &[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], &[], payload)
}

pub(crate) fn ip4(from: [u8; 4], to: [u8; 4], protocol: u8, payload: &[u8]) -> Vec<u8> {
    let behind = [&[0, 0, 0x40, 0, 64, protocol, 0, 0][..], &from, &to].concat();
    with_number(payload.len() as u16 + 20, &[0x45, 0], &behind, payload)
}

pub(crate) fn udp(source: u16, destination: u16, payload: &[u8]) -> Vec<u8> {
    let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    with_number(payload.len() as u16 + 8, &ports, &[0, 0], payload)
}

pub(crate) fn tcp(source: u16, destination: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut header = [source.to_be_bytes(), destination.to_be_bytes()].concat();
    header.extend(sequence.to_be_bytes());
    header.extend([0, 0, 0, 0, 0x50, flags, 0x20, 0, 0, 0, 0, 0]);
    under(&header, payload)
}

pub(crate) fn gre(protocol: u16, payload: &[u8]) -> Vec<u8> {
    with_number(protocol, &[0, 0], &[], payload)
}

/// Version 1, with a sequence number.
pub(crate) fn pptp(payload: &[u8]) -> Vec<u8> {
    with_number(payload.len() as u16, &[0x30, 0x01, 0x88, 0x0b], &[0, 7, 0, 0, 0, 1], payload)
}

pub(crate) fn ppp(payload: &[u8]) -> Vec<u8> {
    under(&[0xff, 0x03], payload)
}

pub(crate) fn arp() -> Vec<u8> {
    under(&[0, 1, 8, 0, 6, 4, 0, 1], &[9; 20])
}

/// ERSPAN type III with a frame type, in GRE with a sequence number.
pub(crate) fn erspan3(frame_type: u8, payload: &[u8]) -> Vec<u8> {
    let header = [0x20, 5, 0, 9, 0, 0, 0, 1, 0, 0, frame_type << 2, 0];
    [&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1][..], &header, payload].concat()
}

pub(crate) fn vxlan(payload: &[u8]) -> Vec<u8> {
    under(&[8, 0, 0, 0, 0, 0, 7, 0], payload)
}

pub(crate) fn geneve(protocol: u16, payload: &[u8]) -> Vec<u8> {
    with_number(protocol, &[0, 0], &[0, 0, 7, 0], payload)
}

pub(crate) fn gtp(payload: &[u8]) -> Vec<u8> {
    with_number(payload.len() as u16, &[0x30, 255], &[0, 0, 0, 9], payload)
}

pub(crate) fn labels(count: u8, payload: &[u8]) -> Vec<u8> {
    let stack = (1..=count).flat_map(|label| [0, label, u8::from(label == count), 64]);
    under(&stack.collect::<Vec<_>>(), payload)
}
