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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PORT: u32 = 3863;

    /// What Linux 6.18 answered to `Request::BothFamilies` on port 3863, both datagrams: listeners on 127.0.0.1:8080
    /// and [::]:8081, an IPv4 connection in CLOSE_WAIT and FIN_WAIT1, an IPv4-mapped one in TIME_WAIT.
    const SOCKETS: &str = "
        7c0000001200020001000000170f0000020a00001f9000007f000001000000000000000000000000000000000000000000000000
        00000000000000000b000000000000000000000000000000800000000000000012520100050008000000000008000f0000000000
        0c00150001000000000000000600160052000000
        840000001200020001000000170f00000a0a00001f91000000000000000000000000000000000000000000000000000000000000
        00000000000000000c0000000000000000000000000000008000000000000000fe4d0100050008000000000005000b0000000000
        08000f00000000000c00150001000000000000000600160012000000
        7c0000001200020001000000170f0000020800001f90ee0c7f0000010000000000000000000000007f0000010000000000000000
        00000000000000000d0000000000000000000000000000000000000000000000fd4d0100050008000100000008000f0000000000
        0c00150001000000000000000600160052000000
        7c0000001200020001000000170f000002040100ee0c1f907f0000010000000000000000000000007f0000010000000000000000
        00000000000000000e00000000000000cc00000000000000010000000000000000000000050008000300000008000f0000000000
        0c00150001000000000000000600160052000000
        600000001200020001000000170f00000a06030099341f9100000000000000000000ffff7f00000100000000000000000000ffff
        7f000001000000000f0000000000000060ea00000000000000000000000000000000000008000f0000000000";
    const DONE: &str = "140000000300020001000000170f000000000000";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(pair).collect()
    }

    fn read(datagram: &[u8]) -> Result<(Progress, Counts), Error> {
        let mut dump = Dump::new(Request::BothFamilies, PORT);
        dump.read(datagram).map(|progress| (progress, dump.counts()))
    }

    fn malformed(datagram: &[u8]) -> String {
        match read(datagram) {
            Err(Error::Malformed(what)) => what,
            other => panic!("{other:?} for {datagram:02x?}"),
        }
    }

    fn counts(sockets: &[(IpFamily, TcpState)]) -> Counts {
        let mut counts = Counts::default();
        for (family, state) in sockets {
            counts.count(*family, *state, 1);
        }
        counts
    }

    fn message_to_us(kind: u16, body: &[u8]) -> Vec<u8> {
        message(kind, 2, PORT, body)
    }

    fn socket_message(family: u8, state: u8) -> Vec<u8> {
        let mut body = [0; INET_DIAG_MSG];
        (body[0], body[1]) = (family, state);
        message_to_us(18, &body)
    }

    fn status_message(kind: u16, number: i32, size: usize) -> Vec<u8> {
        let mut body = number.to_ne_bytes().to_vec();
        body.resize(size, 0);
        message_to_us(kind, &body)
    }

    #[test]
    #[cfg(target_endian = "little")]
    fn a_kernels_answer() {
        let mut dump = Dump::new(Request::BothFamilies, PORT);
        assert_eq!(dump.read(&bytes(SOCKETS)), Ok(Progress::More));
        assert_eq!(dump.read(&bytes(DONE)), Ok(Progress::Done));
        let expected = [
            (IpFamily::Ipv4, TcpState::Listen),
            (IpFamily::Ipv4, TcpState::CloseWait),
            (IpFamily::Ipv4, TcpState::FinWait1),
            (IpFamily::Ipv6, TcpState::Listen),
            (IpFamily::Ipv6, TcpState::TimeWait),
        ];
        assert_eq!(dump.counts(), counts(&expected));
    }

    #[test]
    fn requests_are_what_the_headers_say() {
        let both = Request::BothFamilies.encode();
        assert_eq!(both.len(), 16 + 60);
        assert_eq!(both[0..4], 76_u32.to_ne_bytes());
        assert_eq!(both[4..6], 18_u16.to_ne_bytes());
        assert_eq!(both[6..8], 0x301_u16.to_ne_bytes());
        assert_eq!(both[68..72], 0x1ffe_u32.to_ne_bytes());
        let ipv6 = Request::OneFamily(IpFamily::Ipv6).encode();
        assert_eq!(ipv6.len(), 16 + 56);
        assert_eq!(ipv6[4..6], 20_u16.to_ne_bytes());
        assert_eq!(ipv6[16..20], [10, 6, 0, 0]);
        assert_eq!(ipv6[20..24], 0x1ffe_u32.to_ne_bytes());
    }

    #[test]
    fn every_state_has_its_number() {
        for (number, state) in (1..).zip(TcpState::ALL) {
            for (family_number, family) in [(2, IpFamily::Ipv4), (10, IpFamily::Ipv6)] {
                let read = read(&socket_message(family_number, number));
                assert_eq!(read, Ok((Progress::More, counts(&[(family, state)]))));
            }
        }
        let half_open = read(&socket_message(2, 12));
        assert_eq!(half_open, Ok((Progress::More, counts(&[(IpFamily::Ipv4, TcpState::SynRecv)]))));
    }

    #[test]
    fn what_is_unknown_is_not_left_out_silently() {
        for (family, state) in [(2, 0), (2, 13), (2, 255), (0, 1), (1, 1), (255, 1)] {
            let said = malformed(&socket_message(family, state));
            assert_eq!(said, format!("a socket of the unknown family {family} or state {state} at byte 0"));
        }
        assert_eq!(malformed(&message_to_us(20, &[0; 72])), "a message of the unexpected type 20 at byte 0");
    }

    #[test]
    fn a_datagram_cut_anywhere_is_refused_unless_between_messages() {
        let whole = [socket_message(2, 1), socket_message(10, 10), status_message(NLMSG_DONE, 0, 4)].concat();
        assert_eq!(read(&whole).unwrap().0, Progress::Done);
        for length in 0..whole.len() {
            match length {
                88 | 176 => assert_eq!(read(&whole[..length]).unwrap().0, Progress::More),
                _ => _ = malformed(&whole[..length]),
            }
        }
    }

    #[test]
    fn a_message_whose_own_length_is_short_is_refused() {
        let lengths = |message: Vec<u8>, longest: u32| {
            for length in 0..longest {
                let mut message = message.clone();
                // Cut with it, so that nothing but the body's own length is wrong.
                message.truncate((length.next_multiple_of(4) as usize).max(HEADER));
                message[..4].copy_from_slice(&length.to_ne_bytes());
                malformed(&message);
            }
        };
        lengths(socket_message(2, 1), 88);
        lengths(status_message(NLMSG_DONE, 0, 4), 20);
        lengths(status_message(NLMSG_ERROR, -2, 20), 36);
    }

    #[test]
    fn a_length_beyond_the_datagram_is_refused() {
        for length in [89, 92, 1 << 16, u32::MAX - 3, u32::MAX] {
            let mut message = socket_message(2, 1);
            message[..4].copy_from_slice(&length.to_ne_bytes());
            assert_eq!(
                malformed(&message),
                format!("a message of {length} bytes where 88 are left at byte 0")
            );
        }
    }

    #[test]
    fn the_kernels_errors_are_refusals() {
        let refused = |errno| Err(Error::Refused("list TCP sockets", errno));
        assert_eq!(read(&status_message(NLMSG_ERROR, -2, 20)), refused(Errno::ENOENT));
        // What a dump meets on its way stands in its last message.
        assert_eq!(read(&status_message(NLMSG_DONE, -1, 4)), refused(Errno::EPERM));
        assert!(malformed(&status_message(NLMSG_ERROR, 0, 20)).contains("acknowledgement"));
        for number in [1, i32::MAX, i32::MIN, -4096] {
            assert!(malformed(&status_message(NLMSG_DONE, number, 4)).contains("impossible status"));
            assert!(malformed(&status_message(NLMSG_ERROR, number, 20)).contains("impossible status"));
        }
    }

    #[test]
    fn an_answer_to_somebody_else_is_refused() {
        let mut other_port = socket_message(2, 1);
        other_port[12] ^= 1;
        assert!(malformed(&other_port).starts_with("an answer to port "));
        let mut other_sequence = socket_message(2, 1);
        other_sequence[8] ^= 1;
        assert!(malformed(&other_sequence).starts_with("an answer to port "));
    }

    #[test]
    fn an_interrupted_list_is_told_apart() {
        for mut message in [socket_message(2, 1), status_message(NLMSG_DONE, 0, 4)] {
            let flags = NLM_F_DUMP_INTR | 2;
            message[6..8].copy_from_slice(&flags.to_ne_bytes());
            assert!(matches!(read(&message), Err(Error::Interrupted(_))));
        }
        assert!(matches!(read(&message_to_us(NLMSG_OVERRUN, &[])), Err(Error::Interrupted(_))));
    }

    #[test]
    fn noops_and_padding_are_passed_over() {
        // A body that ends within a word, then its padding.
        let mut odd = message_to_us(18, &[0; 76]);
        (odd[16], odd[17]) = (2, 1);
        odd[..4].copy_from_slice(&89_u32.to_ne_bytes());
        let datagram = [message_to_us(NLMSG_NOOP, &[]), odd, socket_message(10, 1)].concat();
        let expected =
            counts(&[(IpFamily::Ipv4, TcpState::Established), (IpFamily::Ipv6, TcpState::Established)]);
        assert_eq!(read(&datagram), Ok((Progress::More, expected)));
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(datagram in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read(&datagram);
        }

        #[test]
        fn a_few_wrong_bytes_never_panic(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        ) {
            let mut datagram = bytes(SOCKETS);
            datagram.extend(bytes(DONE));
            for (at, byte) in changes {
                let at = at.index(datagram.len());
                datagram[at] = byte;
            }
            let _ = read(&datagram);
        }

        #[test]
        fn the_sum_is_the_number_of_sockets(
            sockets in proptest::collection::vec((prop::sample::select(vec![2_u8, 10]), 1_u8..=12), 1..300),
        ) {
            let datagram: Vec<u8> = sockets.iter().flat_map(|(family, state)| socket_message(*family, *state)).collect();
            let (_, counts) = read(&datagram).unwrap();
            let of = |family| TcpState::ALL.into_iter().map(|state| counts.of(family, state)).sum::<u32>() as usize;
            prop_assert_eq!(of(IpFamily::Ipv4), sockets.iter().filter(|(family, _)| *family == 2).count());
            prop_assert_eq!(of(IpFamily::Ipv4) + of(IpFamily::Ipv6), sockets.len());
        }
    }
}
