//! A number's whole way: from the kernel's sockets through promdrop and node_exporter to Prometheus, compared at every
//! step with what the test built and with what netstat says.
//!
//! Sockets, netstat and promdrop live in a network namespace of their own, the servers outside, so that no scrape adds
//! a socket; only the textfile directory is common to both.

use std::fs;
use std::process::Command;
use std::time::Duration;

use super::netstat::netstat;
use crate::support::exporter::Exporter;
use crate::support::host::Host;
use crate::support::netns::in_fresh;
use crate::support::prometheus::Prometheus;
use crate::support::responder::{Reply, Responder};
use crate::support::series::Series;
use crate::support::tcp::every_state;
use crate::support::{need, wait_for};

/// How long Prometheus, which scrapes every second, may take to notice something.
const NOTICES: Duration = Duration::from_secs(30);

/// Every state is served, those that no socket is in as 0.
const STATES: [&str; 11] = [
    "established",
    "syn_sent",
    "syn_recv",
    "fin_wait1",
    "fin_wait2",
    "time_wait",
    "close",
    "close_wait",
    "last_ack",
    "listen",
    "closing",
];

/// What the responder does to 4 requests for each address: how many it drops, and how late it answers the others.
const PINGED: [(&str, u32, Duration); 2] =
    [("127.0.0.1", 1, Duration::from_millis(30)), ("::1", 2, Duration::from_millis(150))];

/// All that the module netstat can publish, of all ports, so that it is known what there is.
const NETSTAT: &str =
    "{local_ports: [1-65535], remote_ports: [1-65535], listeners: [1-65535], counters: true}";
const ALL: &str = "1-65535";

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
    host.collector("netstat", &format!("module: netstat\ninterval: 15s\nnetstat: {NETSTAT}\n"))
        .collector("ping", "module: ping\nping: {count: 4, spacing: 10ms, quantiles: [0.5, 1], targets: [127.0.0.1, '::1']}\n")
        .collector(
            "script",
            "module: command\n\
             command: {shell: 'netstat -an | grep -i wait | wc -l', output: {format: value, name: script_waits}}\n",
        );
    let (host, built, waits) = in_fresh(move || {
        let held = every_state();
        let _responder = Responder::start(|target, number| {
            let (_, lost, delay) =
                *PINGED.iter().find(|(address, ..)| target.to_string() == *address).unwrap();
            if number < lost { Vec::new() } else { vec![Reply::after(delay)] }
        });
        wait_for(Duration::from_secs(10), "netstat sees what was built", || {
            let seen = netstat();
            if seen == held.expected { Ok(()) } else { Err((seen, held.expected.clone())) }
        });
        let waits = seed_line();
        host.run_well(&["netstat", "ping", "script"]);
        (host, held.expected, waits)
    });

    let exporter = Exporter::start(version, &host.textfile_dir());
    let served = exporter.scrape();
    for family in ["ipv4", "ipv6"] {
        for state in STATES {
            let count = built.get(&(family.to_owned(), state.to_owned())).copied().unwrap_or(0);
            let shown = served.value("netstat_tcp_connections", &[("family", family), ("state", state)]);
            assert_eq!(shown, f64::from(count), "{family} {state}");
            for side in ["local", "remote"].into_iter().filter(|side| (*side, state) != ("remote", "listen"))
            {
                let name = format!("netstat_tcp_{side}_port_connections");
                let shown = served.value(&name, &[("port", ALL), ("family", family), ("state", state)]);
                assert_eq!(shown, f64::from(count), "{side} {family} {state}");
            }
        }
    }
    let listening: u32 =
        built.iter().filter(|((_, state), _)| state == "listen").map(|(_, count)| *count).sum();
    // Three queues, of listeners that have room for one, are full.
    let listener = |what| served.value(&format!("netstat_tcp_listen_{what}"), &[("listener", ALL)]);
    assert_eq!(listener("sockets"), f64::from(listening));
    assert_eq!((listener("queue_connections"), listener("queue_fill_ratio")), (3.0, 1.0));
    assert!(served.value("netstat_tcp_listen_overflows_total", &[]) >= 3.0);
    let published = host.published("netstat");
    for what in ["listen_overflows", "listen_drops", "sent_segments", "retransmitted_segments", "timeouts"] {
        let name = format!("netstat_tcp_{what}_total");
        assert_eq!(served.value(&name, &[]), published.value(&name, &[]), "{name}");
    }
    assert_eq!(served.value("count_netstat_wait_connections", &[]), waits);
    assert_eq!(served.value("script_waits", &[]), waits);
    for (address, lost, delay) in PINGED {
        let family = if address.contains(':') { "ipv6" } else { "ipv4" };
        let ping =
            |name| served.value(name, &[("target", address), ("address", address), ("family", family)]);
        assert_eq!(ping("ping_packets_sent_total"), 4.0);
        assert_eq!(ping("ping_packets_received_total"), f64::from(4 - lost));
        assert_eq!(ping("ping_loss_ratio"), f64::from(lost) / 4.0);
        // Later than it should be, a responder may be on a busy machine; sooner, never.
        let late = ping("ping_rtt_min_seconds") - delay.as_secs_f64();
        assert!((0.0..0.1).contains(&late), "{address}: {late} s more than the delay");
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
