//! The ICMP sockets: the one place of this module that sends and receives.
//!
//! A datagram socket (icmp(7)) is tried first, since it needs no privilege where `net.ipv4.ping_group_range` (which
//! rules IPv6 too) holds one of our groups. The kernel gives it an identifier of its own and only the replies to it.
//! A raw socket (raw(7)) needs CAP_NET_RAW and sees every ICMP message of the host.

use std::fmt;
use std::fs;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6, SockaddrLike, sendto,
    socket,
};
use nix::sys::stat::fstat;

use super::buffer::{Buffer, Received};
use super::packet::{self, Echo, ErrorKind, Message, Version};
use super::session::{Address, Moment, Reply};
use super::settings::{Settings, Unset};

/// Entries of the error queue read at a stretch.
const MOST_QUEUED: usize = 4096;
/// Calls on end that may fail for ICMP errors about which nothing else is told.
const PENDING: usize = 64;

impl Moment {
    /// Now. The two clocks are read so close together that their distance tells whether one was set.
    pub fn now() -> Self {
        /// Another program may run between the reads; it seldom does four times on end.
        const TRIES: usize = 4;
        let mut monotonic = Instant::now();
        let mut realtime = Duration::ZERO;
        for _ in 0..TRIES {
            realtime = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let after = Instant::now();
            if after.duration_since(monotonic) < Duration::from_micros(100) {
                break;
            }
            monotonic = after;
        }
        Self { monotonic, realtime }
    }
}

/// What came of a send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Send {
    /// It is the kernel's now.
    Sent,
    /// No room at the moment; the same may work later.
    Full,
    /// It will not be sent: no route, a firewall's rule, no such interface.
    Refused(Errno),
}

/// What a socket has to tell.
#[derive(Debug)]
pub enum Event<'a> {
    /// An echo reply.
    Reply(Reply<'a>),
    /// An ICMP error about a request to that address.
    Error(Address, Echo<'a>, ErrorKind),
    /// A packet as it left, with the link's header, and when, on the realtime clock, since the epoch.
    Left(&'a [u8], Duration),
}

impl Event<'_> {
    /// When the kernel received it, on the realtime clock, since the epoch, where that matters.
    pub fn stamp(&self) -> Option<Duration> {
        match self {
            Event::Reply(reply) => reply.stamp,
            Event::Error(..) | Event::Left(..) => None,
        }
    }
}

/// An ICMP socket of one version of IP. Nothing on it blocks.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    version: Version,
    /// The identifier that replies must bear; `None` on a datagram socket, where the kernel sees to it.
    id: Option<u16>,
    settings: Settings,
    message: Vec<u8>,
    packets: Buffer,
    queue: Buffer,
}

/// Why there is no socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoSocket {
    /// The errors of the datagram and of the raw attempt.
    Denied(Version, Errno, Errno),
    /// What could not be set on it.
    Unset(Version, Unset),
}

impl fmt::Display for NoSocket {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Denied(version, _, Errno::EAFNOSUPPORT) => {
                write!(out, "this host has no {}", version.word())
            }
            Self::Denied(version, datagram, raw) => {
                let (name, datagram, reason) = (version.word(), datagram.desc(), raw.desc());
                write!(out, "no {name} ICMP socket: datagram: {datagram}, raw: {reason}")?;
                if matches!(raw, Errno::EPERM | Errno::EACCES) {
                    write!(
                        out,
                        "; either let the group in (sysctl net.ipv4.ping_group_range=\"GID GID\") or give promdrop \
                         CAP_NET_RAW"
                    )?;
                }
                Ok(())
            }
            Self::Unset(version, Unset { what, error, cure }) => {
                write!(out, "{} probes can't {what}: {}{cure}", version.word(), error.desc())
            }
        }
    }
}

impl Socket {
    /// Opens one with room for `replies` unread replies. `id` is used where the kernel does not give one.
    ///
    /// # Errors
    /// Where neither kind can be had, or one of the settings.
    pub fn open(version: Version, id: u16, replies: usize, settings: &Settings) -> Result<Self, NoSocket> {
        let (fd, id) = match open(version, SockType::Datagram) {
            Ok(fd) => (fd, None),
            Err(datagram) => match open(version, SockType::Raw) {
                Ok(fd) => (fd, Some(id)),
                Err(raw) => return Err(NoSocket::Denied(version, datagram, raw)),
            },
        };
        let applied = settings.apply(&fd, version, id.is_none(), replies);
        applied.map_err(|unset| NoSocket::Unset(version, unset))?;
        let room = packet::room(settings.size);
        Ok(Self {
            fd,
            version,
            id,
            settings: settings.clone(),
            message: Vec::new(),
            packets: Buffer::new(room),
            queue: Buffer::new(room),
        })
    }

    /// Sends the probe `number` with `cookie` to `target`.
    pub fn send(&mut self, target: Address, number: u16, cookie: u64) -> Send {
        let id = self.id.unwrap_or(0);
        packet::request(self.version, id, number, cookie, self.settings.size, &mut self.message);
        let sent = match target.ip {
            IpAddr::V4(ip) => self.send_to(&SockaddrIn::from(SocketAddrV4::new(ip, 0))),
            IpAddr::V6(ip) => self.send_to(&SockaddrIn6::from(SocketAddrV6::new(ip, 0, 0, target.zone))),
        };
        match sent {
            Ok(_) => Send::Sent,
            // EAGAIN: the socket's buffer is full. ENOBUFS: the interface's queue is.
            Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::EINTR) => Send::Full,
            Err(error) => Send::Refused(error),
        }
    }

    fn send_to(&self, to: &dyn SockaddrLike) -> nix::Result<usize> {
        sendto(self.fd.as_raw_fd(), &self.message, to, MsgFlags::MSG_DONTWAIT)
    }

    /// Hands everything that waits to `take`, but at most `most` packets, lest a flood keep us here. Whether all was
    /// read.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive(&mut self, most: usize, mut take: impl FnMut(Event<'_>)) -> nix::Result<bool> {
        let mut failed = 0;
        for _ in 0..most {
            let received = match self.packets.receive(&self.fd, MsgFlags::empty()) {
                Ok(received) => received,
                // An ICMP error makes the next call fail, once, whatever it is, even where there was no room to tell more.
                Err(error) => {
                    failed += 1;
                    if self.read_queue(&mut take)? == 0 && failed > PENDING {
                        return Err(error);
                    }
                    continue;
                }
            };
            // A probe has left before its reply comes; and what nobody answers has left, too.
            if self.settings.tx_timestamps {
                self.read_queue(&mut take)?;
            }
            let Some(received) = received else { return Ok(true) };
            if let Some(event) = heard(self.version, self.id, self.packets.bytes(&received), &received) {
                take(event);
            }
        }
        Ok(false)
    }

    /// Hands what is in the error queue to `take`: ICMP errors, and packets that have left. How much it was; no more than
    /// can wait there unless more keeps coming.
    ///
    /// # Errors
    /// The kernel's.
    pub fn read_queue(&mut self, take: &mut impl FnMut(Event<'_>)) -> nix::Result<usize> {
        let mut read = 0;
        while read < MOST_QUEUED
            && let Some(received) = self.queue.receive(&self.fd, MsgFlags::MSG_ERRQUEUE)?
        {
            read += 1;
            let bytes = self.queue.bytes(&received);
            if let Some(event) = queued(self.version, self.id, bytes, &received) {
                take(event);
            }
        }
        Ok(read)
    }

    /// The version of IP it speaks.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Packets that found no room in the receive buffer, from the kernel's table of such sockets; 0 where that can't
    /// be read. (SO_RXQ_OVFL would tell it too, but not on datagram sockets.)
    pub fn dropped(&self) -> u64 {
        let table = match (self.version, self.id) {
            (Version::V4, None) => "icmp",
            (Version::V6, None) => "icmp6",
            (Version::V4, Some(_)) => "raw",
            (Version::V6, Some(_)) => "raw6",
        };
        let read = |inode| {
            fs::read_to_string(format!("/proc/thread-self/net/{table}")).map(|text| drops(&text, inode))
        };
        fstat(&self.fd).ok().and_then(|stat| read(stat.st_ino).ok().flatten()).unwrap_or(0)
    }
}

/// What a packet is, if it is for us.
fn heard<'a>(version: Version, id: Option<u16>, packet: &'a [u8], received: &Received) -> Option<Event<'a>> {
    let source = received.peer?;
    let (message, hop_limit) = match (version, id) {
        // Only a raw IPv4 socket hands out the IP header.
        (Version::V4, Some(_)) => (packet::after_ipv4_header(packet)?, packet::ttl(packet)),
        _ => (packet, received.hop_limit),
    };
    let ours = |echo: &Echo<'_>| id.is_none_or(|id| id == echo.id);
    match packet::read(version, message)? {
        Message::Reply(echo) if ours(&echo) => {
            Some(Event::Reply(Reply { source, echo, hop_limit, stamp: received.stamp }))
        }
        Message::Error(kind, ip, echo) if ours(&echo) => {
            // Who tells of a neighbour is one himself.
            let local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
            let target = Address { ip, zone: if local { source.zone } else { 0 } };
            Some(Event::Error(target, echo, kind))
        }
        Message::Reply(_) | Message::Error(..) => None,
    }
}

/// What an entry of the error queue is (linux/errqueue.h): an ICMP error with the request from its ICMP header on, or a
/// packet as it left.
fn queued<'a>(version: Version, id: Option<u16>, packet: &'a [u8], received: &Received) -> Option<Event<'a>> {
    // SO_EE_ORIGIN_...
    const ICMP: u8 = 2;
    const ICMP6: u8 = 3;
    const TIMESTAMPING: u8 = 4;
    let error = received.error?;
    match error.ee_origin {
        ICMP | ICMP6 => {
            let kind = ErrorKind::of(version, error.ee_type, error.ee_code)?;
            let echo = packet::echo_request(version, packet)?;
            // A raw socket is told of everybody's.
            id.is_none_or(|id| id == echo.id).then_some(Event::Error(received.peer?, echo, kind))
        }
        TIMESTAMPING => Some(Event::Left(packet, received.stamp?)),
        _ => None,
    }
}

/// The drops of the socket `inode` in a table of /proc/net: its tenth column is the inode, the last the drops
/// (net/ipv4/ping.c, ping_v4_format_sock; net/ipv4/raw.c, raw_sock_seq_show).
fn drops(table: &str, inode: u64) -> Option<u64> {
    let inode = inode.to_string();
    let line = table.lines().find(|line| line.split_ascii_whitespace().nth(9) == Some(&inode))?;
    line.split_ascii_whitespace().last()?.parse().ok()
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open(version: Version, kind: SockType) -> nix::Result<OwnedFd> {
    let (family, protocol) = match version {
        Version::V4 => (AddressFamily::Inet, SockProtocol::Icmp),
        Version::V6 => (AddressFamily::Inet6, SockProtocol::IcmpV6),
    };
    socket(family, kind, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, protocol)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_those_of_the_socket() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode \
                     ref pointer drops\n\
                     1: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 748580 2 \
                     00000000ad6c1e38 7\n\
                     2: 00000000:0001 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 748581 2 \
                     00000000ad6c1e38 8\n";
        assert_eq!(drops(table, 748_581), Some(8));
        assert_eq!(drops(table, 7), None);
        assert_eq!(drops("", 7), None);
        assert_eq!(drops("1 2 3 4 5 6 7 8 9 7", 7), Some(7));
    }

    #[test]
    fn the_message_tells_what_is_missing() {
        let show = |datagram, raw| NoSocket::Denied(Version::V6, datagram, raw).to_string();
        let privilege = show(Errno::EACCES, Errno::EPERM);
        assert!(privilege.contains("sysctl net.ipv4.ping_group_range=") && privilege.contains("CAP_NET_RAW"));
        assert_eq!(show(Errno::EAFNOSUPPORT, Errno::EAFNOSUPPORT), "this host has no ipv6");
        let other = show(Errno::EPROTONOSUPPORT, Errno::EMFILE);
        assert_eq!(other, "no ipv6 ICMP socket: datagram: Protocol not supported, raw: Too many open files");
    }
}
