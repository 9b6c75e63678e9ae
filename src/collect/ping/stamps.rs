//! Whether the kernel stamps what it receives.

use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, bind, getsockname, sendto, setsockopt, socket,
    sockopt,
};

use super::buffer::Buffer;
use super::session::Moment;
use crate::collect::stop::Stop;

/// Waits until the kernel stamps what it receives. It begins to some time after the first socket has asked for it
/// (`net_enable_timestamp`, net/core/dev.c), and until then tells when a packet was read instead: such a stamp is no
/// earlier than the reading. A packet to ourselves tells them apart; without a loopback, nobody can.
pub fn await_stamps(limit: Duration, stop: &Stop) {
    const STEP: Duration = Duration::from_millis(1);
    let until = Instant::now() + limit;
    while let Ok(false) = stamps_are_on()
        && Instant::now() < until
        && !stop.wait(STEP)
    {}
}

fn stamps_are_on() -> nix::Result<bool> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Inet, SockType::Datagram, flags, None)?;
    setsockopt(&fd, sockopt::ReceiveTimestampns, &true)?;
    bind(fd.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0))?;
    let own: SockaddrIn = getsockname(fd.as_raw_fd())?;
    sendto(fd.as_raw_fd(), &[0], &own, MsgFlags::MSG_DONTWAIT)?;
    let before = Moment::now().realtime;
    let received = Buffer::new(1).receive(&fd, MsgFlags::empty())?;
    let received = received.ok_or(Errno::EAGAIN)?;
    Ok(received.stamp.is_some_and(|stamp| stamp < before))
}
