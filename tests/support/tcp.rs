//! TCP sockets held in every state that a test can bring about and keep.

use std::any::Any;
use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::Command;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::{IpTransparent, RcvBuf};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, connect, listen, setsockopt, socket,
};

/// How many sockets there are, by the labels `family` and `state`; what is zero is left out.
pub type Counted = BTreeMap<(String, String), u32>;

/// The sockets, for as long as it lives, and how many of what there are.
#[derive(Default)]
pub struct Held {
    pub expected: Counted,
    sockets: Vec<Box<dyn Any>>,
}

/// One way to speak TCP over lo: where servers listen, whom clients call, and from where a client calls that can't be
/// answered.
struct Path {
    family: &'static str,
    listen: &'static str,
    call: &'static str,
    unreachable: &'static str,
}

const PATHS: [Path; 3] = [
    Path { family: "ipv4", listen: "127.0.0.1", call: "127.0.0.1", unreachable: "192.0.2.9" },
    Path { family: "ipv6", listen: "::1", call: "::1", unreachable: "2001:db8::9" },
    // IPv4 between IPv6 sockets, which netstat shows as tcp6.
    Path { family: "ipv6", listen: "::", call: "::ffff:127.0.0.1", unreachable: "::ffff:192.0.2.9" },
];

/// Brings about every state over IPv4, IPv6 and IPv4-mapped IPv6. For a namespace of its own (see
/// [`in_fresh`](super::netns::in_fresh)): it sets routes and looks at nothing else in there.
pub fn every_state() -> Held {
    // Answers to the unreachable addresses leave by a cable with no other end, from lo's own addresses.
    fs::write("/proc/sys/net/ipv4/conf/all/route_localnet", "1").unwrap();
    for args in [
        "link add sink type veth peer name drain",
        "link set sink up arp off",
        "-4 route add 192.0.2.0/24 dev sink",
        "-6 route add 2001:db8::/64 dev sink",
    ] {
        assert!(Command::new("ip").args(args.split(' ')).status().unwrap().success(), "ip {args}");
    }
    let mut held = Held::default();
    for path in &PATHS {
        held.opened(path);
        held.opening(path);
        held.half_closed(path);
        held.closing(path);
        held.closed(path);
        held.inactive(path);
    }
    held.both_families();
    held
}

impl Held {
    fn expect(&mut self, family: &str, state: &str) {
        *self.expected.entry((family.to_owned(), state.to_owned())).or_default() += 1;
    }

    fn keep(&mut self, socket: impl Any) {
        self.sockets.push(Box::new(socket));
    }

    fn listener(&mut self, path: &Path) -> TcpListener {
        self.expect(path.family, "listen");
        TcpListener::bind(address(path.listen, 0)).unwrap()
    }

    /// A client and its server, connected. The client takes no more than a few kB that it doesn't read.
    fn connection(&mut self, path: &Path) -> (TcpStream, TcpStream) {
        let listener = self.listener(path);
        let client = tcp_socket(path.call, SockFlag::empty());
        setsockopt(&client, RcvBuf, &4096).unwrap();
        connect(client.as_raw_fd(), &to(path.call, &listener)).unwrap();
        let (server, _) = listener.accept().unwrap();
        self.keep(listener);
        (TcpStream::from(client), server)
    }

    fn opened(&mut self, path: &Path) {
        let connection = self.connection(path);
        self.keep(connection);
        self.expect(path.family, "established");
        self.expect(path.family, "established");
    }

    fn opening(&mut self, path: &Path) {
        // A listener with room for one; the one is there, so the next call is not heard.
        let busy = self.listener(path);
        listen(&busy, Backlog::new(0).unwrap()).unwrap();
        let first = TcpStream::connect(address(path.call, port(&busy))).unwrap();
        self.expect(path.family, "established");
        poll(&mut [PollFd::new(busy.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
        self.expect(path.family, "established");
        let second = tcp_socket(path.call, SockFlag::SOCK_NONBLOCK);
        assert_eq!(connect(second.as_raw_fd(), &to(path.call, &busy)), Err(Errno::EINPROGRESS));
        self.expect(path.family, "syn_sent");
        self.keep((busy, first, second));

        // A client that the server hears but can't answer.
        let listener = self.listener(path);
        let client = tcp_socket(path.call, SockFlag::SOCK_NONBLOCK);
        setsockopt(&client, IpTransparent, &true).unwrap();
        bind(client.as_raw_fd(), &SockaddrStorage::from(address(path.unreachable, 0))).unwrap();
        assert_eq!(connect(client.as_raw_fd(), &to(path.call, &listener)), Err(Errno::EINPROGRESS));
        self.expect(path.family, "syn_sent");
        self.expect(path.family, "syn_recv");
        self.keep((listener, client));
    }

    fn half_closed(&mut self, path: &Path) {
        // Once with the client still there; once gone, which leaves the kernel a smaller entry of another kind.
        for gone in [false, true] {
            let (client, mut server) = self.connection(path);
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
            self.expect(path.family, "fin_wait2");
            self.expect(path.family, "close_wait");
            self.keep(server);
            if !gone {
                self.keep(client);
            }
        }
        let (client, mut server) = self.connection(path);
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        // The end of what is sent can't reach the client past all that it doesn't read.
        fill(&mut server);
        server.shutdown(Shutdown::Write).unwrap();
        self.expect(path.family, "fin_wait2");
        self.expect(path.family, "last_ack");
        self.keep((client, server));
    }

    fn closing(&mut self, path: &Path) {
        let (client, mut server) = self.connection(path);
        fill(&mut server);
        server.shutdown(Shutdown::Write).unwrap();
        self.expect(path.family, "fin_wait1");
        self.expect(path.family, "established");
        self.keep((client, server));

        let (client, mut server) = self.connection(path);
        fill(&mut server);
        server.shutdown(Shutdown::Write).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        self.expect(path.family, "closing");
        self.expect(path.family, "fin_wait2");
        self.keep((client, server));
    }

    fn closed(&mut self, path: &Path) {
        for _ in 0..4 {
            let (mut client, mut server) = self.connection(path);
            client.shutdown(Shutdown::Write).unwrap();
            assert_eq!(server.read(&mut [0]).unwrap(), 0);
            drop(server);
            assert_eq!(client.read(&mut [0]).unwrap(), 0);
            self.expect(path.family, "time_wait");
        }
    }

    /// Sockets that take no part: netstat doesn't show them.
    fn inactive(&mut self, path: &Path) {
        let bound = tcp_socket(path.listen, SockFlag::empty());
        bind(bound.as_raw_fd(), &SockaddrStorage::from(address(path.listen, 0))).unwrap();
        self.keep((bound, tcp_socket(path.listen, SockFlag::empty())));
    }

    /// An IPv4 client of an IPv6 server: each side is of its own family.
    fn both_families(&mut self) {
        let server = self.listener(&PATHS[2]);
        let client = TcpStream::connect(address("127.0.0.1", port(&server))).unwrap();
        let accepted = server.accept().unwrap();
        self.expect("ipv4", "established");
        self.expect("ipv6", "established");
        self.keep((server, client, accepted));
    }
}

/// Opens and closes `n` IPv4 connections: as many entries in TIME_WAIT for the next minute.
pub fn time_waits(n: u32) -> Held {
    let mut held = Held::default();
    let listener = held.listener(&PATHS[0]);
    for _ in 0..n {
        let mut client = TcpStream::connect(address("127.0.0.1", port(&listener))).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        drop(server);
        assert_eq!(client.read(&mut [0]).unwrap(), 0);
        held.expect("ipv4", "time_wait");
    }
    held.keep(listener);
    held
}

/// Writes until the kernel takes no more.
fn fill(stream: &mut TcpStream) {
    stream.set_nonblocking(true).unwrap();
    loop {
        match stream.write(&[0; 65536]) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => return,
            Err(error) => panic!("{error}"),
        }
    }
}

fn tcp_socket(ip: &str, flags: SockFlag) -> OwnedFd {
    let family = if ip.contains(':') { AddressFamily::Inet6 } else { AddressFamily::Inet };
    socket(family, SockType::Stream, flags | SockFlag::SOCK_CLOEXEC, None).unwrap()
}

fn address(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse::<IpAddr>().unwrap(), port)
}

fn to(ip: &str, listener: &TcpListener) -> SockaddrStorage {
    SockaddrStorage::from(address(ip, port(listener)))
}

fn port(listener: &TcpListener) -> u16 {
    listener.local_addr().unwrap().port()
}
