//! The bytes of a TCP socket dump: the request, and the kernel's answer down to sockets. Pure.
//!
//! Sources: linux/netlink.h (messages), linux/sock_diag.h and linux/inet_diag.h (request and answer). Numbers are in the
//! machine's own byte order, ports and addresses of sockets in the network's.

use nix::errno::Errno;

use super::Error;
use super::filter::Filter;
use super::socket::{IpFamily, Socket, States, TcpState};

/// What to dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Request<'a> {
    /// By which type of request.
    pub walk: Walk,
    /// Sockets in these states.
    pub states: States,
    /// The ports of the sockets; `None`: any.
    pub filter: Option<&'a Filter>,
}

/// How the kernel walks its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walk {
    /// Both families in one walk of the kernel's tables: TCPDIAG_GETSOCK, the older type of request, whose family
    /// the kernel doesn't read.
    BothFamilies,
    /// One family: SOCK_DIAG_BY_FAMILY (Linux 3.3).
    OneFamily(IpFamily),
}

// Types and flags of messages: linux/netlink.h.
const NLMSG_NOOP: u16 = 1;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSG_OVERRUN: u16 = 4;
const NLM_F_REQUEST: u16 = 0x1;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_DUMP: u16 = 0x300;

/// Bytes of a struct nlmsghdr: length, type, flags, sequence number, port.
const HEADER: usize = 16;
/// Bytes of a struct inet_diag_sockid; all zeros in a request: any socket.
const SOCKID: usize = 48;
/// Bytes of a struct inet_diag_msg, before its attributes.
const INET_DIAG_MSG: usize = 72;
/// Bytes of a struct nlmsgerr: the error number and the header of what it is about.
const NLMSGERR: usize = 4 + HEADER;
const IPPROTO_TCP: u8 = 6;
const INET_DIAG_REQ_BYTECODE: u16 = 1;
/// Every dump has a socket of its own, so one number does.
const SEQUENCE: u32 = 1;

impl Walk {
    /// The type of the request, and of the sockets in the answer.
    fn message_type(self) -> u16 {
        match self {
            Walk::BothFamilies => 18,
            Walk::OneFamily(_) => 20,
        }
    }
}

impl Request<'_> {
    /// The message to send. It asks for no extension (struct inet_diag_req and inet_diag_req_v2, `idiag_ext`).
    pub fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(60);
        match self.walk {
            // struct inet_diag_req: family, two prefix lengths and idiag_ext, the id, states, idiag_dbs.
            Walk::BothFamilies => {
                body.extend([0; 4 + SOCKID]);
                body.extend(self.states.mask().to_ne_bytes());
                body.extend([0; 4]);
            }
            // struct inet_diag_req_v2: family, protocol, idiag_ext, padding, states, the id.
            Walk::OneFamily(family) => {
                body.extend([family.number(), IPPROTO_TCP, 0, 0]);
                body.extend(self.states.mask().to_ne_bytes());
                body.extend([0; SOCKID]);
            }
        }
        // struct nlattr: length with itself, type; after it what it holds, in whole words.
        if let Some(filter) = self.filter {
            let length = u16::try_from(4 + filter.bytes().len()).unwrap_or(u16::MAX);
            body.extend(length.to_ne_bytes());
            body.extend(INET_DIAG_REQ_BYTECODE.to_ne_bytes());
            body.extend(filter.bytes());
        }
        // 0 is the kernel's port, and ours as long as the kernel hasn't given us one.
        message(self.walk.message_type(), NLM_F_REQUEST | NLM_F_DUMP, 0, &body)
    }
}

/// A message with its header; `body` must be whole in words of four bytes and short.
fn message(kind: u16, flags: u16, port: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(SEQUENCE.to_ne_bytes());
    bytes.extend(port.to_ne_bytes());
    bytes.extend(body);
    bytes
}

/// Whether a dump has come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// More datagrams follow.
    More,
    /// That was all of it.
    Done,
}

/// A dump while its datagrams come in.
#[derive(Debug)]
pub struct Dump {
    kind: u16,
    port: u32,
    recent: Recent,
}

impl Dump {
    /// A dump that `request` asked for from the netlink port `port`.
    pub fn new(request: &Request<'_>, port: u32) -> Self {
        Self { kind: request.walk.message_type(), port, recent: Recent::default() }
    }

    /// Hands the sockets of one datagram to `each`, but none again that came just before: all of them have come once it
    /// has said [`Progress::Done`].
    ///
    /// # Errors
    /// [`Error::Refused`] where the kernel answers with an error, [`Error::Interrupted`] where the dump must be
    /// repeated, [`Error::Malformed`] where the bytes are not what the kernel's headers promise. The dump is over
    /// then.
    pub fn read(&mut self, datagram: &[u8], each: &mut impl FnMut(&Socket)) -> Result<Progress, Error> {
        if datagram.is_empty() {
            return Err(Error::Malformed("an empty datagram".into()));
        }
        let mut rest = datagram;
        while !rest.is_empty() {
            let at = datagram.len() - rest.len();
            let malformed = |what: String| Error::Malformed(format!("{what} at byte {at}"));
            let (message, after) = Message::split(rest).map_err(malformed)?;
            if message.port != self.port || message.sequence != SEQUENCE {
                return Err(malformed(format!(
                    "an answer to port {} and request {}, not to port {} and request {SEQUENCE},",
                    message.port, message.sequence, self.port
                )));
            }
            if message.flags & NLM_F_DUMP_INTR != 0 {
                return Err(Error::Interrupted("sockets changed while they were listed"));
            }
            match message.kind {
                NLMSG_NOOP => {}
                NLMSG_OVERRUN => return Err(Error::Interrupted("the kernel lost part of the list")),
                NLMSG_DONE => {
                    return match status(message.body, size_of::<i32>()).map_err(malformed)? {
                        Status::Good => Ok(Progress::Done),
                        Status::Refused(errno) => Err(Error::Refused("list TCP sockets", errno)),
                    };
                }
                NLMSG_ERROR => {
                    return Err(match status(message.body, NLMSGERR).map_err(malformed)? {
                        Status::Good => malformed("an acknowledgement that nobody asked for".into()),
                        Status::Refused(errno) => Error::Refused("list TCP sockets", errno),
                    });
                }
                kind if kind == self.kind => {
                    let (socket, cookie) = socket(message.body).map_err(malformed)?;
                    if self.recent.is_new(cookie) {
                        each(&socket);
                    }
                }
                kind => return Err(malformed(format!("a message of the unexpected type {kind}"))),
            }
            rest = after;
        }
        Ok(Progress::More)
    }
}

/// The sockets that were read last, by their cookies.
///
/// Where a datagram is full in the middle of a chain of its hash table, the kernel goes on at the same place by number.
/// Each socket that was put into the chain meanwhile, at its head, pushes one over that place that then comes again. Each
/// that was taken out of it lets one slip past, which nobody can see from here.
#[derive(Debug, Default)]
struct Recent {
    cookies: [u64; 16],
    oldest: usize,
}

impl Recent {
    /// Whether `cookie` is of none of them; it is one of them from now on.
    fn is_new(&mut self, cookie: u64) -> bool {
        // What was never set, and INET_DIAG_NOCOOKIE of linux/inet_diag.h.
        if cookie == 0 || cookie == u64::MAX {
            return true;
        }
        if self.cookies.contains(&cookie) {
            return false;
        }
        if let Some(place) = self.cookies.get_mut(self.oldest) {
            *place = cookie;
        }
        self.oldest = (self.oldest + 1) % self.cookies.len();
        true
    }
}

/// One message of a datagram.
struct Message<'a> {
    kind: u16,
    flags: u16,
    sequence: u32,
    port: u32,
    body: &'a [u8],
}

impl<'a> Message<'a> {
    /// The first message of `bytes`, and what follows it.
    fn split(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), String> {
        let Some((header, _)) = bytes.split_first_chunk::<HEADER>() else {
            return Err(format!("{} bytes, too few for a message,", bytes.len()));
        };
        let [l0, l1, l2, l3, k0, k1, f0, f1, s0, s1, s2, s3, p0, p1, p2, p3] = *header;
        let length = u32::from_ne_bytes([l0, l1, l2, l3]);
        let found = usize::try_from(length).ok().and_then(|length| {
            let body = bytes.get(HEADER..length)?;
            // The kernel pads every message to a whole number of words, the last one too.
            let after = bytes.get(length.checked_next_multiple_of(4)?..)?;
            Some((body, after))
        });
        let Some((body, after)) = found else {
            return Err(format!("a message of {length} bytes where {} are left", bytes.len()));
        };
        let message = Message {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            sequence: u32::from_ne_bytes([s0, s1, s2, s3]),
            port: u32::from_ne_bytes([p0, p1, p2, p3]),
            body,
        };
        Ok((message, after))
    }
}

/// A struct inet_diag_msg and its cookie; its attributes don't matter here. Queue and limit of a listening socket stand where others
/// have the bytes they have received and sent (`tcp_diag_get_info`, net/ipv4/tcp_diag.c).
fn socket(body: &[u8]) -> Result<(Socket, u64), String> {
    let short = || format!("{} bytes, too few for a socket,", body.len());
    let mut rest = body.get(..INET_DIAG_MSG).ok_or_else(short)?;
    let fields = &mut rest;
    let [family, state, _timer, _retransmits] = take(fields).ok_or_else(short)?;
    // What is not known can't be counted, and left out it would be a wrong number.
    let known = IpFamily::from_number(family).zip(TcpState::from_number(state));
    let (family, state) =
        known.ok_or_else(|| format!("a socket of the unknown family {family} or state {state}"))?;
    let mut read = || {
        let (local_port, remote_port) = (take(fields)?, take(fields)?);
        let local_address = take(fields)?;
        let (_remote_address, _interface): ([u8; 16], [u8; 4]) = (take(fields)?, take(fields)?);
        let (cookie, _expires): (_, [u8; 4]) = (take(fields)?, take(fields)?);
        let (queue, limit) = (take(fields)?, take(fields)?);
        let socket = Socket {
            family,
            state,
            local_port: u16::from_be_bytes(local_port),
            remote_port: u16::from_be_bytes(remote_port),
            local_address,
            queue: u32::from_ne_bytes(queue),
            limit: u32::from_ne_bytes(limit),
        };
        Some((socket, u64::from_ne_bytes(cookie)))
    };
    read().ok_or_else(short)
}

/// The next `N` bytes.
fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

/// What NLMSG_DONE and NLMSG_ERROR begin with: 0, or an errno with a minus sign.
enum Status {
    Good,
    Refused(Errno),
}

/// Reads the status of a body of at least `size` bytes.
fn status(body: &[u8], size: usize) -> Result<Status, String> {
    let Some((number, _)) = body.split_first_chunk().filter(|_| body.len() >= size) else {
        return Err(format!("{} bytes, too few for a status,", body.len()));
    };
    match i32::from_ne_bytes(*number) {
        0 => Ok(Status::Good),
        number @ -4095..=-1 => Ok(Status::Refused(Errno::from_raw(-number))),
        number => Err(format!("the impossible status {number}")),
    }
}

#[cfg(test)]
mod tests;
