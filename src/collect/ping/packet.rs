//! ICMP messages as bytes. Pure.
//!
//! RFC 792 (ICMP), RFC 4443 (ICMPv6), RFC 1071 (the checksum), RFC 791 section 3.1 (the IPv4 header), RFC 8200 section 3
//! (the IPv6 header).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

/// Bytes that may follow the header of a request: a whole cookie at least, an IPv4 packet's 65535 at most.
pub const SIZES: RangeInclusive<usize> = COOKIE..=65_507;
/// Bytes of a cookie.
const COOKIE: usize = 8;
/// Bytes of an ICMP header: type, code, checksum and, of an echo message, identifier and sequence number.
const HEADER: usize = 8;
/// The longest IPv4 header. An IPv6 one never reaches us.
const LONGEST_IP_HEADER: usize = 60;
/// Bytes of a quoted IPv6 header.
const IPV6_HEADER: usize = 40;
/// The number of the extension header of a fragment.
const FRAGMENT: u8 = 44;
/// No error is longer (RFC 4443 section 2.4, the least MTU of IPv6; RFC 1812 section 4.3.2.3 says 576 for IPv4).
const LONGEST_ERROR: usize = 1280;

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

    /// That of `ip`.
    pub fn of(ip: IpAddr) -> Self {
        if ip.is_ipv4() { Version::V4 } else { Version::V6 }
    }

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

    /// The protocol number of its ICMP.
    fn protocol(self) -> u8 {
        match self {
            Version::V4 => 1,
            Version::V6 => 58,
        }
    }
}

/// What an ICMP error says of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Nobody knows the way, or nobody is there.
    Unreachable,
    /// A rule forbids it.
    Prohibited,
    /// It is larger than a link on the way lets through.
    TooBig,
    /// It had too many hops to make.
    TtlExceeded,
    /// Anything else, such as a parameter problem.
    Other,
}

impl ErrorKind {
    /// All of them, in the order they are exposed.
    pub const ALL: [ErrorKind; 5] = [
        ErrorKind::Unreachable,
        ErrorKind::Prohibited,
        ErrorKind::TooBig,
        ErrorKind::TtlExceeded,
        ErrorKind::Other,
    ];

    /// Its word, as in the label `kind`.
    pub fn word(self) -> &'static str {
        match self {
            ErrorKind::Unreachable => "unreachable",
            ErrorKind::Prohibited => "prohibited",
            ErrorKind::TooBig => "too_big",
            ErrorKind::TtlExceeded => "ttl_exceeded",
            ErrorKind::Other => "other",
        }
    }

    /// The kind of a message; `None` of one that is no error (RFC 792, RFC 1812 section 5.2.7.1, RFC 4443 section 3).
    pub fn of(version: Version, kind: u8, code: u8) -> Option<Self> {
        Some(match (version, kind, code) {
            (Version::V4, 3, 4) | (Version::V6, 2, _) => ErrorKind::TooBig,
            (Version::V4, 3, 9 | 10 | 13) | (Version::V6, 1, 1 | 5 | 6) => ErrorKind::Prohibited,
            (Version::V4, 3, _) | (Version::V6, 1, _) => ErrorKind::Unreachable,
            (Version::V4, 11, 0) | (Version::V6, 3, 0) => ErrorKind::TtlExceeded,
            (Version::V4, 4 | 11 | 12, _) | (Version::V6, 3 | 4, _) => ErrorKind::Other,
            _ => return None,
        })
    }
}

/// An echo message: a reply, or the request that an error quotes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo<'a> {
    /// The identifier: whose request it is, or answers.
    pub id: u16,
    /// The sequence number: which request.
    pub sequence: u16,
    /// What it carries: of a reply what the request carried, if nobody changed it; of a quoted request no more than the
    /// beginning, maybe nothing.
    pub payload: &'a [u8],
}

/// What a raw socket hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message<'a> {
    /// An echo reply.
    Reply(Echo<'a>),
    /// An error, whose request went to that address.
    Error(ErrorKind, IpAddr, Echo<'a>),
}

/// The payload of `size` bytes of the request that `cookie` is for: the cookie over and over, so that a change of any
/// byte shows.
fn payload(cookie: u64, size: usize) -> impl Iterator<Item = u8> {
    cookie.to_be_bytes().into_iter().cycle().take(size)
}

/// Whether `bytes` are what the request with `cookie` carried.
pub fn carries(bytes: &[u8], cookie: u64) -> bool {
    let cookie = cookie.to_be_bytes();
    let (whole, rest) = bytes.as_chunks::<COOKIE>();
    whole.iter().all(|chunk| *chunk == cookie) && cookie.starts_with(rest)
}

/// Room for any message that concerns a request with `size` bytes, and a byte more, by which a longer one shows.
pub fn room(size: usize) -> usize {
    LONGEST_IP_HEADER + (HEADER + size).max(LONGEST_ERROR) + 1
}

/// Writes an echo request with `size` bytes of `cookie` to `message`. The checksum of ICMPv6 covers addresses that only
/// the kernel knows, which fills it in.
pub fn request(version: Version, id: u16, sequence: u16, cookie: u64, size: usize, message: &mut Vec<u8>) {
    let ([i0, i1], [s0, s1]) = (id.to_be_bytes(), sequence.to_be_bytes());
    message.clear();
    message.extend([version.types().0, 0, 0, 0, i0, i1, s0, s1]);
    message.extend(payload(cookie, size));
    if version == Version::V4 {
        let sum = checksum(message).to_be_bytes();
        if let Some(field) = message.get_mut(2..4) {
            field.copy_from_slice(&sum);
        }
    }
}

/// The reply or the error that `message`, which starts at the ICMP header, is; `None` for any other message and for one
/// that was damaged. A raw IPv4 socket gets messages before the kernel checks their sum, so it is checked here; that of
/// ICMPv6 the kernel always checks.
pub fn read(version: Version, message: &[u8]) -> Option<Message<'_>> {
    let (&[kind, code, ..], rest) = message.split_first_chunk::<HEADER>()?;
    let read = if (kind, code) == (version.types().1, 0) {
        Message::Reply(echo(message)?)
    } else {
        let error = ErrorKind::of(version, kind, code)?;
        let (target, request) = quoted(version, rest)?;
        Message::Error(error, target, echo_request(version, request)?)
    };
    (version == Version::V6 || checksum(message) == 0).then_some(read)
}

/// The echo request at the beginning of `message`, which may be cut.
pub fn echo_request(version: Version, message: &[u8]) -> Option<Echo<'_>> {
    message.starts_with(&[version.types().0, 0]).then(|| echo(message))?
}

/// The number of the request in `packet`, which begins with the headers of whatever link it left by: `cookie` tells the
/// cookie of each.
pub fn find_request(version: Version, packet: &[u8], cookie: impl Fn(u16) -> u64) -> Option<u16> {
    (0..packet.len()).find_map(|at| {
        let echo = echo_request(version, packet.get(at..)?)?;
        let (first, _) = echo.payload.split_first_chunk::<COOKIE>()?;
        (u64::from_be_bytes(*first) == cookie(echo.sequence)).then_some(echo.sequence)
    })
}

fn echo(message: &[u8]) -> Option<Echo<'_>> {
    let (&[_, _, _, _, i0, i1, s0, s1], payload) = message.split_first_chunk::<HEADER>()?;
    Some(Echo { id: u16::from_be_bytes([i0, i1]), sequence: u16::from_be_bytes([s0, s1]), payload })
}

/// Where the ICMP packet that an error quotes went to, and its message. Of extension headers, ours have at most that of a
/// fragment (RFC 8200 section 4.5): the first, which the message begins in.
fn quoted(version: Version, packet: &[u8]) -> Option<(IpAddr, &[u8])> {
    let (protocol, target, message) = match version {
        Version::V4 => {
            let message = after_ipv4_header(packet)?;
            let target: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
            (packet.get(9)?, IpAddr::V4(Ipv4Addr::from(target)), message)
        }
        Version::V6 => {
            let target: [u8; 16] = packet.get(24..IPV6_HEADER)?.try_into().ok()?;
            let (mut next, mut message) = (packet.get(6)?, packet.get(IPV6_HEADER..)?);
            if *next == FRAGMENT {
                let (header, rest) = message.split_first_chunk::<8>()?;
                let [protocol, _, 0, 0..8, ..] = header else { return None };
                (next, message) = (protocol, rest);
            }
            (next, IpAddr::V6(Ipv6Addr::from(target)), message)
        }
    };
    (*protocol == version.protocol()).then_some((target, message))
}

/// The time to live of an IPv4 packet.
pub fn ttl(packet: &[u8]) -> Option<u8> {
    packet.get(8).copied()
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
mod tests;
