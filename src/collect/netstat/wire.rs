//! The bytes of a TCP socket dump: the request, and the kernel's answer down to counts. Pure.
//!
//! Sources: linux/netlink.h (messages), linux/sock_diag.h and linux/inet_diag.h (request and answer),
//! include/net/tcp_states.h (states), linux/socket.h (address families). Numbers are in the machine's own byte order.

use nix::errno::Errno;

use super::Error;

/// An address family of TCP sockets. An IPv6 socket that talks IPv4 (`::ffff:192.0.2.1`) is an IPv6 one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IpFamily {
    /// AF_INET.
    Ipv4,
    /// AF_INET6.
    Ipv6,
}

impl IpFamily {
    /// Both, in the order they are exposed.
    pub const ALL: [IpFamily; 2] = [IpFamily::Ipv4, IpFamily::Ipv6];

    /// Its word, as in the label `family`.
    pub fn word(self) -> &'static str {
        match self {
            IpFamily::Ipv4 => "ipv4",
            IpFamily::Ipv6 => "ipv6",
        }
    }

    /// AF_INET or AF_INET6.
    fn number(self) -> u8 {
        match self {
            IpFamily::Ipv4 => 2,
            IpFamily::Ipv6 => 10,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|family| family.number() == number)
    }
}

/// A state of RFC 9293, as the kernel and netstat name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpState {
    /// Open.
    Established,
    /// Connecting.
    SynSent,
    /// Being connected to.
    SynRecv,
    /// Closed here, not yet acknowledged.
    FinWait1,
    /// Closed here, open there.
    FinWait2,
    /// Closed on both sides, kept for late segments.
    TimeWait,
    /// Closed. The kernel shows none: it takes a closed socket off its tables.
    Close,
    /// Closed there, open here.
    CloseWait,
    /// Closed there, then here, not yet acknowledged.
    LastAck,
    /// Waiting for connections.
    Listen,
    /// Closed on both sides at once, not yet acknowledged.
    Closing,
}

impl TcpState {
    /// All of them, in the order of the kernel's numbers, which start at 1.
    pub const ALL: [TcpState; 11] = [
        TcpState::Established,
        TcpState::SynSent,
        TcpState::SynRecv,
        TcpState::FinWait1,
        TcpState::FinWait2,
        TcpState::TimeWait,
        TcpState::Close,
        TcpState::CloseWait,
        TcpState::LastAck,
        TcpState::Listen,
        TcpState::Closing,
    ];

    /// Its word, as in the label `state`.
    pub fn word(self) -> &'static str {
        match self {
            TcpState::Established => "established",
            TcpState::SynSent => "syn_sent",
            TcpState::SynRecv => "syn_recv",
            TcpState::FinWait1 => "fin_wait1",
            TcpState::FinWait2 => "fin_wait2",
            TcpState::TimeWait => "time_wait",
            TcpState::Close => "close",
            TcpState::CloseWait => "close_wait",
            TcpState::LastAck => "last_ack",
            TcpState::Listen => "listen",
            TcpState::Closing => "closing",
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        // TCP_NEW_SYN_RECV is how the kernel keeps the difference between a half-open connection and one of
        // TCP Fast Open to itself; to a reader both are SYN_RECV.
        let number = if number == NEW_SYN_RECV { 3 } else { number };
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

const NEW_SYN_RECV: u8 = 12;

/// The states asked for: 1 to 12, bit by number. Not 13, TCP_BOUND_INACTIVE (Linux 6.8): sockets that have a port but
/// neither listen nor connect; netstat doesn't show them, and they cost a walk of one more table.
const STATES: u32 = 0b1_1111_1111_1110;

/// How many TCP sockets there are, by family and state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts([[u32; TcpState::ALL.len()]; IpFamily::ALL.len()]);

impl Counts {
    /// Sockets of one family in one state.
    pub fn of(&self, family: IpFamily, state: TcpState) -> u32 {
        self.0.get(family as usize).and_then(|states| states.get(state as usize)).copied().unwrap_or(0)
    }

    /// Counts `n` more sockets.
    fn count(&mut self, family: IpFamily, state: TcpState, n: u32) {
        if let Some(count) = self.0.get_mut(family as usize).and_then(|states| states.get_mut(state as usize))
        {
            *count = count.saturating_add(n);
        }
    }
}

impl std::ops::Add for Counts {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        for family in IpFamily::ALL {
            for state in TcpState::ALL {
                self.count(family, state, other.of(family, state));
            }
        }
        self
    }
}

/// What to dump.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
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
/// Every dump has a socket of its own, so one number does.
const SEQUENCE: u32 = 1;

impl Request {
    /// The type of the request, and of the sockets in the answer.
    fn message_type(self) -> u16 {
        match self {
            Request::BothFamilies => 18,
            Request::OneFamily(_) => 20,
        }
    }

    /// The message to send. It asks for no extension (struct inet_diag_req and inet_diag_req_v2, `idiag_ext`).
    pub fn encode(self) -> Vec<u8> {
        let mut body = Vec::with_capacity(60);
        match self {
            // struct inet_diag_req: family, two prefix lengths and idiag_ext, the id, states, idiag_dbs.
            Request::BothFamilies => {
                body.extend([0; 4 + SOCKID]);
                body.extend(STATES.to_ne_bytes());
                body.extend([0; 4]);
            }
            // struct inet_diag_req_v2: family, protocol, idiag_ext, padding, states, the id.
            Request::OneFamily(family) => {
                body.extend([family.number(), IPPROTO_TCP, 0, 0]);
                body.extend(STATES.to_ne_bytes());
                body.extend([0; SOCKID]);
            }
        }
        // 0 is the kernel's port, and ours as long as the kernel hasn't given us one.
        message(self.message_type(), NLM_F_REQUEST | NLM_F_DUMP, 0, &body)
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
    counts: Counts,
}

impl Dump {
    /// A dump that `request` asked for from the netlink port `port`.
    pub fn new(request: Request, port: u32) -> Self {
        Self { kind: request.message_type(), port, counts: Counts::default() }
    }

    /// What was counted; the truth once [`read`](Self::read) has said [`Progress::Done`].
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Counts the sockets of one datagram.
    ///
    /// # Errors
    /// [`Error::Refused`] where the kernel answers with an error, [`Error::Interrupted`] where the dump must be
    /// repeated, [`Error::Malformed`] where the bytes are not what the kernel's headers promise. The dump is over
    /// then.
    pub fn read(&mut self, datagram: &[u8]) -> Result<Progress, Error> {
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
                    let (family, state) = socket(message.body).map_err(malformed)?;
                    self.counts.count(family, state, 1);
                }
                kind => return Err(malformed(format!("a message of the unexpected type {kind}"))),
            }
            rest = after;
        }
        Ok(Progress::More)
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

/// Family and state of a struct inet_diag_msg; its attributes don't matter here.
fn socket(body: &[u8]) -> Result<(IpFamily, TcpState), String> {
    let Some(([family, state, ..], _)) = body.split_first_chunk::<INET_DIAG_MSG>() else {
        return Err(format!("{} bytes, too few for a socket,", body.len()));
    };
    // What is not known can't be counted, and left out it would be a wrong number.
    let known = IpFamily::from_number(*family).zip(TcpState::from_number(*state));
    known.ok_or_else(|| format!("a socket of the unknown family {family} or state {state}"))
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
