//! The kernel's counters of listening sockets that overflowed and of segments sent again.
//!
//! /proc/net/netstat (`netstat_seq_show`) and /proc/net/snmp (`snmp_seq_show_tcp_udp`, both net/ipv4/proc.c): for each
//! group a line of names and one of numbers, both behind the group's name. Which names there are depends on the kernel.

use std::fs::File;
use std::io::{self, Read};

use crate::exposition::{Descriptor, Family, Kind, Labels};

/// A counter, and where it stands.
struct Counter {
    file: &'static str,
    group: &'static str,
    name: &'static str,
    descriptor: Descriptor,
}

const fn counter(
    file: &'static str,
    name: &'static str,
    family: &'static str,
    help: &'static str,
) -> Counter {
    let group = if matches!(file.as_bytes(), b"snmp") { "Tcp" } else { "TcpExt" };
    Counter { file, group, name, descriptor: Descriptor { name: family, help, kind: Kind::Counter } }
}

const COUNTERS: [Counter; 9] = [
    counter(
        "netstat",
        "ListenOverflows",
        "netstat_tcp_listen_overflows_total",
        "Segments of new TCP connections dropped because the accept queue of the listening socket was full.",
    ),
    counter(
        "netstat",
        "ListenDrops",
        "netstat_tcp_listen_drops_total",
        "Segments of new TCP connections dropped by listening sockets for whatever reason, full queues included.",
    ),
    counter(
        "snmp",
        "OutSegs",
        "netstat_tcp_sent_segments_total",
        "TCP segments sent, without those sent again, but with each SYN-ACK that was sent again.",
    ),
    counter("snmp", "RetransSegs", "netstat_tcp_retransmitted_segments_total", "TCP segments sent again."),
    counter(
        "netstat",
        "TCPSynRetrans",
        "netstat_tcp_syn_retransmissions_total",
        "TCP segments with SYN sent again, those that answer one included.",
    ),
    counter(
        "netstat",
        "TCPFastRetrans",
        "netstat_tcp_fast_retransmissions_total",
        "TCP segments sent again before a timeout, because acknowledgements told of their loss.",
    ),
    counter(
        "netstat",
        "TCPSlowStartRetrans",
        "netstat_tcp_slow_start_retransmissions_total",
        "TCP segments sent again in slow start, after a timeout.",
    ),
    counter(
        "netstat",
        "TCPLostRetransmit",
        "netstat_tcp_lost_retransmissions_total",
        "TCP segments that were sent again and lost again.",
    ),
    counter(
        "netstat",
        "TCPTimeouts",
        "netstat_tcp_timeouts_total",
        "Times that a TCP retransmission timer expired.",
    ),
];

/// Larger than any kernel's.
const LIMIT: u64 = 1 << 20;

/// Reads them in the network namespace of the calling thread: the families, and notes of what the kernel doesn't list.
///
/// # Errors
/// What can't be read, with the reason.
pub fn read() -> Result<(Vec<Family>, Vec<String>), String> {
    let text = |file: &str| {
        // /proc/net is that of the process, whose first thread may be elsewhere.
        let path = format!("/proc/thread-self/net/{file}");
        read_text(&path).map_err(|error| format!("can't read {path}: {error}"))
    };
    Ok(families(&text("netstat")?, &text("snmp")?))
}

fn read_text(path: &str) -> io::Result<String> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The families of what the texts of both files list.
fn families(netstat: &str, snmp: &str) -> (Vec<Family>, Vec<String>) {
    let (mut families, mut notes) = (Vec::new(), Vec::new());
    for Counter { file, group, name, descriptor } in &COUNTERS {
        let text = if *file == "snmp" { snmp } else { netstat };
        match find(text, group, name) {
            Some(value) => {
                let mut family = Family::new(descriptor);
                family.push(Labels::new(), value as f64);
                families.push(family);
            }
            // Not 0, which would say that nothing of the kind has happened.
            None => {
                notes.push(format!("/proc/net/{file} has no number {group}: {name}: no {}", descriptor.name))
            }
        }
    }
    (families, notes)
}

/// The number `name` of `group`.
fn find(text: &str, group: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(group)?.strip_prefix(": "));
    let names: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
    let values: Vec<&str> = lines.next()?.split_ascii_whitespace().collect();
    let at = names.iter().position(|found| *found == name)?;
    // Else nobody knows which is whose.
    values.get(at).filter(|_| names.len() == values.len())?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Of Linux 6.18, cut; MaxConn is the one number that has a sign.
    const SNMP: &str = "\
Ip: Forwarding DefaultTTL\nIp: 2 64\n\
Tcp: RtoAlgorithm MaxConn ActiveOpens InSegs OutSegs RetransSegs InErrs\nTcp: 1 -1 174 2410 2411 18 0\n\
Udp: InDatagrams NoPorts\nUdp: 12 3\n";
    const NETSTAT: &str = "\
TcpExt: SyncookiesSent ListenOverflows ListenDrops TCPLostRetransmit TCPFastRetrans TCPSlowStartRetrans TCPTimeouts \
TCPSynRetrans\nTcpExt: 0 5 6 1 2 3 18446744073709551615 7\nIpExt: InNoRoutes\nIpExt: 0\n";

    fn found(netstat: &str, snmp: &str) -> Vec<(String, f64)> {
        let (families, notes) = families(netstat, snmp);
        assert_eq!(families.len() + notes.len(), COUNTERS.len());
        families.into_iter().map(|family| (family.name.to_string(), family.samples[0].value)).collect()
    }

    #[test]
    fn a_kernels_counters() {
        let expected = [
            ("netstat_tcp_listen_overflows_total", 5.0),
            ("netstat_tcp_listen_drops_total", 6.0),
            ("netstat_tcp_sent_segments_total", 2411.0),
            ("netstat_tcp_retransmitted_segments_total", 18.0),
            ("netstat_tcp_syn_retransmissions_total", 7.0),
            ("netstat_tcp_fast_retransmissions_total", 2.0),
            ("netstat_tcp_slow_start_retransmissions_total", 3.0),
            ("netstat_tcp_lost_retransmissions_total", 1.0),
            ("netstat_tcp_timeouts_total", 18_446_744_073_709_551_615.0),
        ];
        assert_eq!(found(NETSTAT, SNMP), expected.map(|(name, value)| (name.to_owned(), value)));
    }

    #[test]
    fn what_is_not_listed_is_absent_and_said() {
        let (families, notes) = families(&NETSTAT.replace("TCPSynRetrans", "TCPOther"), SNMP);
        assert_eq!(families.len(), COUNTERS.len() - 1);
        let note =
            "/proc/net/netstat has no number TcpExt: TCPSynRetrans: no netstat_tcp_syn_retransmissions_total";
        assert_eq!(notes, [note]);
    }

    #[test]
    fn odd_files_are_no_numbers() {
        for odd in [
            "",
            "Tcp",
            "Tcp:",
            "Tcp: OutSegs",
            "Tcp: OutSegs\n",
            "Tcp: OutSegs\nTcp:",
            "Tcp: OutSegs\nTcp: ",
            "Tcp: OutSegs\nTcp: x\n",
            "Tcp: OutSegs\nTcp: -1\n",
            "Tcp: OutSegs\nTcp: 1.5\n",
            "Tcp: OutSegs\nTcp: 18446744073709551616\n",
            // More numbers than names, or fewer.
            "Tcp: OutSegs\nTcp: 1 2\n",
            "Tcp: OutSegs RetransSegs\nTcp: 1\n",
            "TcpExt: OutSegs\nTcpExt: 1\n",
            "Tcp: OutSegsX\nTcp: 1\n",
        ] {
            assert_eq!(found("", odd), [], "{odd:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(netstat in "(Tcp|TcpExt|[a-zA-Z: \n0-9-]){0,80}", snmp in "\\PC*") {
            found(&netstat, &snmp);
        }
    }
}
