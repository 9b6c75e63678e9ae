//! ICMP echo messages as bytes. Pure.
//!
//! RFC 792 (ICMP), RFC 4443 section 4 (ICMPv6), RFC 1071 (the checksum), RFC 791 section 3.1 (the IPv4 header).

/// Bytes after the ICMP header, as many as ping(8) sends.
pub const PAYLOAD: usize = 56;
/// Bytes of an ICMP echo header: type, code, checksum, identifier, sequence number.
const HEADER: usize = 8;
/// Bytes of the messages that are sent.
pub const REQUEST: usize = HEADER + PAYLOAD;

/// A version of the Internet Protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Version {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Version {
    /// Both, in the order that sockets are kept.
    pub const ALL: [Version; 2] = [Version::V4, Version::V6];

    /// Its word, as in the label `family`.
    pub fn word(self) -> &'static str {
        match self {
            Version::V4 => "ipv4",
            Version::V6 => "ipv6",
        }
    }

    /// Type of an echo request and of the reply to it.
    fn types(self) -> (u8, u8) {
        match self {
            Version::V4 => (8, 0),
            Version::V6 => (128, 129),
        }
    }
}

/// An echo reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a> {
    /// The identifier: whose request it answers.
    pub id: u16,
    /// The sequence number: which request it answers.
    pub sequence: u16,
    /// What the request carried, if nobody changed it.
    pub payload: &'a [u8],
}

/// The payload of the request that `cookie` is for: the cookie over and over, so that a change of any byte shows.
pub fn payload(cookie: u64) -> [u8; PAYLOAD] {
    let mut payload = [0; PAYLOAD];
    for chunk in payload.chunks_exact_mut(8) {
        chunk.copy_from_slice(&cookie.to_be_bytes());
    }
    payload
}

/// An echo request. The checksum of ICMPv6 covers addresses that only the kernel knows, which fills it in.
pub fn request(version: Version, id: u16, sequence: u16, payload: &[u8; PAYLOAD]) -> [u8; REQUEST] {
    let mut message = [0; REQUEST];
    let ([i0, i1], [s0, s1]) = (id.to_be_bytes(), sequence.to_be_bytes());
    let (header, body) = message.split_at_mut(HEADER);
    body.copy_from_slice(payload);
    header.copy_from_slice(&[version.types().0, 0, 0, 0, i0, i1, s0, s1]);
    if version == Version::V4 {
        let sum = checksum(&message).to_be_bytes();
        if let Some(field) = message.get_mut(2..4) {
            field.copy_from_slice(&sum);
        }
    }
    message
}

/// The echo reply that `message`, which starts at the ICMP header, is; `None` for any other message and for one that
/// was damaged. A raw IPv4 socket gets messages before the kernel checks their sum, so it is checked here; that of
/// ICMPv6 the kernel always checks.
pub fn reply(version: Version, message: &[u8]) -> Option<Echo<'_>> {
    let (&[kind, code, _, _, i0, i1, s0, s1], payload) = message.split_first_chunk::<HEADER>()?;
    if (kind, code) != (version.types().1, 0) || (version == Version::V4 && checksum(message) != 0) {
        return None;
    }
    Some(Echo { id: u16::from_be_bytes([i0, i1]), sequence: u16::from_be_bytes([s0, s1]), payload })
}

/// What follows the header of an IPv4 packet; `None` if that header is none or longer than the packet.
pub fn after_ipv4_header(packet: &[u8]) -> Option<&[u8]> {
    /// Bytes of a header without options.
    const LEAST: usize = 20;
    let first = packet.first()?;
    let header = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header < LEAST {
        return None;
    }
    packet.get(header..)
}

/// The Internet checksum: 0 over a message that holds its own.
fn checksum(message: &[u8]) -> u16 {
    let mut sum = 0_u64;
    for pair in message.chunks(2) {
        if let &[high, ref low @ ..] = pair {
            sum += u64::from(u16::from_be_bytes([high, low.first().copied().unwrap_or(0)]));
        }
    }
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What a host makes of a request: the type changed, the sum put right by the rule of RFC 1624.
    fn answer(version: Version, request: [u8; REQUEST]) -> Vec<u8> {
        let mut reply = request.to_vec();
        reply[0] = version.types().1;
        if version == Version::V4 {
            reply[2..4].fill(0);
            let sum = checksum(&reply).to_be_bytes();
            reply[2..4].copy_from_slice(&sum);
        }
        reply
    }

    #[test]
    fn the_checksum_of_rfc_1071() {
        // The example of RFC 1071 section 3: the sum is ddf2, the checksum its complement.
        assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2);
        assert_eq!(checksum(&[0x12]), !0x1200);
        assert_eq!(checksum(&[]), 0xffff);
    }

    #[test]
    fn a_request_is_an_echo_request() {
        let request = request(Version::V4, 0x1234, 0x0a0b, &payload(7));
        assert_eq!(request[..2], [8, 0]);
        assert_eq!(request[4..8], [0x12, 0x34, 0x0a, 0x0b]);
        assert_eq!(request[8..24], [0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 7]);
        assert_eq!(checksum(&request), 0);
        let request = super::request(Version::V6, 1, 2, &payload(7));
        assert_eq!(request[..8], [128, 0, 0, 0, 0, 1, 0, 2]);
    }

    #[test]
    fn a_reply_is_read_and_only_a_reply() {
        for version in Version::ALL {
            let sent = request(version, 0x1234, 0x0a0b, &payload(7));
            assert_eq!(reply(version, &sent), None, "one's own request, seen on the loopback");
            let good = answer(version, sent);
            let echo = reply(version, &good).unwrap();
            assert_eq!((echo.id, echo.sequence, echo.payload), (0x1234, 0x0a0b, &payload(7)[..]));
            for cut in 0..HEADER {
                assert_eq!(reply(version, &good[..cut]), None, "{cut} bytes");
            }
            let mut coded = good.clone();
            coded[1] = 1;
            assert_eq!(reply(version, &coded), None);
        }
    }

    #[test]
    fn damage_on_the_way_is_seen() {
        let good = answer(Version::V4, request(Version::V4, 1, 2, &payload(7)));
        for at in 1..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x10;
            assert_eq!(reply(Version::V4, &bad), None, "byte {at}");
        }
        assert_eq!(reply(Version::V4, &good[..good.len() - 1]), None);
    }

    #[test]
    fn an_ipv4_header_is_as_long_as_it_says_or_none() {
        let packet = |first: u8, length: usize| {
            let mut packet = vec![0; length];
            packet[0] = first;
            packet
        };
        assert_eq!(after_ipv4_header(&packet(0x45, 28)).map(<[u8]>::len), Some(8));
        assert_eq!(after_ipv4_header(&packet(0x4f, 64)).map(<[u8]>::len), Some(4));
        assert_eq!(after_ipv4_header(&packet(0x4f, 59)), None, "longer than the packet");
        assert_eq!(after_ipv4_header(&packet(0x44, 28)), None, "shorter than any header");
        assert_eq!(after_ipv4_header(&packet(0x65, 40)), None, "another version");
        assert_eq!(after_ipv4_header(&[]), None);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for version in Version::ALL {
                let _ = reply(version, &bytes);
                let _ = after_ipv4_header(&bytes).and_then(|message| reply(version, message));
            }
        }
    }
}
