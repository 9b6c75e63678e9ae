//! Listening sockets: which are named, and how full their queues are. Pure.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ports::PortRange;
use super::socket::Socket;
use crate::config::yaml::{Field, Node, Problems, Value, Wrong, quote};

const CURE: &str = "write PORT, FIRST-LAST, 192.0.2.1:PORT or \"[2001:db8::1]:PORT\"; what ss shows as *:PORT is \"[::]:PORT\"";

/// Listening sockets that are looked at together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// As it is written: the label `listener`.
    pub text: String,
    /// The very address that they are bound to, one of IPv4 however it is written; `None`: whatever it is.
    address: Option<IpAddr>,
    /// Their ports.
    pub ports: PortRange,
}

impl Listener {
    fn parse(text: &str) -> Result<Self, Wrong> {
        let (address, ports) = match text.rsplit_once(':') {
            None => (None, text),
            Some((address, ports)) => (Some(self::address(address).ok_or_else(|| wrong(text))?), ports),
        };
        let ports = PortRange::parse(ports).map_err(|_| wrong(text))?;
        Ok(Self { text: text.to_owned(), address, ports })
    }

    /// Whether both name the same.
    pub fn is(&self, other: &Self) -> bool {
        self.address == other.address && self.ports == other.ports
    }

    /// Whether `socket`, which listens, is one of them.
    pub fn contains(&self, socket: &Socket) -> bool {
        self.ports.contains(socket.local_port)
            && self.address.is_none_or(|address| address == socket.local_ip().to_canonical())
    }
}

fn wrong(text: &str) -> Wrong {
    Wrong::new(format!("{} is not a place to listen", quote(text)), CURE)
}

/// An address as it stands before a port. IPv4 within IPv6 is IPv4: a socket of IPv6 that is bound to
/// ::ffff:127.0.0.1, as a JVM's, takes the very calls that one bound to 127.0.0.1 takes.
fn address(text: &str) -> Option<IpAddr> {
    match text.strip_prefix('[').and_then(|text| text.strip_suffix(']')) {
        Some(ipv6) => ipv6.parse::<Ipv6Addr>().ok().map(|ip| ip.to_canonical()),
        None => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
    }
}

impl Field for Listener {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        match &node.value {
            Value::Text(text) => Self::parse(text).map_err(|wrong| problems.report(node, wrong)).ok(),
            Value::Integer(_) => {
                let ports = PortRange::read(node, problems)?;
                Some(Self { text: ports.to_string(), address: None, ports })
            }
            other => {
                let message = format!("this is {}, where a place to listen is expected", other.kind());
                problems.report(node, Wrong::new(message, CURE));
                None
            }
        }
    }
}

/// What listens together, and what waits there.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Backlog {
    /// How many sockets listen.
    pub sockets: u32,
    /// Connections that wait to be accepted.
    pub queue: u64,
    /// The sum of the limits.
    pub limit: u64,
    /// How full the fullest queue is: of several that share a port, one may be and lose connections while the others
    /// are empty.
    pub fill: f64,
}

impl Backlog {
    /// Adds a listening socket.
    pub fn add(&mut self, socket: &Socket) {
        self.sockets = self.sockets.saturating_add(1);
        self.queue = self.queue.saturating_add(socket.queue.into());
        self.limit = self.limit.saturating_add(socket.limit.into());
        // A queue takes one more than its limit.
        self.fill = self.fill.max(f64::from(socket.queue) / (f64::from(socket.limit) + 1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::super::socket::{IpFamily, TcpState};
    use super::*;

    fn socket(family: IpFamily, address: &str, port: u16) -> Socket {
        let mut local_address = [0; 16];
        match address.parse().unwrap() {
            IpAddr::V4(ip) => local_address[..4].copy_from_slice(&ip.octets()),
            IpAddr::V6(ip) => local_address = ip.octets(),
        }
        Socket {
            family,
            state: TcpState::Listen,
            local_port: port,
            remote_port: 0,
            local_address,
            queue: 0,
            limit: 0,
        }
    }

    #[test]
    fn an_address_is_the_very_one() {
        let sockets = [
            socket(IpFamily::Ipv4, "0.0.0.0", 443),
            socket(IpFamily::Ipv6, "::", 443),
            socket(IpFamily::Ipv4, "127.0.0.1", 443),
            socket(IpFamily::Ipv6, "::ffff:127.0.0.1", 443),
            socket(IpFamily::Ipv6, "::1", 444),
        ];
        for (text, named) in [
            ("443", &[0, 1, 2, 3][..]),
            ("443-444", &[0, 1, 2, 3, 4]),
            ("0.0.0.0:443", &[0]),
            ("[::]:443", &[1]),
            ("127.0.0.1:443", &[2, 3]),
            ("127.0.0.1:400-500", &[2, 3]),
            ("[::ffff:127.0.0.1]:443", &[2, 3]),
            ("[0:0::1]:444", &[4]),
            ("[::1]:443", &[]),
        ] {
            let listener = Listener::parse(text).unwrap();
            let found: Vec<usize> =
                (0..sockets.len()).filter(|at| listener.contains(&sockets[*at])).collect();
            assert_eq!(found, named, "{text}");
        }
    }

    #[test]
    fn what_is_no_place_to_listen() {
        for text in [
            "",
            "x",
            "0",
            ":443",
            "*:443",
            "localhost:443",
            "::1:443",
            "[::1]443",
            "[::1]",
            "[127.0.0.1]:443",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:http",
            "127.0.1:443",
            "[fe80::1%eth0]:443",
            "[::1]:9-8",
        ] {
            assert!(Listener::parse(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn two_spellings_are_the_same_place() {
        let is = |a: &str, b: &str| Listener::parse(a).unwrap().is(&Listener::parse(b).unwrap());
        assert!(is("[::1]:53", "[0:0:0:0:0:0:0:1]:53"));
        assert!(is("127.0.0.1:53", "[::ffff:127.0.0.1]:53"));
        assert!(!is("[::1]:53", "[::2]:53") && !is("[::1]:53", "53") && !is("0.0.0.0:53", "[::]:53"));
    }

    #[test]
    fn the_fullest_queue_is_told_whatever_the_others_are() {
        let mut backlog = Backlog::default();
        for (queue, limit) in [(0, 4095), (3, 3), (1, 1)] {
            backlog.add(&Socket { queue, limit, ..socket(IpFamily::Ipv4, "0.0.0.0", 80) });
        }
        assert_eq!(backlog, Backlog { sockets: 3, queue: 4, limit: 4099, fill: 0.75 });
        // Room for one, and it is there.
        backlog.add(&Socket { queue: 1, limit: 0, ..socket(IpFamily::Ipv4, "0.0.0.0", 80) });
        assert_eq!(backlog.fill, 1.0);
    }
}
