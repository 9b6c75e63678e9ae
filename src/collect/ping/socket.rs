//! The ICMP sockets: the one place of this module that sends and receives.
//!
//! A datagram socket (icmp(7)) is tried first, since it needs no privilege where `net.ipv4.ping_group_range` (which
//! rules IPv6 too) holds one of our groups. The kernel gives it an identifier of its own and only the replies to it.
//! A raw socket (raw(7)) needs CAP_NET_RAW and sees every ICMP message of the host.

use std::fs;
use std::io::IoSliceMut;
use std::net::{IpAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, SockaddrIn6,
    SockaddrStorage, recvmsg, sendto, setsockopt, socket, sockopt,
};
use nix::sys::stat::fstat;
use nix::sys::time::TimeSpec;

use super::packet::{self, Echo, PAYLOAD, Version};
use super::session::{Address, Moment};

/// What a packet may take up in a socket's buffer, the kernel's own bookkeeping included.
const PACKET_ROOM: usize = 4096;
/// The largest buffer that is asked for. It is taken only as far as it fills.
const MOST_ROOM: usize = 64 << 20;

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

/// An ICMP socket of one version of IP. Nothing on it blocks.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    version: Version,
    /// The identifier that replies must bear; `None` on a datagram socket, where the kernel sees to it.
    id: Option<u16>,
    control: Vec<u8>,
}

/// Why there is no socket: the errors of the datagram and of the raw attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSocket {
    version: Version,
    datagram: Errno,
    raw: Errno,
}

impl std::fmt::Display for NoSocket {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { version, datagram, raw } = self;
        let name = version.word();
        if *raw == Errno::EAFNOSUPPORT {
            return write!(out, "this host has no {name}");
        }
        write!(out, "no {name} ICMP socket: datagram: {}, raw: {}", datagram.desc(), raw.desc())?;
        if matches!(raw, Errno::EPERM | Errno::EACCES) {
            write!(
                out,
                "; either let the group in (sysctl net.ipv4.ping_group_range=\"GID GID\") or give promdrop \
                 CAP_NET_RAW"
            )?;
        }
        Ok(())
    }
}

impl Socket {
    /// Opens one with room for `replies` unread replies. `id` is used where the kernel does not give one.
    ///
    /// # Errors
    /// Where neither kind can be had.
    pub fn open(version: Version, id: u16, replies: usize) -> Result<Self, NoSocket> {
        let opened = match open(version, SockType::Datagram) {
            Ok(fd) => prepare(&fd, replies).map(|()| (fd, None)),
            Err(datagram) => match open(version, SockType::Raw) {
                Ok(fd) => prepare(&fd, replies).map(|()| (fd, Some(id))),
                Err(raw) => return Err(NoSocket { version, datagram, raw }),
            },
        };
        let (fd, id) = opened.map_err(|error| NoSocket { version, datagram: error, raw: error })?;
        let control = nix::cmsg_space!(TimeSpec);
        Ok(Self { fd, version, id, control })
    }

    /// Sends probe `number` to `target`.
    pub fn send(&self, target: Address, number: u16, payload: &[u8; PAYLOAD]) -> Send {
        let request = packet::request(self.version, self.id.unwrap_or(0), number, payload);
        let sent = match target.ip {
            IpAddr::V4(ip) => self.send_to(&request, &SockaddrIn::from(SocketAddrV4::new(ip, 0))),
            IpAddr::V6(ip) => {
                self.send_to(&request, &SockaddrIn6::from(SocketAddrV6::new(ip, 0, 0, target.zone)))
            }
        };
        match sent {
            Ok(_) => Send::Sent,
            // EAGAIN: the socket's buffer is full. ENOBUFS: the interface's queue is.
            Err(Errno::EAGAIN | Errno::ENOBUFS | Errno::ENOMEM | Errno::EINTR) => Send::Full,
            Err(error) => Send::Refused(error),
        }
    }

    fn send_to(&self, request: &[u8], to: &dyn nix::sys::socket::SockaddrLike) -> nix::Result<usize> {
        sendto(self.fd.as_raw_fd(), request, to, MsgFlags::MSG_DONTWAIT)
    }

    /// Hands every waiting reply to `take`, with its source and the kernel's stamp, but at most `most` packets, lest a
    /// flood keep us here. Whether all was read.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive(
        &mut self,
        most: usize,
        mut take: impl FnMut(Address, &Echo<'_>, Option<Duration>),
    ) -> nix::Result<bool> {
        // Room for the longest IPv4 header and one of our messages. What is longer is none of ours.
        let mut bytes = [0; 256];
        for _ in 0..most {
            let (length, source, stamp) = {
                let mut pieces = [IoSliceMut::new(&mut bytes)];
                let received = recvmsg::<SockaddrStorage>(
                    self.fd.as_raw_fd(),
                    &mut pieces,
                    Some(&mut self.control),
                    MsgFlags::MSG_DONTWAIT,
                );
                let received = match received {
                    Ok(received) => received,
                    Err(Errno::EAGAIN) => return Ok(true),
                    Err(Errno::EINTR) => continue,
                    Err(error) => return Err(error),
                };
                let stamp = received.cmsgs().into_iter().flatten().find_map(|message| match message {
                    ControlMessageOwned::ScmTimestampns(at) => Some(Duration::from(at)),
                    _ => None,
                });
                (received.bytes, received.address.as_ref().and_then(address), stamp)
            };
            let Some(packet) = bytes.get(..length) else { continue };
            let message = match (self.version, self.id) {
                // Only a raw IPv4 socket hands out the IP header.
                (Version::V4, Some(_)) => packet::after_ipv4_header(packet),
                _ => Some(packet),
            };
            let echo = message.and_then(|message| packet::reply(self.version, message));
            if let (Some(echo), Some(source)) = (echo, source)
                && self.id.is_none_or(|id| id == echo.id)
            {
                take(source, &echo, stamp);
            }
        }
        Ok(false)
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

fn prepare(fd: &OwnedFd, replies: usize) -> nix::Result<()> {
    setsockopt(fd, sockopt::ReceiveTimestampns, &true)?;
    let room = replies.saturating_mul(PACKET_ROOM).clamp(1 << 20, MOST_ROOM);
    // Past the sysctls' limits with CAP_NET_ADMIN only; without it, as far as they let. Probes to neighbours that are
    // not there wait in the send buffer for seconds, and must not hold up the rest.
    if setsockopt(fd, sockopt::RcvBufForce, &room).is_err() {
        setsockopt(fd, sockopt::RcvBuf, &room)?;
    }
    if setsockopt(fd, sockopt::SndBufForce, &room).is_err() {
        setsockopt(fd, sockopt::SndBuf, &room)?;
    }
    Ok(())
}

fn address(from: &SockaddrStorage) -> Option<Address> {
    if let Some(from) = from.as_sockaddr_in() {
        return Some(Address { ip: IpAddr::V4(from.ip()), zone: 0 });
    }
    from.as_sockaddr_in6().map(|from| Address { ip: IpAddr::V6(from.ip()), zone: from.scope_id() })
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
        let show = |datagram, raw| NoSocket { version: Version::V6, datagram, raw }.to_string();
        let privilege = show(Errno::EACCES, Errno::EPERM);
        assert!(privilege.contains("sysctl net.ipv4.ping_group_range=") && privilege.contains("CAP_NET_RAW"));
        assert_eq!(show(Errno::EAFNOSUPPORT, Errno::EAFNOSUPPORT), "this host has no ipv6");
        let other = show(Errno::EPROTONOSUPPORT, Errno::EMFILE);
        assert_eq!(other, "no ipv6 ICMP socket: datagram: Protocol not supported, raw: Too many open files");
    }
}
