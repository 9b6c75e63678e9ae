//! How probes are sent: what is set on a socket before it is used.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::net::if_::if_nametoindex;
use nix::sys::socket::{SockaddrStorage, TimestampingFlag, bind, setsockopt, sockopt};

use super::packet::Version;

/// What a packet may take up in a socket's buffer, the kernel's own bookkeeping included.
const PACKET_ROOM: usize = 4096;
/// The largest buffer that is asked for. It is taken only as far as it fills.
const MOST_ROOM: usize = 64 << 20;

/// How probes are sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Bytes of a probe after its ICMP header.
    pub size: usize,
    /// TTL, or hop limit; `None`: the host's own.
    pub ttl: Option<u8>,
    /// Differentiated services codepoint (RFC 2474).
    pub dscp: u8,
    /// The addresses they come from, at most one of each version, with the interface's name for a link-local one; of a
    /// version without one, the kernel chooses.
    pub sources: Vec<(IpAddr, Option<String>)>,
    /// The interface they leave by and replies come in by.
    pub interface: Option<String>,
    /// Whether the kernel tells when each has left.
    pub tx_timestamps: bool,
}

impl Default for Settings {
    fn default() -> Self {
        // As many bytes as ping(8) sends.
        Self { size: 56, ttl: None, dscp: 0, sources: Vec::new(), interface: None, tx_timestamps: false }
    }
}

/// What could not be set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unset {
    /// What probes can't do.
    pub what: String,
    /// Why.
    pub error: Errno,
    /// What to do, to be put behind it.
    pub cure: &'static str,
}

impl Settings {
    /// Sets all of it on a socket of `version`, and gives it room for `replies` unread replies.
    ///
    /// # Errors
    /// What could not be set.
    pub fn apply(
        &self,
        fd: &OwnedFd,
        version: Version,
        is_datagram: bool,
        replies: usize,
    ) -> Result<(), Unset> {
        let refused = |error| Unset { what: "be sent".to_owned(), error, cure: "" };
        make_room(fd, replies, self.size).map_err(refused)?;
        hear(fd, version, is_datagram, self.tx_timestamps).map_err(refused)?;
        set_ways(fd, version, self)
    }
}

/// Makes room for so many replies with `size` bytes.
fn make_room(fd: &OwnedFd, replies: usize, size: usize) -> nix::Result<()> {
    let packet = PACKET_ROOM.saturating_add(size.saturating_mul(2));
    let room = replies.saturating_mul(packet).clamp(1 << 20, MOST_ROOM);
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

/// Has the kernel tell what it knows of each packet. A raw socket hears ICMP errors like anything else, but only with its
/// own way of telling them does one of IPv4 learn that the interface's queue was full (`raw_sendmsg`, net/ipv4/raw.c).
fn hear(fd: &OwnedFd, version: Version, is_datagram: bool, tx_timestamps: bool) -> nix::Result<()> {
    setsockopt(fd, sockopt::ReceiveTimestampns, &true)?;
    if tx_timestamps {
        // With the packet itself: numbers in their place (SOF_TIMESTAMPING_OPT_ID) skip some where sends fail.
        let left =
            TimestampingFlag::SOF_TIMESTAMPING_TX_SOFTWARE | TimestampingFlag::SOF_TIMESTAMPING_SOFTWARE;
        setsockopt(fd, sockopt::Timestamping, &left)?;
    }
    match version {
        Version::V4 => {
            setsockopt(fd, sockopt::Ipv4RecvTtl, &true)?;
            setsockopt(fd, sockopt::Ipv4RecvErr, &true)
        }
        Version::V6 => {
            setsockopt(fd, sockopt::Ipv6RecvHopLimit, &true)?;
            setsockopt(fd, sockopt::Ipv6RecvErr, &is_datagram)
        }
    }
}

/// Sets how probes leave.
fn set_ways(fd: &OwnedFd, version: Version, settings: &Settings) -> Result<(), Unset> {
    let refused = |what: String, cure| move |error| Unset { what, error, cure };
    let class = i32::from(settings.dscp) << 2;
    if class != 0 {
        let set = match version {
            Version::V4 => setsockopt(fd, sockopt::Ipv4Tos, &class),
            Version::V6 => setsockopt(fd, sockopt::Ipv6TClass, &class),
        };
        set.map_err(refused(format!("have the DSCP {}", settings.dscp), "; remove `dscp`"))?;
    }
    if let Some(ttl) = settings.ttl.map(i32::from) {
        let set = match version {
            Version::V4 => setsockopt(fd, sockopt::Ipv4Ttl, &ttl),
            Version::V6 => setsockopt(fd, sockopt::Ipv6Ttl, &ttl),
        };
        set.map_err(refused(format!("have the TTL {ttl}"), "; remove `ttl`"))?;
    }
    if let Some(interface) = &settings.interface {
        let set = setsockopt(fd, sockopt::BindToDevice, &OsString::from(interface));
        set.map_err(refused(
            format!("leave by {interface}"),
            "; is there such an interface? `ip link` shows them",
        ))?;
    }
    let source = settings.sources.iter().find(|(ip, _)| Version::of(*ip) == version);
    if let Some((ip, interface)) = source {
        const CURE: &str = "; is it this host's? `ip address` shows those it has";
        let zone = interface.as_deref().map_or(Ok(0), if_nametoindex);
        let bound = zone.and_then(|zone| {
            let from = match ip {
                IpAddr::V4(ip) => SocketAddr::V4(SocketAddrV4::new(*ip, 0)),
                IpAddr::V6(ip) => SocketAddr::V6(SocketAddrV6::new(*ip, 0, 0, zone)),
            };
            bind(fd.as_raw_fd(), &SockaddrStorage::from(from))
        });
        bound.map_err(refused(format!("come from {ip}"), CURE))?;
    }
    Ok(())
}
