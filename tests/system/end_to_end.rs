//! A number's whole way: from the kernel's sockets through promdrop and node_exporter to Prometheus, compared at every
//! step with what the test built and with what netstat says.
//!
//! Sockets, netstat and promdrop live in a network namespace of their own, the servers outside, so that no scrape adds
//! a socket; only the textfile directory is common to both.

use std::collections::BTreeMap;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use crate::support::exporter::Exporter;
use crate::support::host::Host;
use crate::support::netns::in_fresh;
use crate::support::prometheus::Prometheus;
use crate::support::series::Series;
use crate::support::{need, wait_for};

/// How long Prometheus, which scrapes every second, may take to notice something.
const NOTICES: Duration = Duration::from_secs(30);

#[test]
fn node_exporter_1_5_0_serves_the_kernels_numbers() {
    serves_the_kernels_numbers("1.5.0");
}

#[test]
fn node_exporter_1_9_0_serves_the_kernels_numbers() {
    serves_the_kernels_numbers("1.9.0");
}

fn serves_the_kernels_numbers(version: &str) {
    let host = Host::new();
    host.collector("netstat", "module: netstat\ninterval: 15s\n")
        .collector("ping", "module: ping\nping: {count: 3, spacing: 10ms, targets: [127.0.0.1, '::1']}\n")
        .collector(
            "script",
            "module: command\n\
             command: {shell: 'netstat -an | grep -i wait | wc -l', output: {format: value, name: script_waits}}\n",
        );
    let (host, waits) = in_fresh(move || {
        let _sockets = Sockets::build();
        let waits = seed_line();
        host.run_well(&["netstat", "ping", "script"]);
        (host, waits)
    });

    let exporter = Exporter::start(version, &host.textfile_dir());
    let served = exporter.scrape();
    for (family, state, count) in BUILT {
        let labels = [("family", family), ("state", state)];
        let count = f64::from(count);
        assert_eq!(served.value("netstat_tcp_connections", &labels), count, "{family} {state}");
    }
    assert_eq!(served.value("count_netstat_wait_connections", &[]), waits);
    assert_eq!(served.value("script_waits", &[]), waits);
    for (address, family) in [("127.0.0.1", "ipv4"), ("::1", "ipv6")] {
        // The kernel answers here. RESPONDER: ask `Responder::start` for known loss and delay instead and compare.
        let labels = [("target", address), ("address", address), ("family", family)];
        assert_eq!(served.value("ping_packets_sent_total", &labels), 3.0);
        assert_eq!(served.value("ping_packets_received_total", &labels), 3.0);
        assert_eq!(served.value("ping_loss_ratio", &labels), 0.0);
    }
    for stem in ["netstat", "ping", "script"] {
        assert_serves_all_of(&served, &host, stem);
    }
    lives_and_dies_with_its_host(exporter, waits);
}

/// That node_exporter serves each series of the file of `stem`, and complains of none.
#[track_caller]
pub fn assert_serves_all_of(served: &Series, host: &Host, stem: &str) {
    let published = host.published(stem);
    assert_eq!(published.value("promdrop_collector_success", &[("collector", stem)]), 1.0);
    assert_eq!(published.missing_in(served), [], "series of {stem}.prom that are not served");
    assert_eq!(served.value("node_textfile_scrape_error", &[]), 0.0);
    let path = host.textfile_dir().join(format!("{stem}.prom"));
    assert!(served.get("node_textfile_mtime_seconds", &[("file", path.to_str().unwrap())]).is_some());
    let inconsistent = [("cause", "gathering")];
    assert_eq!(served.value("promhttp_metric_handler_errors_total", &inconsistent), 0.0);
}

/// That Prometheus has the number under this host's name, loses it with the host's node_exporter, and has it back.
fn lives_and_dies_with_its_host(exporter: Exporter, waits: f64) {
    const METRIC: &str = "count_netstat_wait_connections";
    const UP: &str = "up{job=\"node\"}";
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let name = name.trim();
    let prometheus = Prometheus::start(exporter.port(), name);

    let there = prometheus.await_query(METRIC, NOTICES, |points| !points.is_empty());
    assert_eq!(there.len(), 1, "{there:#?}");
    assert_eq!((there[0].label("instance"), there[0].label("job"), there[0].value), (name, "node", waits));
    assert_eq!(prometheus.query(UP)[0].value, 1.0);

    let stopped = exporter.stop();
    prometheus.await_query(UP, NOTICES, |points| points[0].value == 0.0);
    // Stale at once: Prometheus's look-back of 5 minutes, by far longer than this waits, shows no last value.
    prometheus.await_query(METRIC, NOTICES, |points| points.is_empty());

    let _exporter = stopped.start_again();
    prometheus.await_query(UP, NOTICES, |points| points[0].value == 1.0);
    let back = prometheus.await_query(METRIC, NOTICES, |points| !points.is_empty());
    assert_eq!(back[0].value, waits);
}

/// The line that promdrop replaces, as its user wrote it.
fn seed_line() -> f64 {
    need("netstat");
    let output = Command::new("sh").args(["-c", "netstat -an | grep -i wait | wc -l"]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

/// What [`Sockets::build`] makes: family, state, how many. No two states of a family are alike, but for zeros.
const BUILT: [(&str, &str, u32); 22] = [
    ("ipv4", "established", 6),
    ("ipv4", "syn_sent", 0),
    ("ipv4", "syn_recv", 0),
    ("ipv4", "fin_wait1", 0),
    ("ipv4", "fin_wait2", 5),
    ("ipv4", "time_wait", 4),
    ("ipv4", "close", 0),
    ("ipv4", "close_wait", 2),
    ("ipv4", "last_ack", 0),
    ("ipv4", "listen", 1),
    ("ipv4", "closing", 0),
    ("ipv6", "established", 8),
    ("ipv6", "syn_sent", 0),
    ("ipv6", "syn_recv", 0),
    ("ipv6", "fin_wait1", 0),
    ("ipv6", "fin_wait2", 1),
    ("ipv6", "time_wait", 7),
    ("ipv6", "close", 0),
    ("ipv6", "close_wait", 4),
    ("ipv6", "last_ack", 0),
    ("ipv6", "listen", 2),
    ("ipv6", "closing", 0),
];

/// Sockets held in known states.
#[derive(Default)]
struct Sockets {
    listeners: Vec<TcpListener>,
    streams: Vec<TcpStream>,
}

impl Sockets {
    /// Builds them, and returns once netstat sees them all.
    fn build() -> Self {
        need("netstat");
        let mut sockets = Self::default();
        sockets.connect(Ipv4Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into(), [3, 2, 4]);
        sockets.connect(Ipv6Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into(), [4, 1, 7]);
        // From IPv4 to a socket of both families: its end counts as IPv6.
        sockets.connect(Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::LOCALHOST.into(), [0, 3, 0]);
        wait_for(Duration::from_secs(10), "netstat sees what was built", || {
            let (seen, built) = (netstat(), built());
            if seen == built { Ok(()) } else { Err((seen, built)) }
        });
        sockets
    }

    /// Listens on `listen` and connects to `to`: connections that stay, that are half closed, that are closed.
    fn connect(&mut self, listen: IpAddr, to: IpAddr, [established, half_closed, closed]: [usize; 3]) {
        let listener = TcpListener::bind((listen, 0)).unwrap();
        let address = (to, listener.local_addr().unwrap().port());
        let pair = || {
            let client = TcpStream::connect(address).unwrap();
            (client, listener.accept().unwrap().0)
        };
        for _ in 0..established {
            self.streams.extend(<[TcpStream; 2]>::from(pair()));
        }
        for _ in 0..half_closed {
            let (client, server) = pair();
            // FIN_WAIT2, and CLOSE_WAIT for as long as the server doesn't close.
            client.shutdown(Shutdown::Write).unwrap();
            self.streams.extend([client, server]);
        }
        for _ in 0..closed {
            let (client, server) = pair();
            // TIME_WAIT stays with the end that closes first.
            drop(client);
            drop(server);
        }
        self.listeners.push(listener);
    }
}

/// What was built, as [`netstat`] counts.
fn built() -> BTreeMap<(String, String), u32> {
    let made = BUILT.iter().filter(|(_, _, count)| *count > 0);
    made.map(|(family, state, count)| ((String::from(*family), String::from(*state)), *count)).collect()
}

/// `netstat -ant` counted by family and state.
fn netstat() -> BTreeMap<(String, String), u32> {
    let output = Command::new("netstat").arg("-ant").output().unwrap();
    let mut counts = BTreeMap::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let family = match words.first() {
            Some(&"tcp") => "ipv4",
            Some(&"tcp6") => "ipv6",
            _ => continue,
        };
        *counts.entry((family.to_owned(), words[5].to_lowercase())).or_default() += 1;
    }
    counts
}
