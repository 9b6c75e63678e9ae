//! Counters that the test makes go up, as nstat tells them.

use std::net::TcpStream;
use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{Backlog, listen};

use super::*;

/// The counters by the names that nstat gives them, and ours.
const NAMES: [(&str, &str); 9] = [
    ("TcpExtListenOverflows", "netstat_tcp_listen_overflows_total"),
    ("TcpExtListenDrops", "netstat_tcp_listen_drops_total"),
    ("TcpOutSegs", "netstat_tcp_sent_segments_total"),
    ("TcpRetransSegs", "netstat_tcp_retransmitted_segments_total"),
    ("TcpExtTCPSynRetrans", "netstat_tcp_syn_retransmissions_total"),
    ("TcpExtTCPFastRetrans", "netstat_tcp_fast_retransmissions_total"),
    ("TcpExtTCPSlowStartRetrans", "netstat_tcp_slow_start_retransmissions_total"),
    ("TcpExtTCPLostRetransmit", "netstat_tcp_lost_retransmissions_total"),
    ("TcpExtTCPTimeouts", "netstat_tcp_timeouts_total"),
];

/// What nstat says, in that order; it writes no history.
fn nstat() -> [f64; 9] {
    let text = stdout("nstat", &["-asz"]);
    NAMES.map(|(name, _)| {
        let line = text.lines().find(|line| line.split_whitespace().next() == Some(name)).expect(name);
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    })
}

fn ours() -> [f64; 9] {
    let series = series("{totals: false, counters: true}");
    assert_eq!(series.len(), NAMES.len());
    NAMES.map(|(_, name)| series.value(name, &[]))
}

#[test]
fn overflows_and_segments_sent_again_are_counted() {
    in_fresh(|| {
        assert_eq!(ours(), [0.0; 9]);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listen(&listener.as_fd(), Backlog::new(0).unwrap()).unwrap();
        let place = listener.local_addr().unwrap();
        let _first = TcpStream::connect(place).unwrap();
        // Until the server has heard the end of the handshake, there is room for another.
        poll(&mut [PollFd::new(listener.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE).unwrap();
        // There is no room for a second: its SYN is dropped, and sent again after a second.
        let second = std::thread::spawn(move || TcpStream::connect(place));
        let limit = Instant::now() + TIMEOUT;
        while nstat()[4] == 0.0 {
            assert!(Instant::now() < limit, "{:?}", nstat());
            std::thread::sleep(Duration::from_millis(20));
        }
        // Both are asked until nothing happens in between.
        settles(&true, || {
            let before = nstat();
            let ours = ours();
            let is_quiet = nstat() == before;
            assert!(!is_quiet || ours == before, "{ours:?} where nstat says {before:?}");
            is_quiet
        });
        let [overflows, drops, sent, again, syns, .., timeouts] = ours();
        assert!(overflows >= 2.0 && drops >= overflows, "{overflows} {drops}");
        assert!(sent >= 3.0 && again >= 1.0 && syns >= 1.0 && timeouts >= 1.0, "{:?}", ours());
        let accepted = listener.accept().unwrap();
        second.join().unwrap().unwrap();
        drop(accepted);
    });
}

#[test]
fn counters_alone_need_no_list_of_sockets() {
    in_fresh(|| {
        let collection =
            collect("{totals: false, counters: true}", Instant::now(), &Stop::listen().unwrap()).unwrap();
        assert_eq!(collection.families.len(), NAMES.len(), "no time, and none was needed");
        assert_eq!(series("counters: true").len(), 23 + NAMES.len());
    });
}
