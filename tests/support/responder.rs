//! Answers echo requests in place of the kernel, as a test says.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{self, IoSliceMut, PipeWriter};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrStorage, bind,
    recvmsg, sendto, setsockopt, socket, sockopt,
};

/// One reply to a request.
#[derive(Debug, Clone, Copy)]
pub struct Reply {
    /// How long after the request it is sent; never earlier.
    pub delay: Duration,
    /// What is wrong with it.
    pub change: Change,
}

/// What is wrong with a reply. Its checksum is always right.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    /// Nothing.
    None,
    /// One bit of the last byte of the payload is flipped.
    Payload,
    /// The payload is one byte short.
    Cut,
    /// The identifier is another.
    Id,
    /// The sequence number is another.
    Sequence,
    /// It comes from this address, which must be one of the loopback's.
    Source(IpAddr),
}

impl Reply {
    /// A good reply at once.
    pub const GOOD: Reply = Reply { delay: Duration::ZERO, change: Change::None };

    /// A good reply after `delay`.
    pub fn after(delay: Duration) -> Self {
        Reply { delay, ..Reply::GOOD }
    }

    /// A reply at once, changed.
    pub fn changed(change: Change) -> Self {
        Reply { change, ..Reply::GOOD }
    }
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    pub target: IpAddr,
    pub source: IpAddr,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// The byte of the differentiated services and of ECN.
    pub class: u8,
    /// The ICMP message.
    pub message: Vec<u8>,
}

/// Answers all echo requests to addresses of this network namespace, in place of the kernel, until it is dropped.
pub struct Responder {
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
    requests: Receiver<Request>,
}

impl Responder {
    /// Starts in the current network namespace, which must be the test's own. `policy` says how a request to a target
    /// is answered; the number counts the requests to that target, from 0.
    pub fn start(policy: impl FnMut(IpAddr, u32) -> Vec<Reply> + Send + 'static) -> Self {
        for silent in ["ipv4/icmp_echo_ignore_all", "ipv6/icmp/echo_ignore_all"] {
            fs::write(format!("/proc/sys/net/{silent}"), "1").unwrap();
        }
        let sockets = [raw(AddressFamily::Inet), raw(AddressFamily::Inet6)];
        setsockopt(&sockets[0], sockopt::Ipv4PacketInfo, &true).unwrap();
        setsockopt(&sockets[1], sockopt::Ipv6RecvPacketInfo, &true).unwrap();
        setsockopt(&sockets[1], sockopt::Ipv6RecvHopLimit, &true).unwrap();
        setsockopt(&sockets[1], sockopt::Ipv6RecvTClass, &true).unwrap();
        for socket in &sockets {
            setsockopt(socket, sockopt::RcvBufForce, &(64 << 20)).unwrap();
        }
        let (stopped, stop) = io::pipe().unwrap();
        let (log, requests) = channel();
        let thread = thread::spawn(move || serve(&sockets, &stopped, &log, policy));
        Self { stop: Some(stop), thread: Some(thread), requests }
    }

    /// The requests that have come since it was asked last.
    pub fn requests(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        if !thread::panicking() {
            ended.expect("the responder");
        }
    }
}

fn raw(family: AddressFamily) -> OwnedFd {
    let protocol = match family {
        AddressFamily::Inet => SockProtocol::Icmp,
        _ => SockProtocol::IcmpV6,
    };
    socket(family, SockType::Raw, SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK, protocol)
        .expect("a raw socket needs root")
}

/// A message that is to be sent, from where to where.
struct Outgoing {
    from: IpAddr,
    to: SockaddrStorage,
    message: Vec<u8>,
}

fn serve(
    sockets: &[OwnedFd; 2],
    stopped: &impl AsFd,
    log: &Sender<Request>,
    mut policy: impl FnMut(IpAddr, u32) -> Vec<Reply>,
) {
    let mut seen: HashMap<IpAddr, u32> = HashMap::new();
    let mut senders: HashMap<IpAddr, OwnedFd> = HashMap::new();
    let mut waiting: BTreeMap<(Instant, u64), Outgoing> = BTreeMap::new();
    let mut number = 0;
    loop {
        for socket in sockets {
            while let Some((to, request)) = receive(socket) {
                let now = Instant::now();
                let count = seen.entry(request.target).or_default();
                for reply in policy(request.target, *count) {
                    number += 1;
                    waiting.insert((now + reply.delay, number), answer(to, &request, reply.change));
                }
                *count += 1;
                log.send(request).unwrap();
            }
        }
        while let Some(next) = waiting.first_entry()
            && next.key().0 <= Instant::now()
        {
            let out = next.remove();
            let sender = senders.entry(out.from).or_insert_with(|| sender(out.from));
            sendto(sender.as_raw_fd(), &out.message, &out.to, MsgFlags::empty()).unwrap();
        }
        let wait = match waiting.first_key_value() {
            Some(((at, _), _)) => {
                let left = at.saturating_duration_since(Instant::now());
                PollTimeout::try_from(left.as_millis() + u128::from(!left.is_zero())).unwrap()
            }
            None => PollTimeout::NONE,
        };
        let mut fds = [
            PollFd::new(stopped.as_fd(), PollFlags::empty()),
            PollFd::new(sockets[0].as_fd(), PollFlags::POLLIN),
            PollFd::new(sockets[1].as_fd(), PollFlags::POLLIN),
        ];
        poll(&mut fds, wait).unwrap();
        if fds[0].any().unwrap_or(true) {
            return;
        }
    }
}

/// The next echo request, and who is to be answered.
fn receive(socket: &OwnedFd) -> Option<(SockaddrStorage, Request)> {
    loop {
        let mut bytes = vec![0; 1 << 16];
        let mut control = nix::cmsg_space!(nix::libc::in6_pktinfo, i32, i32);
        let mut pieces = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::empty();
        let received =
            recvmsg::<SockaddrStorage>(socket.as_raw_fd(), &mut pieces, Some(&mut control), flags).ok()?;
        let (mut target, mut hop_limit, mut class) = (None, 0, 0);
        for message in received.cmsgs().unwrap() {
            match message {
                ControlMessageOwned::Ipv4PacketInfo(info) => {
                    target = Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
                }
                ControlMessageOwned::Ipv6PacketInfo(info) => {
                    target = Some(IpAddr::from(info.ipi6_addr.s6_addr));
                }
                ControlMessageOwned::Ipv6HopLimit(hops) => hop_limit = hops as u8,
                ControlMessageOwned::Ipv6TClass(byte) => class = byte as u8,
                _ => {}
            }
        }
        let (length, from, target) = (received.bytes, received.address.unwrap(), target.unwrap());
        let (message, request, source) = match target {
            IpAddr::V4(_) => {
                (hop_limit, class) = (bytes[8], bytes[1]);
                let source = IpAddr::V4(from.as_sockaddr_in().unwrap().ip());
                (&bytes[usize::from(bytes[0] & 15) * 4..length], 8, source)
            }
            IpAddr::V6(_) => (&bytes[..length], 128, IpAddr::V6(from.as_sockaddr_in6().unwrap().ip())),
        };
        if message[0] == request {
            return Some((from, Request { target, source, hop_limit, class, message: message.to_vec() }));
        }
    }
}

fn answer(to: SockaddrStorage, request: &Request, change: Change) -> Outgoing {
    let target = request.target;
    let mut message = request.message.clone();
    let mut from = target;
    message[0] = if target.is_ipv4() { 0 } else { 129 };
    match change {
        Change::None => {}
        Change::Payload => *message.last_mut().unwrap() ^= 0x40,
        Change::Cut => message.truncate(message.len() - 1),
        Change::Id => message[5] ^= 1,
        Change::Sequence => message[7] ^= 1,
        Change::Source(other) => from = other,
    }
    if target.is_ipv4() {
        // RFC 1071. That of ICMPv6 is the kernel's.
        message[2..4].fill(0);
        let mut sum: u32 = message
            .chunks(2)
            .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
            .sum();
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        message[2..4].copy_from_slice(&(!(sum as u16)).to_be_bytes());
    }
    Outgoing { from, to, message }
}

/// A socket that sends from `address` and hears little.
fn sender(address: IpAddr) -> OwnedFd {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = raw(family);
    bind(socket.as_raw_fd(), &SockaddrStorage::from(SocketAddr::new(address, 0))).unwrap();
    socket
}
