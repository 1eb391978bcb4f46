//! Requests: built in a buffer that is used again and again.

use super::message::HEADER;

pub(crate) const NLM_F_REQUEST: u16 = 0x1;
pub(crate) const NLM_F_ACK: u16 = 0x4;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
pub(crate) const NLA_F_NESTED: u16 = 0x8000;

/// One request under construction.
pub(crate) struct Request<'a> {
    bytes: &'a mut Vec<u8>,
}

/// Numbers of four bytes as attributes, the value of an attribute that holds them.
pub(crate) fn numbers(of: &[(u16, u32)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(of.len() * 8);
    for (kind, value) in of {
        bytes.extend_from_slice(&8u16.to_ne_bytes());
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&value.to_ne_bytes());
    }
    bytes
}

impl<'a> Request<'a> {
    /// Starts a request of this type; `fixed_part` follows the frame.
    pub(crate) fn new(bytes: &'a mut Vec<u8>, kind: u16, flags: u16, fixed_part: &[u8]) -> Self {
        bytes.clear();
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&kind.to_ne_bytes());
        bytes.extend_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        bytes.extend_from_slice(&[0; HEADER - 8]);
        bytes.extend_from_slice(fixed_part);
        let mut request = Self { bytes };
        request.pad();
        request
    }

    /// Adds an attribute.
    pub(crate) fn attr(mut self, kind: u16, value: &[u8]) -> Self {
        self.bytes.extend_from_slice(&(value.len() as u16 + 4).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// Completes the frame.
    pub(crate) fn finish(self, seq: u32) -> &'a [u8] {
        let len = self.bytes.len() as u32;
        if let Some(at) = self.bytes.get_mut(..4) {
            at.copy_from_slice(&len.to_ne_bytes());
        }
        if let Some(at) = self.bytes.get_mut(8..12) {
            at.copy_from_slice(&seq.to_ne_bytes());
        }
        self.bytes
    }

    fn pad(&mut self) {
        let len = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(len, 0);
    }
}
