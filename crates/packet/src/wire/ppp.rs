//! PPP, [RFC 1661](https://www.rfc-editor.org/rfc/rfc1661) and [RFC 1662](https://www.rfc-editor.org/rfc/rfc1662).

/// IPv4.
pub const IPV4: u16 = 0x0021;
/// IPv6.
pub const IPV6: u16 = 0x0057;
/// MPLS.
pub const MPLS: u16 = 0x0281;
/// MPLS with a label assigned upstream.
pub const MPLS_UPSTREAM: u16 = 0x0283;

/// The protocol of the frame that `bytes` begin with and the bytes before its payload: address and control may be
/// there or not, the protocol may be compressed to a byte.
#[inline]
pub fn protocol(bytes: &[u8]) -> Option<(u16, usize)> {
    let (frame, skipped) = match bytes {
        [0xff, 0x03, frame @ ..] => (frame, 2),
        frame => (frame, 0),
    };
    match *frame {
        [low, ..] if low & 1 == 1 => Some((low.into(), skipped + 1)),
        [high, low, ..] => Some((u16::from_be_bytes([high, low]), skipped + 2)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::protocol;

    #[test]
    fn every_form_of_a_header_is_read() {
        assert_eq!(protocol(&[0xff, 0x03, 0, 0x21, 0x45]), Some((0x21, 4)));
        assert_eq!(protocol(&[0, 0x57, 0x60]), Some((0x57, 2)));
        assert_eq!(protocol(&[0x21, 0x45]), Some((0x21, 1)));
        assert_eq!(protocol(&[0xff, 0x03]), None);
        assert_eq!(protocol(&[0xc0]), None);
    }
}
