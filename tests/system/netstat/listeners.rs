//! Accept queues, filled by the test, as ss tells them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{Ipv6V6Only, ReusePort};
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, SockaddrStorage, bind, connect, listen, setsockopt, socket,
};

use super::*;

/// Sockets that listen, their queues and limits, and how full the fullest is.
type Queues = [f64; 4];

fn ours(series: &Series, listener: &str) -> Queues {
    ["sockets", "queue_connections", "queue_limit_connections", "queue_fill_ratio"]
        .map(|name| series.value(&format!("netstat_tcp_listen_{name}"), &[("listener", listener)]))
}

/// The same of what `filter` names, by ss: Recv-Q and Send-Q.
fn theirs(filter: &str) -> Queues {
    let mut found = [0.0; 4];
    for line in stdout("ss", &["-H", "-tln", filter]).lines() {
        let number = |column| line.split_whitespace().nth(column).unwrap().parse::<f64>().unwrap();
        let (queue, limit) = (number(1), number(2));
        found = [found[0] + 1.0, found[1] + queue, found[2] + limit, found[3].max(queue / (limit + 1.0))];
    }
    found
}

fn listening(address: &str, backlog: i32) -> TcpListener {
    let address: SocketAddr = address.parse().unwrap();
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let socket = socket(family, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).unwrap();
    setsockopt(&socket, ReusePort, &true).unwrap();
    if address.is_ipv6() && address.ip().is_unspecified() {
        setsockopt(&socket, Ipv6V6Only, &true).unwrap();
    }
    bind(socket.as_raw_fd(), &SockaddrStorage::from(address)).unwrap();
    listen(&socket, Backlog::new(backlog).unwrap()).unwrap();
    socket.into()
}

/// Calls without waiting for an answer.
fn call(address: SocketAddr) -> OwnedFd {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let client = socket(family, SockType::Stream, flags, None).unwrap();
    assert_eq!(connect(client.as_raw_fd(), &SockaddrStorage::from(address)), Err(Errno::EINPROGRESS));
    client
}

#[test]
fn a_queue_is_told_until_it_is_full_and_one_beyond_its_limit() {
    in_fresh(|| {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let listener = listening(address, 3);
            let place = listener.local_addr().unwrap();
            let (port, section) = (place.port(), format!("{{totals: false, listeners: [{}]}}", place.port()));
            let mut clients = Vec::new();
            for (queue, fill) in [(0.0, 0.0), (1.0, 0.25), (2.0, 0.5), (3.0, 0.75), (4.0, 1.0)] {
                settles(&[1.0, queue, 3.0, fill], || ours(&series(&section), &port.to_string()));
                assert_eq!(theirs(&format!("sport = :{port}")), [1.0, queue, 3.0, fill]);
                clients.push(call(place));
            }
            // The last call is not heard.
            assert_eq!(ours(&series(&section), &port.to_string()), [1.0, 4.0, 3.0, 1.0]);
            // Nor is it sent again, once there is room.
            drop(clients.pop());
            let accepted = listener.accept().unwrap();
            assert_eq!(ours(&series(&section), &port.to_string()), [1.0, 3.0, 3.0, 0.75]);
            drop((clients, accepted));
        }
    });
}

#[test]
fn of_several_that_share_a_port_the_fullest_is_told() {
    in_fresh(|| {
        let narrow = listening("127.0.0.1:0", 0);
        let place = narrow.local_addr().unwrap();
        let wide = listening(&place.to_string(), 1000);
        // The kernel spreads them by their ports.
        let mut clients = Vec::new();
        let filter = format!("sport = :{}", place.port());
        while theirs(&filter)[3] < 1.0 {
            assert!(clients.len() < 200, "all 200 went to one of two");
            clients.push(call(place));
        }
        let section = format!("{{listeners: [{}, '{place}']}}", place.port());
        settles(&theirs(&filter), || ours(&series(&section), &place.port().to_string()));
        let found = ours(&series(&section), &place.to_string());
        assert_eq!(found, theirs(&filter));
        let [sockets, queue, limit, fill] = found;
        assert_eq!((sockets, limit, fill), (2.0, 1000.0, 1.0));
        assert!((1.0..=200.0).contains(&queue), "{queue}");
        drop((wide, clients));
    });
}

#[test]
fn an_address_names_just_the_sockets_bound_to_it() {
    in_fresh(|| {
        let all = ["127.0.0.1", "127.0.0.2", "[::1]", "[::ffff:127.0.0.3]", "0.0.0.0", "[::]"];
        let held: Vec<TcpListener> =
            (1..).zip(all).map(|(backlog, ip)| listening(&format!("{ip}:8080"), backlog)).collect();
        let _other = listening("127.0.0.1:8081", 100);
        let entries: Vec<String> = all.iter().map(|ip| format!("{ip}:8080")).collect();
        let section = format!(
            "{{totals: false, listeners: [8080, 8080-8081, '127.0.0.1:8000-8100', '127.0.0.9:8080', {}]}}",
            entries.iter().map(|entry| format!("'{entry}'")).collect::<Vec<_>>().join(", ")
        );
        let series = series(&section);
        for (backlog, entry) in (1..).zip(&entries) {
            assert_eq!(ours(&series, entry), [1.0, 0.0, f64::from(backlog), 0.0], "{entry}");
        }
        assert_eq!(ours(&series, "8080"), [6.0, 0.0, 21.0, 0.0]);
        assert_eq!(ours(&series, "8080"), theirs("sport = :8080"));
        assert_eq!(ours(&series, "8080-8081"), [7.0, 0.0, 121.0, 0.0]);
        assert_eq!(ours(&series, "127.0.0.1:8000-8100"), [2.0, 0.0, 101.0, 0.0]);
        assert_eq!(ours(&series, "127.0.0.9:8080"), [0.0; 4]);
        drop(held);
    });
}

/// As JVMs bind, unless they are told not to.
#[test]
fn an_ipv4_address_names_the_ipv6_socket_that_is_bound_to_it() {
    in_fresh(|| {
        let listener = listening("[::ffff:127.0.0.1]:0", 3);
        let place = listener.local_addr().unwrap();
        assert!(place.is_ipv6(), "{place}");
        let port = place.port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        settles(&[1.0, 1.0, 3.0, 0.25], || theirs(&format!("sport = :{port}")));
        for address in ["127.0.0.1", "[::ffff:127.0.0.1]"] {
            let entry = format!("{address}:{port}");
            let section =
                format!("{{listeners: ['{entry}', '127.0.0.2:{port}', '0.0.0.0:{port}', '[::]:{port}']}}");
            let series = series(&section);
            assert_eq!(ours(&series, &entry), [1.0, 1.0, 3.0, 0.25]);
            for other in ["127.0.0.2", "0.0.0.0", "[::]"] {
                assert_eq!(ours(&series, &format!("{other}:{port}")), [0.0; 4], "{other}");
            }
        }
        drop(client);
    });
}

/// One socket for both families, which takes calls of IPv4 too.
#[test]
fn a_service_of_both_families_is_named_as_ss_shows_it() {
    in_fresh(|| {
        let listener = TcpListener::bind("[::]:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let filter = format!("sport = :{port}");
        settles(&1.0, || theirs(&filter)[1]);
        assert!(stdout("ss", &["-H", "-tln", &filter]).contains(&format!(" *:{port} ")));
        let series = series(&format!("{{listeners: [{port}, '[::]:{port}', '0.0.0.0:{port}']}}"));
        for entry in [port.to_string(), format!("[::]:{port}")] {
            assert_eq!(ours(&series, &entry), theirs(&filter), "{entry}");
        }
        assert_eq!(ours(&series, &format!("0.0.0.0:{port}")), [0.0; 4]);
        drop(client);
    });
}

/// A connection of the same port is none of them, whatever waits in its queues.
#[test]
fn only_what_listens_is_a_listener() {
    in_fresh(|| {
        let listener = listening("127.0.0.1:0", 5);
        let place = listener.local_addr().unwrap();
        let client = TcpStream::connect(place).unwrap();
        let (server, _) = listener.accept().unwrap();
        std::io::Write::write_all(&mut &client, &[0; 1000]).unwrap();
        drop(listener);
        let sections = ["", ", local_ports: [PORT]"].map(|more| {
            format!("{{totals: false, listeners: [PORT]{more}}}").replace("PORT", &place.port().to_string())
        });
        for section in sections {
            assert_eq!(ours(&series(&section), &place.port().to_string()), [0.0; 4]);
        }
        drop((client, server));
    });
}
