//! Sockets that stay are counted exactly while others come and go.

use std::fs;
use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::*;

/// Runs `body` in a fresh namespace whose hash table of connections has so many chains, whatever the machine's has.
fn in_fresh_with_chains<T: Send>(chains: u32, body: impl FnOnce() -> T + Send) -> T {
    in_fresh(|| {
        // Of the namespaces that this one makes.
        fs::write("/proc/sys/net/ipv4/tcp_child_ehash_entries", chains.to_string())
            .expect("this test needs Linux 6.1");
        in_fresh(|| {
            let found = fs::read_to_string("/proc/sys/net/ipv4/tcp_ehash_entries").unwrap();
            assert_eq!(found.trim(), chains.to_string());
            body()
        })
    })
}

/// So many connections to `listener`.
fn connections(listener: &TcpListener, n: usize) -> Vec<(TcpStream, TcpStream)> {
    let place = listener.local_addr().unwrap();
    let one = || (TcpStream::connect(place).unwrap(), listener.accept().unwrap().0);
    std::iter::repeat_with(one).take(n).collect()
}

/// Connects and closes until told to end, and counts its connects. Each leaves one side in TIME_WAIT; there is room for
/// some thousands of these, older ones give way.
fn churn(end: &AtomicBool, connects: &AtomicU64) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place: SocketAddr = listener.local_addr().unwrap();
    while !end.load(Ordering::Relaxed) {
        let client = TcpStream::connect(place).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        assert_eq!(server.read(&mut [0]).unwrap(), 0);
        connects.fetch_add(1, Ordering::Relaxed);
    }
}

/// Ends the churn, however the test ends.
struct Ends<'a>(&'a AtomicBool);

impl Drop for Ends<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn under_churn_no_socket_that_stays_is_missed_or_counted_twice() {
    const STATIC: usize = 2000;
    const DUMPS: u32 = 60;
    const CONNECTS: u64 = 20_000;
    in_fresh_with_chains(1 << 20, || {
        fs::write("/proc/sys/net/ipv4/tcp_max_tw_buckets", "5000").unwrap();
        let listener = TcpListener::bind("127.0.0.1:500").unwrap();
        let _held = connections(&listener, STATIC);
        let (end, connects) = (AtomicBool::new(false), AtomicU64::new(0));
        thread::scope(|scope| {
            let _ends = Ends(&end);
            for _ in 0..4 {
                scope.spawn(|| churn(&end, &connects));
            }
            let (mut dumps, mut churned, start) = (0, 0, Instant::now());
            // As many dumps as are wanted, and more until there have been as many connects while they went on.
            while dumps < DUMPS || churned < CONNECTS {
                let before = connects.load(Ordering::Relaxed);
                let series = series("{local_ports: [500], remote_ports: [500], listeners: [500]}");
                churned += connects.load(Ordering::Relaxed) - before;
                for side in ["local", "remote"] {
                    let name = format!("netstat_tcp_{side}_port_connections");
                    let labels = [("port", "500"), ("family", "ipv4"), ("state", "established")];
                    assert_eq!(series.value(&name, &labels), STATIC as f64, "{side}, dump {dumps}");
                }
                assert_eq!(series.value("netstat_tcp_listen_sockets", &[("listener", "500")]), 1.0);
                let all =
                    series.value("netstat_tcp_connections", &[("family", "ipv4"), ("state", "established")]);
                assert!(all >= 2.0 * STATIC as f64, "{all}");
                dumps += 1;
            }
            let rate = connects.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64();
            eprintln!("{dumps} dumps, {churned} connects meanwhile, {rate:.0} a second in all");
        });
    });
}

/// With one chain for all, each that opens while the kernel has sent a part of it pushes one over the place where it
/// goes on.
#[test]
fn what_the_kernel_sends_again_is_counted_once() {
    const STATIC: usize = 1000;
    in_fresh_with_chains(1, || {
        let listener = TcpListener::bind("127.0.0.1:500").unwrap();
        let other = TcpListener::bind("127.0.0.1:501").unwrap();
        let _held = connections(&listener, STATIC);
        let mut opened = Vec::new();
        let mut counted = 0;
        let request = Request { walk: Walk::BothFamilies, states: States::ALL, filter: None };
        let mut each = |socket: &Socket| {
            // The first datagrams are there.
            if opened.is_empty() {
                opened = connections(&other, 5);
            }
            if socket.state == TcpState::Established && [socket.local_port, socket.remote_port].contains(&500)
            {
                counted += 1;
            }
        };
        dump(&request, Instant::now() + TIMEOUT, &Stop::listen().unwrap(), &mut [0; BUFFER], &mut each)
            .unwrap();
        assert_eq!(counted, 2 * STATIC);
    });
}
