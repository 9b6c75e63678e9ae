//! A TCP socket as the kernel describes it: its address family, its state, its ports.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

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

    /// AF_INET or AF_INET6 (linux/socket.h).
    pub fn number(self) -> u8 {
        match self {
            IpFamily::Ipv4 => 2,
            IpFamily::Ipv6 => 10,
        }
    }

    /// That of AF_INET or AF_INET6.
    pub fn from_number(number: u8) -> Option<Self> {
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

    /// That of a kernel's number (include/net/tcp_states.h).
    pub fn from_number(number: u8) -> Option<Self> {
        // TCP_NEW_SYN_RECV is how the kernel keeps the difference between a half-open connection and one of
        // TCP Fast Open to itself; to a reader both are SYN_RECV.
        let number = if number == NEW_SYN_RECV { 3 } else { number };
        Self::ALL.get(usize::from(number).checked_sub(1)?).copied()
    }
}

const NEW_SYN_RECV: u8 = 12;

/// A set of states, bit by the kernel's number. Never 13, TCP_BOUND_INACTIVE (Linux 6.8): sockets that have a port but
/// neither listen nor connect; netstat doesn't show them, and they cost a walk of one more table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct States(u32);

impl States {
    /// No state.
    pub const NONE: States = States(0);
    /// All eleven.
    pub const ALL: States = States(0b1111_1111_1110);

    /// These and `state`.
    #[must_use]
    pub fn with(self, state: TcpState) -> Self {
        Self(self.0 | Self::bit(state))
    }

    /// These without `state`.
    #[must_use]
    pub fn without(self, state: TcpState) -> Self {
        Self(self.0 & !Self::bit(state))
    }

    /// Whether `state` is one of them.
    pub fn contains(self, state: TcpState) -> bool {
        self.0 & Self::bit(state) != 0
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self == Self::NONE
    }

    /// Each of them, in the order of [`TcpState::ALL`].
    pub fn iter(self) -> impl Iterator<Item = TcpState> {
        TcpState::ALL.into_iter().filter(move |state| self.contains(*state))
    }

    /// The bits of `idiag_states` that ask for them.
    pub fn mask(self) -> u32 {
        let half_open = if self.contains(TcpState::SynRecv) { 1 << NEW_SYN_RECV } else { 0 };
        self.0 | half_open
    }

    fn bit(state: TcpState) -> u32 {
        2 << state as u32
    }
}

/// What is read of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Socket {
    /// Its address family.
    pub family: IpFamily,
    /// Its state.
    pub state: TcpState,
    /// Its own port.
    pub local_port: u16,
    /// The other side's port; 0 of a listening socket.
    pub remote_port: u16,
    /// Its own address: the first 4 bytes are an IPv4 one.
    pub local_address: [u8; 16],
    /// Of a listening socket, the connections that wait to be accepted.
    pub queue: u32,
    /// Of a listening socket, its backlog limit: a queue that is longer is full (`sk_acceptq_is_full`, net/sock.h).
    pub limit: u32,
}

impl Socket {
    /// Its own address.
    pub fn local_ip(&self) -> IpAddr {
        let [a, b, c, d, ..] = self.local_address;
        match self.family {
            IpFamily::Ipv4 => Ipv4Addr::new(a, b, c, d).into(),
            IpFamily::Ipv6 => Ipv6Addr::from(self.local_address).into(),
        }
    }
}
