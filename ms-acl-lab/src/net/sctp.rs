//! SCTP packets (RFC 9260) as far as a handshake's first two need it: this kernel has no SCTP sockets.

/// The IP protocol number.
pub(crate) const PROTOCOL: i32 = 132;
/// The length of the common header.
const HEADER: usize = 12;
/// The length of an INIT chunk without parameters.
const INIT_LENGTH: usize = 20;

/// A chunk that the lab sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chunk {
    /// Asks for an association.
    Init,
    /// Grants one.
    InitAck,
}

/// What the lab reads off a packet, or writes into one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) source: u16,
    pub(crate) destination: u16,
    /// Zero in an INIT, else the tag that the other end asked for in its INIT.
    pub(crate) verification_tag: u32,
    pub(crate) chunk: Chunk,
    /// The tag that the sender wants to see in packets to it.
    pub(crate) initiate_tag: u32,
}

impl Packet {
    /// The packet's bytes, checksum included.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, cookie): (u8, &[u8]) = match self.chunk {
            Chunk::Init => (1, &[]),
            // A state cookie (type 7, length 8) is mandatory.
            Chunk::InitAck => (2, &[0, 7, 0, 8, b'm', b's', b'a', b'c']),
        };
        let length = u8::try_from(INIT_LENGTH + cookie.len()).expect("both lengths are below 30");
        let mut bytes = Vec::with_capacity(HEADER + usize::from(length));
        bytes.extend(self.source.to_be_bytes());
        bytes.extend(self.destination.to_be_bytes());
        bytes.extend(self.verification_tag.to_be_bytes());
        bytes.extend([0; 4]);
        bytes.extend([kind, 0, 0, length]);
        bytes.extend(self.initiate_tag.to_be_bytes());
        // Receiver window, streams out and in, first sequence number.
        bytes.extend(65_536_u32.to_be_bytes());
        bytes.extend([0, 1, 0, 1]);
        bytes.extend(self.initiate_tag.to_be_bytes());
        bytes.extend(cookie);
        let checksum = crc32c(&bytes);
        bytes[8..HEADER].copy_from_slice(&checksum.to_le_bytes());
        bytes
    }

    /// Reads an INIT or INIT ACK with a right checksum; anything else is `None`.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Packet> {
        let mut zeroed = bytes.to_vec();
        zeroed.get_mut(8..HEADER)?.fill(0);
        if crc32c(&zeroed).to_le_bytes() != bytes[8..HEADER] {
            return None;
        }
        let chunk = match bytes.get(HEADER)? {
            1 => Chunk::Init,
            2 => Chunk::InitAck,
            _ => return None,
        };
        let port = |at: usize| Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
        let verification_tag = u32::from_be_bytes(*bytes.get(4..)?.first_chunk()?);
        let initiate_tag = initiate_tag(bytes)?;
        Some(Packet { source: port(0)?, destination: port(2)?, verification_tag, chunk, initiate_tag })
    }
}

/// The initiate tag of an INIT or INIT ACK that need not be whole: ICMP errors quote a packet's start.
pub(crate) fn initiate_tag(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_be_bytes(*bytes.get(HEADER + 4..)?.first_chunk()?))
}

/// CRC-32C (RFC 9260, appendix A), bit by bit: packets here have 40 bytes.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { (crc >> 1) ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(u32::MAX, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_of_rfc_3720() {
        assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn packets_are_read_as_written_and_damaged_ones_are_not() {
        for chunk in [Chunk::Init, Chunk::InitAck] {
            let packet = Packet {
                source: 4000,
                destination: 9,
                verification_tag: 7,
                chunk,
                initiate_tag: 0xdead_beef,
            };
            let mut bytes = packet.encode();
            assert_eq!(Packet::decode(&bytes), Some(packet));
            bytes[20] ^= 1;
            assert_eq!(Packet::decode(&bytes), None);
            assert_eq!(Packet::decode(&bytes[..10]), None);
        }
    }
}
