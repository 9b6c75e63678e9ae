//! The netlink socket: asks the kernel for its TCP sockets and hands the answer to [`wire`](super::wire).

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Instant;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, getsockname, recvmsg, sendto,
    socket,
};

use super::Error;
use super::socket::Socket;
use super::wire::{Dump, Progress, Request};
use crate::collect::stop::Stop;

/// Bytes of a receive buffer. The kernel sends no larger datagram in a dump (`netlink_recvmsg` in
/// net/netlink/af_netlink.c), and the fewer there are the cheaper it is.
pub const BUFFER: usize = 32 * 1024;

/// Runs one dump and hands each socket to `each`, in the network namespace of the calling thread, on a socket of its own: what is left of a dump that
/// failed goes away with it.
///
/// # Errors
/// [`Error::Refused`] names the step that the kernel refused, [`Error::TimedOut`] is `deadline` reached,
/// [`Error::Stopped`] is `stop` raised; for the others see [`Dump::read`].
pub fn dump(
    request: &Request<'_>,
    deadline: Instant,
    stop: &Stop,
    buffer: &mut [u8],
    each: &mut impl FnMut(&Socket),
) -> Result<(), Error> {
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)
            .map_err(|errno| Error::Refused("open a NETLINK_SOCK_DIAG socket", errno))?;
    let kernel = NetlinkAddr::new(0, 0);
    sendto(socket.as_raw_fd(), &request.encode(), &kernel, MsgFlags::empty())
        .map_err(|errno| Error::Refused("ask for TCP sockets", errno))?;
    // Sending gave the socket its port.
    let own: NetlinkAddr = getsockname(socket.as_raw_fd())
        .map_err(|errno| Error::Refused("learn the port of a netlink socket", errno))?;
    let mut dump = Dump::new(request, own.pid());
    loop {
        wait(&socket, deadline, stop)?;
        if let Some(datagram) = receive(&socket, buffer)?
            && dump.read(datagram, each)? == Progress::Done
        {
            return Ok(());
        }
    }
}

/// Returns when there may be something to receive.
fn wait(socket: &OwnedFd, deadline: Instant, stop: &Stop) -> Result<(), Error> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::TimedOut);
        }
        let mut fds =
            [PollFd::new(stop.as_fd(), PollFlags::POLLIN), PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
        match poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX)) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => {
                let [stop, _] = fds;
                return if stop.any() == Some(true) { Err(Error::Stopped) } else { Ok(()) };
            }
            Err(errno) => return Err(Error::Refused("wait for TCP sockets", errno)),
        }
    }
}

/// The next datagram; `None` where there is none yet or somebody other than the kernel sent it.
fn receive<'b>(socket: &OwnedFd, buffer: &'b mut [u8]) -> Result<Option<&'b [u8]>, Error> {
    let mut parts = [IoSliceMut::new(buffer)];
    let received = recvmsg::<NetlinkAddr>(socket.as_raw_fd(), &mut parts, None, MsgFlags::MSG_DONTWAIT);
    let (length, sender, flags) = match received {
        Ok(received) => (received.bytes, received.address, received.flags),
        Err(Errno::EAGAIN | Errno::EINTR) => return Ok(None),
        Err(Errno::ENOBUFS | Errno::ENOMEM) => {
            return Err(Error::Interrupted("the kernel was short of memory for its answer"));
        }
        Err(errno) => return Err(Error::Refused("receive TCP sockets", errno)),
    };
    if sender.is_none_or(|sender| sender.pid() != 0) {
        return Ok(None);
    }
    if flags.contains(MsgFlags::MSG_TRUNC) {
        return Err(Error::Malformed(format!("a datagram longer than {length} bytes")));
    }
    Ok(buffer.get(..length))
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::sockopt::RcvBuf;
    use nix::sys::socket::{bind, setsockopt};

    use super::*;

    /// Programs may send to each other's sockets of this protocol, as root may of any. It hears what is sent to
    /// `groups`, bit by bit.
    fn user_socket(groups: u32) -> (OwnedFd, NetlinkAddr) {
        let flags = SockFlag::SOCK_CLOEXEC;
        let socket =
            socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkUserSock).unwrap();
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups)).unwrap();
        let address = getsockname(socket.as_raw_fd()).unwrap();
        (socket, address)
    }

    #[test]
    fn what_the_kernel_did_not_send_is_dropped() {
        let (ours, address) = user_socket(0);
        let (theirs, _) = user_socket(0);
        sendto(theirs.as_raw_fd(), b"a forged list of sockets", &address, MsgFlags::empty()).unwrap();
        let waiting = |limit: u8| {
            let mut fds = [PollFd::new(ours.as_fd(), PollFlags::POLLIN)];
            poll(&mut fds, PollTimeout::from(limit)).unwrap()
        };
        assert_eq!(waiting(255), 1);
        assert_eq!(receive(&ours, &mut [0; 100]), Ok(None));
        // It was received, not left there.
        assert_eq!(waiting(0), 0);
    }

    /// The kernel tells so of what it sends itself, and of what goes to a group.
    #[test]
    fn a_list_that_finds_no_room_is_interrupted() {
        const GROUP: u32 = 1 << 7;
        let (ours, _) = user_socket(GROUP);
        setsockopt(&ours, RcvBuf, &1).unwrap();
        let (theirs, _) = user_socket(0);
        for _ in 0..20 {
            // It goes to the kernel too, which has no such socket.
            let sent = sendto(theirs.as_raw_fd(), &[0; 1000], &NetlinkAddr::new(0, GROUP), MsgFlags::empty());
            assert_eq!(sent, Err(Errno::ECONNREFUSED));
        }
        let short = Error::Interrupted("the kernel was short of memory for its answer");
        assert_eq!(receive(&ours, &mut [0; 2000]), Err(short));
        // That it has said once; what found room is still there.
        assert_eq!(receive(&ours, &mut [0; 2000]), Ok(None));
    }
}
