//! How probes are sent, seen from where they arrive.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use promdrop::collect::State;

use crate::support::mounts::{in_private, mount};
use crate::support::need;
use crate::support::netns::{Namespace, in_fresh};
use crate::support::pinging::{
    DATAGRAM, Found, RAW, allow, collect, collector, labelled, local_addresses, run, value, values,
};
use crate::support::responder::{Reply, Request, Responder};

/// What arrives at 127.0.0.2 and ::1 of probes that are sent as `options` say, on both kinds of socket; all answered.
fn arriving(options: &str) -> Vec<Request> {
    let one = |groups: &'static str| {
        in_fresh(move || {
            allow(groups);
            local_addresses();
            let responder = Responder::start(|_, _| vec![Reply::GOOD]);
            let found = run(&format!("{{count: 2, spacing: 1ms, {options}, targets: [127.0.0.2, '::1']}}"));
            assert_eq!(
                values(&found, "ping_loss_ratio").into_values().sum::<f64>(),
                0.0,
                "{:?}",
                found.notes
            );
            let requests = responder.requests();
            assert_eq!(requests.len(), 4, "{requests:?}");
            requests
        })
    };
    [DATAGRAM, RAW].into_iter().flat_map(one).collect()
}

#[test]
fn a_probe_is_as_large_as_it_says() {
    for size in [8, 9, 1000, 1472, 65_507] {
        let sizes: BTreeSet<usize> =
            arriving(&format!("size: {size}")).iter().map(|request| request.message.len()).collect();
        assert_eq!(sizes, [8 + size].into());
    }
    assert!(arriving("icmp_errors: true").iter().all(|request| request.message.len() == 64), "56 by default");
}

#[test]
fn every_probe_of_every_run_carries_something_else() {
    let payloads: Vec<Vec<u8>> = [(); 2]
        .into_iter()
        .flat_map(|()| arriving("size: 16"))
        .map(|request| request.message[8..].to_vec())
        .collect();
    let different: BTreeSet<_> = payloads.iter().collect();
    assert_eq!((payloads.len(), different.len()), (16, 16));
}

#[test]
fn ttl_and_class_are_those_asked_for() {
    let seen = |options| -> BTreeSet<(u8, u8)> {
        arriving(options).iter().map(|request| (request.hop_limit, request.class)).collect()
    };
    assert_eq!(seen("ttl: 7"), [(7, 0)].into());
    assert_eq!(seen("ttl: 255, dscp: ef"), [(255, 46 << 2)].into());
    assert_eq!(seen("dscp: 1"), [(64, 1 << 2)].into());
}

#[test]
fn the_source_is_the_one_asked_for() {
    let sources = |options| -> BTreeSet<String> {
        arriving(options).iter().map(|request| request.source.to_string()).collect()
    };
    assert_eq!(sources("ttl: 64"), ["127.0.0.1".to_owned(), "::1".to_owned()].into());
    let both = ["127.0.0.9".to_owned(), "fd00::9".to_owned()];
    assert_eq!(sources("source: [127.0.0.9, 'fd00::9']"), both.into());
    assert_eq!(
        sources("source: 127.0.0.9"),
        ["127.0.0.9".to_owned(), "::1".to_owned()].into(),
        "of its family alone"
    );
}

#[test]
fn a_source_or_interface_that_is_not_here_is_said() {
    for groups in [DATAGRAM, RAW] {
        in_fresh(move || {
            allow(groups);
            // An interface that is gone is an outage like any other.
            let both = "targets: [127.0.0.1, '::1']";
            for (options, families, note) in [
                (
                    "source: 192.0.2.9",
                    ["127.0.0.1"].as_slice(),
                    "ipv4 probes can't come from 192.0.2.9: Cannot assign requested address; is it this host's? `ip \
                     address` shows those it has",
                ),
                (
                    "interface: eth77",
                    &["127.0.0.1", "::1"],
                    "ipv4 probes can't leave by eth77: No such device; is there such an interface? `ip link` shows them",
                ),
            ] {
                let found = run(&format!("{{count: 2, spacing: 1ms, {options}, {both}}}"));
                for target in ["127.0.0.1", "::1"] {
                    let lost = if families.contains(&target) { [1.0, 2.0] } else { [0.0, 0.0] };
                    let shown =
                        ["ping_loss_ratio", "ping_send_errors_total"].map(|f| value(&found, f, target));
                    assert_eq!(shown, lost.map(Some), "{groups}: {options}: {target}");
                }
                assert_eq!(found.notes[0], note, "{groups}");
            }
        });
    }
}

#[test]
fn the_interface_is_the_one_asked_for_whatever_the_routes_say() {
    for groups in [DATAGRAM, RAW] {
        let [near, one, other] = [(); 3].map(|()| Namespace::new());
        near.set("net.ipv4.ping_group_range", groups);
        for (there, interface, own) in [(&one, "one", 1), (&other, "other", 2)] {
            near.cable(interface, there, "home");
            near.ip(&[
                &format!("addr add 10.5.0.{own}/24 dev {interface}"),
                &format!("addr add fd05::{own}/64 dev {interface} metric {own}"),
            ]);
            there.ip(&["addr add 10.5.0.9/24 dev home", "addr add fd05::9/64 dev home"]);
        }
        // The routes say `one`, where nobody answers.
        one.set("net.ipv4.icmp_echo_ignore_all", "1");
        one.set("net.ipv6.icmp.echo_ignore_all", "1");
        let loss = |options: &str| {
            let section =
                format!("{{count: 2, spacing: 1ms, timeout: 2s, {options}, targets: [10.5.0.9, 'fd05::9']}}");
            let found = near.run(|| run(&section));
            values(&found, "ping_loss_ratio").into_values().collect::<Vec<_>>()
        };
        assert_eq!(loss("ttl: 64"), [1.0, 1.0], "{groups}");
        assert_eq!(loss("interface: one"), [1.0, 1.0], "{groups}");
        assert_eq!(loss("interface: other"), [0.0, 0.0], "{groups}");
    }
}

#[test]
fn a_name_is_resolved_anew_in_each_run_to_one_address_or_all() {
    in_private(|| {
        in_fresh(|| {
            allow(DATAGRAM);
            let hosts = tempfile::NamedTempFile::new().unwrap();
            let names = |text: &str| fs::write(hosts.path(), text).unwrap();
            names("127.0.7.1 many.example\n127.0.7.2 many.example\n::1 many.example\n");
            mount(&["--bind", hosts.path().to_str().unwrap()], "/etc/hosts".as_ref());
            let addresses = |section: &str, previous: &State| {
                let found = collect(&*collector(section), previous).unwrap();
                let sent = labelled(&found, "ping_packets_sent_total", &[]);
                let mut sent: Vec<String> =
                    sent.iter().map(|sample| format!("{} {}", sample.labels[1].1, sample.value)).collect();
                sent.sort();
                (sent, found.state)
            };
            let first = "{count: 1, targets: [{host: many.example, family: ipv4}]}";
            let (found, _) = addresses(first, &State::default());
            assert_eq!(found.len(), 1, "{found:?}");
            let all = "{count: 1, targets: [{host: many.example, all_addresses: true}]}";
            let (found, state) = addresses(all, &State::default());
            assert_eq!(found, ["127.0.7.1 1", "127.0.7.2 1", "::1 1"]);
            let ipv4 = "{count: 1, all_addresses: true, targets: [{host: many.example, family: ipv4}]}";
            assert_eq!(addresses(ipv4, &State::default()).0, ["127.0.7.1 1", "127.0.7.2 1"]);
            names("127.0.7.2 many.example\n127.0.7.3 many.example\n");
            let (found, state) = addresses(all, &state);
            assert_eq!(found, ["127.0.7.2 2", "127.0.7.3 1"], "found anew, and one goes on");
            names("127.0.7.1 many.example\n");
            assert_eq!(addresses(all, &state).0, ["127.0.7.1 2"], "and when it comes back");
        });
    });
}

/// What a run finds of 40 hosts behind a cable on which this host sends ten packets a second once 1600 bytes are gone, and
/// where `limit` more bytes have room in the queue; by IPv4 or by IPv6.
fn through_a_queue(groups: &str, by_ipv6: bool, limit: u32, options: &str) -> Found {
    let [near, far] = [(); 2].map(|()| Namespace::new());
    near.set("net.ipv4.ping_group_range", groups);
    near.cable("slow", &far, "home");
    // Known, so that no question for it stands in the queue.
    let shown = far.show(&["-o", "link", "show", "home"]);
    let link = shown.split_whitespace().skip_while(|word| *word != "link/ether").nth(1).unwrap();
    for (own, their, hosts) in
        [("10.4.0.1/24", "10.4.0.2", "10.4.1.0/24"), ("fd04::1/64", "fd04::2", "fd14::/64")]
    {
        near.ip(&[
            &format!("addr add {own} dev slow"),
            &format!("neigh add {their} lladdr {link} dev slow"),
            &format!("route add {hosts} via {their}"),
        ]);
        let length = own.split_once('/').unwrap().1;
        far.ip(&[&format!("addr add {their}/{length} dev home"), &format!("route add local {hosts} dev lo")]);
    }
    let limit = format!("qdisc add dev slow root tbf rate 8kbit burst 1600 limit {limit}");
    let limited = near.run(|| Command::new("tc").args(limit.split(' ')).output()).unwrap();
    assert!(limited.status.success(), "{}", String::from_utf8_lossy(&limited.stderr));
    let host = |n| if by_ipv6 { format!("- fd14::{n:x}\n") } else { format!("- 10.4.1.{n}\n") };
    let targets: String = (1..=40).map(host).collect();
    near.run(|| run(&format!("count: 1\ntimeout: 10s\n{options}\ntargets:\n{targets}")))
}

const KINDS: [(&str, bool); 4] = [(DATAGRAM, false), (DATAGRAM, true), (RAW, false), (RAW, true)];

#[test]
fn what_this_host_s_queue_takes_is_not_the_network_s_by_choice() {
    need("tc");
    for (groups, by_ipv6) in KINDS {
        let [with, without] = ["tx_timestamps: true", "tx_timestamps: false"].map(|options| {
            let found = through_a_queue(groups, by_ipv6, 100_000, options);
            assert_eq!(
                values(&found, "ping_loss_ratio").into_values().sum::<f64>(),
                0.0,
                "{:?}",
                found.notes
            );
            assert!(found.notes.is_empty(), "{:?}", found.notes);
            values(&found, "ping_rtt_max_seconds").into_values().fold(0.0, f64::max)
        });
        assert!(without > 1.5 && with < without / 3.0, "{groups} {by_ipv6}: {with} {without}");
    }
}

#[test]
fn what_found_no_room_in_this_host_s_queue_is_no_loss() {
    need("tc");
    // Of datagram sockets of IPv6 the kernel doesn't tell.
    for (groups, by_ipv6) in [(DATAGRAM, false), (RAW, false), (RAW, true)] {
        let found = through_a_queue(groups, by_ipv6, 1000, "");
        let loss = values(&found, "ping_loss_ratio");
        assert!(!loss.is_empty() && loss.values().all(|loss| *loss == 0.0), "{groups} {by_ipv6}: {loss:?}");
        assert!(
            loss.len() == 40 || found.notes.iter().any(|note| note.contains("were not sent")),
            "{:?}",
            found.notes
        );
    }
}

#[test]
fn kernel_stamps_of_sending_are_on_both_kinds_of_socket_and_families() {
    for groups in [DATAGRAM, RAW] {
        in_fresh(move || {
            allow(groups);
            let _responder =
                Responder::start(|_, n| vec![Reply::after(Duration::from_millis(u64::from(n % 2) * 20))]);
            let section =
                "{count: 100, spacing: 1ms, tx_timestamps: true, size: 8, targets: [127.0.0.2, '::1']}";
            let found = run(section);
            for target in ["127.0.0.2", "::1"] {
                assert_eq!(
                    value(&found, "ping_loss_ratio", target),
                    Some(0.0),
                    "{groups}: {:?}",
                    found.notes
                );
                assert!(found.notes.is_empty(), "{groups}: {:?}", found.notes);
                let [min, max] =
                    ["min", "max"].map(|what| value(&found, &format!("ping_rtt_{what}_seconds"), target));
                assert!(min > Some(0.0) && max >= Some(0.02), "{groups}: {min:?} {max:?}");
            }
        });
    }
}

#[test]
fn quantiles_and_buckets_are_those_asked_for() {
    in_fresh(|| {
        allow(DATAGRAM);
        let _responder =
            Responder::start(|_, n| vec![Reply::after(Duration::from_millis(if n < 3 { 0 } else { 60 }))]);
        let section =
            "{count: 4, spacing: 1ms, buckets: [50ms, 10s], quantiles: [0.25, 1], targets: [127.0.0.1]}";
        let collector = collector(section);
        let first = collect(&*collector, &State::default()).unwrap();
        let found = collect(&*collector, &first.state).unwrap();
        let labels = |family: &str, label: &str| -> Vec<(String, f64)> {
            let samples = labelled(&found, family, &[]).into_iter();
            let with = samples.filter_map(|sample| {
                let (_, value) = sample.labels.iter().find(|(name, _)| name == label)?;
                Some((value.to_string(), sample.value))
            });
            with.collect()
        };
        let buckets = labels("ping_rtt_seconds", "le");
        let bounds: Vec<&str> = buckets.iter().map(|(bound, _)| bound.as_str()).collect();
        assert_eq!(bounds, ["0.05", "10", "+Inf"]);
        // Of the second run the fourth and later requests: all slow.
        assert_eq!(buckets[2].1, 8.0);
        let quantiles = labels("ping_rtt_summary_seconds", "quantile");
        assert_eq!(quantiles.iter().map(|(share, _)| share.as_str()).collect::<Vec<_>>(), ["0.25", "1"]);
        assert!(quantiles.iter().all(|(_, value)| *value >= 0.06), "of the last run alone: {quantiles:?}");
        assert_eq!(value(&found, "ping_rtt_max_seconds", "127.0.0.1"), Some(quantiles[1].1));
        assert!(value(&found, "ping_rtt_jitter_seconds", "127.0.0.1") > Some(0.0));
    });
}
