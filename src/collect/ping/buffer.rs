//! One packet from a socket, with what the kernel says of it.

use std::io::IoSliceMut;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::libc::sock_extended_err;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use nix::sys::time::TimeSpec;

use super::session::Address;

/// What one call received.
#[derive(Debug, Default)]
pub struct Received {
    /// Bytes of the packet.
    pub length: usize,
    /// Who sent it; of what is in the error queue, where it went.
    pub peer: Option<Address>,
    /// When the kernel received it, or it left, on the realtime clock, since the epoch.
    pub stamp: Option<Duration>,
    /// The hop limit it had left.
    pub hop_limit: Option<u8>,
    /// Of what is in the error queue, what it is (linux/errqueue.h).
    pub error: Option<sock_extended_err>,
}

/// Room for a packet and what the kernel says of it.
#[derive(Debug)]
pub struct Buffer {
    bytes: Vec<u8>,
    control: Vec<u8>,
}

impl Buffer {
    /// One for packets of at most `size` bytes.
    pub fn new(size: usize) -> Self {
        // SCM_TIMESTAMPNS, SCM_TIMESTAMPING, a hop limit; a sock_extended_err with the address of who sent the error.
        let control = nix::cmsg_space!(TimeSpec, [TimeSpec; 3], i32, [u8; 16 + 28]);
        Self { bytes: vec![0; size], control }
    }

    /// Receives one packet; `None` where none waits.
    ///
    /// # Errors
    /// The kernel's.
    pub fn receive(&mut self, fd: &OwnedFd, flags: MsgFlags) -> nix::Result<Option<Received>> {
        loop {
            let mut pieces = [IoSliceMut::new(&mut self.bytes)];
            let flags = flags | MsgFlags::MSG_DONTWAIT;
            let message =
                match recvmsg::<SockaddrStorage>(fd.as_raw_fd(), &mut pieces, Some(&mut self.control), flags)
                {
                    Ok(message) => message,
                    Err(Errno::EAGAIN) => return Ok(None),
                    Err(Errno::EINTR) => continue,
                    Err(error) => return Err(error),
                };
            let peer = message.address.as_ref().and_then(address);
            let mut received = Received { length: message.bytes, peer, ..Received::default() };
            for control in message.cmsgs().into_iter().flatten() {
                match control {
                    ControlMessageOwned::ScmTimestampns(at) => received.stamp = Some(Duration::from(at)),
                    ControlMessageOwned::Ipv4Ttl(hops) | ControlMessageOwned::Ipv6HopLimit(hops) => {
                        received.hop_limit = u8::try_from(hops).ok();
                    }
                    ControlMessageOwned::Ipv4RecvErr(error, _)
                    | ControlMessageOwned::Ipv6RecvErr(error, _) => {
                        received.error = Some(error);
                    }
                    _ => {}
                }
            }
            return Ok(Some(received));
        }
    }

    /// The packet that was received last.
    pub fn bytes(&self, received: &Received) -> &[u8] {
        self.bytes.get(..received.length).unwrap_or_default()
    }
}

fn address(from: &SockaddrStorage) -> Option<Address> {
    if let Some(from) = from.as_sockaddr_in() {
        return Some(Address { ip: IpAddr::V4(from.ip()), zone: 0 });
    }
    from.as_sockaddr_in6().map(|from| Address { ip: IpAddr::V6(from.ip()), zone: from.scope_id() })
}
