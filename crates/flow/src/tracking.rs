//! Identifiers that follow from addresses, the same on every host and in every version.
//!
//! XXH64 as the original Skydive uses it, so that flows of its agents and of ours are found to be one conversation: in
//! that library reading the digest of 32 bytes or more changes the state that later writes go on from. What is
//! written: the network addresses, the ports or what stands for them, the link addresses, the parent.

use crate::FlowId;
use crate::key::{Key, KeyTransport};

/// The identifiers of a key.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tracking {
    pub(crate) l2: FlowId,
    pub(crate) l3: FlowId,
    /// With the parent: what tells flows of one table apart.
    table: u64,
}

/// XXH64, see <https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>.
struct Xxh64 {
    lanes: [u64; 4],
    pending: [u8; 32],
    pending_len: usize,
    len: u64,
    seed: u64,
}

const P1: u64 = 0x9E37_79B1_85EB_CA87;
const P2: u64 = 0xC2B2_AE3D_27D4_EB4F;
const P3: u64 = 0x1656_67B1_9E37_79F9;
const P4: u64 = 0x85EB_CA77_C2B2_AE63;
const P5: u64 = 0x27D4_EB2F_1656_67C5;

impl Tracking {
    pub(crate) fn of(key: &Key) -> Self {
        let mut hash = Xxh64::new(0);
        if let Some((low, high, kind)) = key.network_bytes() {
            hash.pair(low.as_slice(), high.as_slice(), kind);
        }
        match key.transport() {
            KeyTransport::None => {}
            KeyTransport::Ports { low, high, kind } => {
                hash.pair(&low.to_be_bytes(), &high.to_be_bytes(), kind);
            }
            KeyTransport::Tunnel { vni, port } => hash.pair(&vni.to_be_bytes(), &port.to_be_bytes(), 0),
            KeyTransport::Icmp(value) => hash.pair(&value.to_be_bytes(), &[], 0),
        }
        let l3 = hash.digest();
        let mut l2 = l3;
        if let Some((low, high)) = key.link() {
            hash.pair(&low, &high, 3);
            l2 = hash.digest();
        }
        let table = if key.parent == 0 {
            // Nothing is written, but the digest is read once more.
            hash.digest()
        } else {
            hash.write(FlowId(key.parent).to_string().as_bytes());
            hash.digest()
        };
        Self { l2: FlowId(l2), l3: FlowId(l3), table }
    }

    /// The flow of this key that began at `start` (milliseconds) on the node.
    pub(crate) fn uuid(&self, start: i64, node_tid: &str) -> FlowId {
        let mut hash = Xxh64::new(self.table);
        hash.write(&start.to_be_bytes());
        hash.write(node_tid.as_bytes());
        FlowId(hash.digest())
    }
}

impl Xxh64 {
    fn new(seed: u64) -> Self {
        let lanes =
            [seed.wrapping_add(P1).wrapping_add(P2), seed.wrapping_add(P2), seed, seed.wrapping_sub(P1)];
        Self { lanes, pending: [0; 32], pending_len: 0, len: 0, seed }
    }

    fn pair(&mut self, low: &[u8], high: &[u8], kind: u64) {
        self.write(low);
        self.write(high);
        self.write(&kind.to_be_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        self.len += bytes.len() as u64;
        for byte in bytes {
            self.pending[self.pending_len] = *byte;
            self.pending_len += 1;
            if self.pending_len == self.pending.len() {
                let (words, _) = self.pending.as_chunks::<8>();
                for (lane, word) in self.lanes.iter_mut().zip(words) {
                    *lane = round(*lane, u64::from_le_bytes(*word));
                }
                self.pending_len = 0;
            }
        }
    }

    fn digest(&mut self) -> u64 {
        let mut hash = if self.len >= 32 {
            let [a, b, c, d] = self.lanes;
            let mut hash = a
                .rotate_left(1)
                .wrapping_add(b.rotate_left(7))
                .wrapping_add(c.rotate_left(12))
                .wrapping_add(d.rotate_left(18));
            for lane in &mut self.lanes {
                // Kept: see the head of the file.
                *lane = lane.wrapping_mul(P2);
                hash ^= lane.rotate_left(31).wrapping_mul(P1);
                hash = hash.wrapping_mul(P1).wrapping_add(P4);
            }
            hash
        } else {
            self.seed.wrapping_add(P5)
        };
        hash = hash.wrapping_add(self.len);
        let rest = self.pending.get(..self.pending_len).unwrap_or_default();
        let (words, rest) = rest.as_chunks::<8>();
        for word in words {
            hash ^= round(0, u64::from_le_bytes(*word));
            hash = hash.rotate_left(27).wrapping_mul(P1).wrapping_add(P4);
        }
        let (halves, rest) = rest.as_chunks::<4>();
        for half in halves {
            hash ^= u64::from(u32::from_le_bytes(*half)).wrapping_mul(P1);
            hash = hash.rotate_left(23).wrapping_mul(P2).wrapping_add(P3);
        }
        for byte in rest {
            hash ^= u64::from(*byte).wrapping_mul(P5);
            hash = hash.rotate_left(11).wrapping_mul(P1);
        }
        hash ^= hash >> 33;
        hash = hash.wrapping_mul(P2);
        hash ^= hash >> 29;
        hash = hash.wrapping_mul(P3);
        hash ^ hash >> 32
    }
}

fn round(lane: u64, word: u64) -> u64 {
    lane.wrapping_add(word.wrapping_mul(P2)).rotate_left(31).wrapping_mul(P1)
}

#[cfg(test)]
mod tests {
    use super::Xxh64;

    fn hash(seed: u64, bytes: &[u8]) -> u64 {
        let mut hash = Xxh64::new(seed);
        hash.write(bytes);
        hash.digest()
    }

    #[test]
    fn a_digest_read_once_is_that_of_the_specification() {
        assert_eq!(hash(0, b""), 0xef46_db37_51d8_e999);
        assert_eq!(hash(0, b"a"), 0xd24e_c4f1_a98c_6e5b);
        assert_eq!(hash(0, b"abc"), 0x44bc_2cf5_ad77_0999);
        let digits = b"12345678901234567890123456789012345678901234567890123456789012345678901234567890";
        assert_eq!(hash(0, digits), 0xe04a_477f_19ee_145d);
    }
}
