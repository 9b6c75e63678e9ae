//! Ping against the kernel's sockets, with a responder that answers as the case says.

mod errors;
mod options;

use std::fs;
use std::net::{IpAddr, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use promdrop::collect::State;
use promdrop::collect::ping::packet::Version;
use promdrop::collect::ping::session::Address;
use promdrop::collect::ping::settings::Settings;
use promdrop::collect::ping::socket::{Event, Send, Socket};
use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

use crate::support::host::Host;
use crate::support::mounts::{in_private, mount};
use crate::support::need;
use crate::support::netns::in_fresh;
use crate::support::pinging::{
    DATAGRAM, RAW, allow, collect, collect_within, collector, in_histogram, local_addresses, run, value,
    values,
};
use crate::support::responder::{Change, Reply, Responder};

const COUNT: u32 = 10;
const SPACING: Duration = Duration::from_millis(100);

/// A way to answer, and what comes of it.
struct Case {
    /// The last part of its targets' addresses.
    number: u8,
    what: &'static str,
    /// Replies to request n of a target.
    replies: fn(IpAddr, u32) -> Vec<Reply>,
    received: u32,
    duplicate: u32,
    /// `None` where the end of the run decides.
    late: Option<u32>,
    out_of_order: u32,
}

const fn case(number: u8, what: &'static str, replies: fn(IpAddr, u32) -> Vec<Reply>, received: u32) -> Case {
    Case { number, what, replies, received, duplicate: 0, late: Some(0), out_of_order: 0 }
}

/// An address of the same family that is the loopback's but no target.
fn forged(target: IpAddr) -> IpAddr {
    match target {
        IpAddr::V4(_) => "127.0.8.8".parse().unwrap(),
        IpAddr::V6(_) => "::1".parse().unwrap(),
    }
}

/// A good reply to all but those that `lost` says.
fn but(lost: bool) -> Vec<Reply> {
    if lost { vec![] } else { vec![Reply::GOOD] }
}

const LATE: Duration = Duration::from_millis(1100);

const CASES: &[Case] = &[
    case(1, "no loss", |_, _| but(false), 10),
    case(2, "all lost", |_, _| but(true), 0),
    case(3, "every third lost", |_, n| but(n % 3 == 0), 6),
    Case { late: None, ..case(4, "late", |_, _| vec![Reply::after(LATE)], 0) },
    Case {
        late: Some(4),
        ..case(
            5,
            "every second late, the last of them lost",
            |_, n| match n {
                8 => vec![],
                n => vec![Reply::after(if n % 2 == 0 { LATE } else { SPACING })],
            },
            5,
        )
    },
    Case { duplicate: 20, ..case(6, "duplicated", |_, _| vec![Reply::GOOD; 3], 10) },
    // Answered by the next but one, so that even ones come after later odd ones.
    Case {
        out_of_order: 5,
        ..case(
            7,
            "reordered",
            |_, n| vec![if n % 2 == 0 { Reply::after(SPACING * 5 / 2) } else { Reply::GOOD }],
            10,
        )
    },
    case(8, "damaged payload", |_, _| vec![Reply::changed(Change::Payload)], 0),
    case(9, "cut payload", |_, _| vec![Reply::changed(Change::Cut)], 0),
    case(10, "forged id", |_, _| vec![Reply::changed(Change::Id)], 0),
    case(11, "forged sequence", |_, _| vec![Reply::changed(Change::Sequence)], 0),
    case(12, "forged source", |target, _| vec![Reply::changed(Change::Source(forged(target)))], 0),
    case(
        13,
        "forged ones before the good one",
        |target, _| {
            let forged = [Change::Payload, Change::Id, Change::Source(forged(target))];
            forged.into_iter().map(Reply::changed).chain([Reply::GOOD]).collect()
        },
        10,
    ),
    case(14, "bursts lost", |_, n| but(matches!(n, 0 | 4..=6 | 9)), 5),
    case(15, "the first alone answered", |_, n| but(n > 0), 1),
    case(16, "the last alone answered", |_, n| but(n < 9), 1),
    Case {
        duplicate: 3,
        late: Some(2),
        ..case(
            17,
            "late ones and duplicates of one that was answered",
            |_, n| match n {
                0 | 1 => vec![Reply::after(LATE)],
                2 => vec![Reply::GOOD, Reply::GOOD, Reply::after(SPACING), Reply::after(LATE)],
                _ => vec![],
            },
            1,
        )
    },
];

/// A target's case.
fn case_of(target: IpAddr) -> &'static Case {
    let number = match target {
        IpAddr::V4(ip) => ip.octets()[3],
        IpAddr::V6(ip) => ip.octets()[15],
    };
    CASES.iter().find(|case| case.number == number).unwrap()
}

fn exact(groups: &'static str) {
    in_fresh(move || {
        allow(groups);
        local_addresses();
        let targets: String = CASES
            .iter()
            .map(|Case { number, .. }| format!("- 127.0.9.{number}\n- fd00::{number:x}\n"))
            .collect();
        let _responder = Responder::start(|target, n| (case_of(target).replies)(target, n));
        let found = run(&format!("count: {COUNT}\nspacing: 100ms\ntimeout: 1s\ntargets:\n{targets}"));
        for Case { number, what, received, duplicate, late, out_of_order, .. } in CASES {
            for target in [format!("127.0.9.{number}"), format!("fd00::{number:x}")] {
                let get = |family: &str| value(&found, family, &target);
                let counts = ["sent", "received", "duplicate", "out_of_order"]
                    .map(|what| get(&format!("ping_packets_{what}_total")));
                let expected = [COUNT, *received, *duplicate, *out_of_order].map(|n| Some(f64::from(n)));
                assert_eq!(counts, expected, "{what}: {target}; {:?}", found.notes);
                if let Some(late) = late {
                    assert_eq!(get("ping_packets_late_total"), Some(f64::from(*late)), "{what}: {target}");
                }
                let received = f64::from(*received);
                assert_eq!(in_histogram(&found, &target), Some(received), "{what}: {target}");
                let loss = (f64::from(COUNT) - received) / f64::from(COUNT);
                assert_eq!(get("ping_loss_ratio"), Some(loss), "{what}: {target}");
                assert_eq!(get("ping_rtt_min_seconds").is_some(), received > 0.0, "{what}: {target}");
                assert_eq!(get("ping_send_errors_total"), Some(0.0), "{what}: {target}");
            }
        }
        assert!(found.notes.is_empty(), "{:?}", found.notes);
    });
}

#[test]
fn loss_is_exact_to_the_packet_on_datagram_sockets() {
    exact(DATAGRAM);
}

#[test]
fn loss_is_exact_to_the_packet_on_raw_sockets() {
    exact(RAW);
}

#[test]
fn a_known_delay_is_measured() {
    in_fresh(|| {
        allow(DATAGRAM);
        let delay = |n: u32| Duration::from_millis(if n == 0 { 250 } else { 50 });
        let _responder = Responder::start(move |_, n| vec![Reply::after(delay(n))]);
        let found = run("{count: 4, spacing: 10ms, timeout: 10s, targets: [127.0.0.1, '::1']}");
        for target in ["127.0.0.1", "::1"] {
            let get = |family: &str| value(&found, family, target).unwrap();
            let [min, mean, max, stddev] =
                ["min", "mean", "max", "stddev"].map(|what| get(&format!("ping_rtt_{what}_seconds")));
            // A busy machine makes it longer, but never shorter.
            assert!((0.05..0.2).contains(&min), "{min}");
            assert!((0.25..2.0).contains(&max), "{max}");
            assert!((0.1..0.6).contains(&mean) && min < mean && mean < max, "{mean}");
            assert!((0.04..1.0).contains(&stddev), "{stddev}");
        }
    });
}

#[test]
fn ping_sees_the_same_loss() {
    need("ping");
    in_fresh(|| {
        allow(DATAGRAM);
        // The last probe has no duplicate: ping ends with the first reply to it.
        let _responder = Responder::start(|_, n| match n {
            1 | 5 => vec![],
            7 => vec![Reply::GOOD],
            _ => vec![Reply::GOOD; 2],
        });
        let found = run("{count: 8, spacing: 50ms, timeout: 500ms, targets: [127.0.0.2]}");
        let output = Command::new("ping").args(["-c8", "-i0.05", "-W1", "127.0.0.3"]).output().unwrap();
        let output = String::from_utf8(output.stdout).unwrap();
        let get = |what| value(&found, &format!("ping_packets_{what}_total"), "127.0.0.2").unwrap();
        let summary = format!(
            "{} packets transmitted, {} received, +{} duplicates, {}% packet loss",
            get("sent"),
            get("received"),
            get("duplicate"),
            value(&found, "ping_loss_ratio", "127.0.0.2").unwrap() * 100.0,
        );
        assert!(output.contains(&summary), "{summary}\n{output}");
    });
}

#[test]
fn many_pingers_at_once_do_not_mix_up_their_replies() {
    need("ping");
    need("fping");
    for groups in [DATAGRAM, RAW] {
        in_fresh(move || {
            allow(groups);
            // The first hundred requests, whoever's, are answered twice; the last ones' second answer might find nobody.
            let _responder = Responder::start(|_, n| match n {
                0..100 => vec![Reply::GOOD, Reply::after(SPACING / 50)],
                _ => vec![Reply::GOOD],
            });
            let others = [
                ["ping", "-c50", "-i0.005", "127.0.0.1"].as_slice(),
                &["ping", "-c50", "-i0.005", "::1"],
                &["fping", "-c50", "-p5", "-t5000", "127.0.0.1", "::1"],
            ];
            let others = others.map(|argv| {
                let quiet = || Command::new(argv[0]).args(&argv[1..]).output().unwrap();
                thread::spawn(quiet)
            });
            let section = "{count: 50, spacing: 5ms, targets: [127.0.0.1, '::1']}";
            let runs: Vec<_> = (0..8).map(|_| thread::spawn(move || run(section))).collect();
            let mut duplicates = 0.0;
            for found in runs {
                let found = found.join().unwrap();
                for target in ["127.0.0.1", "::1"] {
                    let get = |what| value(&found, &format!("ping_packets_{what}_total"), target).unwrap();
                    assert_eq!(get("received"), 50.0, "{groups}: {target}");
                    duplicates += get("duplicate");
                }
            }
            // Those of ping and fping are theirs.
            assert!((1.0..=200.0).contains(&duplicates), "{groups}: {duplicates}");
            for other in others {
                let output = other.join().unwrap();
                let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
                assert!(said.contains("50 received") || said.contains("50/50/0%"), "{groups}: {said}");
            }
        });
    }
}

#[test]
fn all_answered_is_the_end_and_a_thousand_targets_are_no_loss() {
    in_fresh(|| {
        allow(DATAGRAM);
        let targets: String = (0..1000).map(|n| format!("- 127.1.{}.{}\n", n / 250, n % 250 + 1)).collect();
        let begin = Instant::now();
        let found = run(&format!("count: 5\nspacing: 1ms\ntimeout: 20s\ntargets:\n{targets}"));
        assert_eq!(values(&found, "ping_loss_ratio").len(), 1000);
        assert!(values(&found, "ping_loss_ratio").values().all(|loss| *loss == 0.0));
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
    });
}

#[test]
fn counters_carry_on_and_names_that_do_not_resolve_are_told_apart() {
    in_fresh(|| {
        allow(DATAGRAM);
        let section = "count: 2\nspacing: 1ms\ntargets:\n- {host: localhost, family: ipv4, labels: {site: here}}\n\
                       - does-not-exist.invalid\n- fe80::1%no-such-dev\n";
        let collector = collector(section);
        let first = collect(&*collector, &State::default()).unwrap();
        let second = collect(&*collector, &first.state).unwrap();
        assert_eq!(values(&second, "ping_packets_received_total"), [("localhost".to_owned(), 4.0)].into());
        let resolved = values(&second, "ping_target_resolved");
        assert_eq!(
            resolved,
            [("localhost", 1.0), ("does-not-exist.invalid", 0.0), ("fe80::1%no-such-dev", 0.0)]
                .map(|(target, value)| (target.to_owned(), value))
                .into()
        );
        assert!(
            second.notes.iter().any(|note| note.starts_with("does-not-exist.invalid: ")),
            "{:?}",
            second.notes
        );
        assert!(second.notes.iter().any(|note| note.contains("interface no-such-dev")), "{:?}", second.notes);
        let sent = second.families.iter().find(|f| f.name == "ping_packets_sent_total").unwrap();
        let labels =
            [("target", "localhost"), ("address", "127.0.0.1"), ("family", "ipv4"), ("site", "here")];
        assert_eq!(sent.samples[0].labels, labels.map(|(name, value)| (name.into(), value.into())));
    });
}

#[test]
fn no_way_to_a_target_is_loss_of_that_target_only() {
    in_fresh(|| {
        allow(DATAGRAM);
        // The namespace has no route but to itself.
        let found = run("{count: 3, spacing: 1ms, targets: [192.0.2.1, 127.0.0.1, '2001:db8::1']}");
        let lost = [("127.0.0.1", 0.0), ("192.0.2.1", 1.0), ("2001:db8::1", 1.0)];
        assert_eq!(values(&found, "ping_loss_ratio"), lost.map(|(t, v)| (t.to_owned(), v)).into());
        assert!(
            found
                .notes
                .contains(&"192.0.2.1: 3 of 3 probes could not be sent: Network is unreachable".into())
        );
    });
}

fn without_capabilities<T>(body: impl FnOnce() -> T) -> T {
    // Of this thread only; it ends with the test.
    let none = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none }).unwrap();
    body()
}

#[test]
fn without_any_privilege_the_error_names_both_cures() {
    in_fresh(|| {
        allow(RAW);
        let collector = collector("{targets: [127.0.0.1]}");
        let failure = without_capabilities(|| collect(&*collector, &State::default())).unwrap_err();
        assert!(failure.message.contains("sysctl net.ipv4.ping_group_range"), "{}", failure.message);
        assert!(failure.message.contains("CAP_NET_RAW"), "{}", failure.message);
    });
}

#[test]
fn the_group_range_is_privilege_enough() {
    in_fresh(|| {
        allow(DATAGRAM);
        let found = without_capabilities(|| run("{count: 2, spacing: 1ms, targets: [127.0.0.1, '::1']}"));
        assert_eq!(values(&found, "ping_loss_ratio").into_values().collect::<Vec<_>>(), [0.0, 0.0]);
    });
}

#[test]
fn neighbours_that_are_not_there_hold_up_no_one() {
    in_fresh(|| {
        allow(DATAGRAM);
        for arguments in ["link add here type veth peer name there", "link set here up", "link set there up"]
        {
            assert!(Command::new("ip").args(arguments.split(' ')).status().unwrap().success());
        }
        let added = Command::new("ip").args(["addr", "add", "10.0.0.1/16", "dev", "here"]).status();
        assert!(added.unwrap().success());
        // Probes to them wait in the send buffer, which an unprivileged program can't enlarge at will. What finds no
        // room there is no loss. (Few neighbours: the kernel's table of them is shared by all namespaces.)
        local_addresses();
        // Each beside one of the other family that is there: no socket waits for the other.
        let targets: String = (1..=200).map(|n| format!("- 10.0.0.{}\n- fd00::{n:x}\n", n + 1)).collect();
        let section = format!("count: 100\nspacing: 1ms\ntargets:\n{targets}- 127.0.0.1\n");
        let found = without_capabilities(|| run(&section));
        // 127.0.0.1 shares a socket with those that are not there.
        let sent = values(&found, "ping_packets_sent_total");
        let unsent = sent.iter().filter(|(target, sent)| target.contains(':') && **sent != 100.0);
        assert_eq!(unsent.collect::<Vec<_>>(), [], "{:?}", found.notes);
        let mut lost_alive = values(&found, "ping_loss_ratio");
        lost_alive.retain(|target, loss| !target.starts_with("10.") && *loss != 0.0);
        assert!(lost_alive.is_empty(), "{lost_alive:?}: {:?}", found.notes);
        let mut lost = values(&found, "ping_loss_ratio");
        lost.retain(|target, _| target.starts_with("10."));
        assert!(lost.len() == 200 && lost.values().all(|loss| *loss == 1.0), "{:?}", found.notes);
        assert!(found.notes.iter().any(|note| note.contains("had no time or no room")), "{:?}", found.notes);
    });
}

#[test]
fn a_name_server_that_hangs_costs_no_one_else_his_numbers() {
    in_private(|| {
        in_fresh(|| {
            allow(DATAGRAM);
            // It hears, and never answers.
            let _silent = UdpSocket::bind("127.0.0.1:53").unwrap();
            let servers = tempfile::NamedTempFile::new().unwrap();
            fs::write(servers.path(), "nameserver 127.0.0.1\n").unwrap();
            mount(&["--bind", servers.path().to_str().unwrap()], "/etc/resolv.conf".as_ref());
            let collector = collector("{count: 2, targets: [127.0.0.1, www.example.net]}");
            let found = collect_within(Duration::from_secs(3), &*collector, &State::default()).unwrap();
            assert_eq!(values(&found, "ping_packets_received_total"), [("127.0.0.1".to_owned(), 2.0)].into());
            assert_eq!(found.notes, ["www.example.net: the resolver did not answer in time"]);
        });
    });
}

#[test]
fn what_is_read_late_is_not_taken_for_quick_nor_late_for_in_time() {
    need("strace");
    in_fresh(|| {
        allow(DATAGRAM);
        let _responder = Responder::start(|_, _| vec![Reply::after(Duration::from_millis(30))]);
        let host = Host::new();
        for (name, timeout) in [("plenty", "1s"), ("short", "20ms")] {
            let section = format!("count: 3, spacing: 5ms, timeout: {timeout}, targets: [127.0.0.1]");
            host.collector(name, &format!("module: ping\nping: {{{section}}}\nlabels: {{c: {name}}}\n"));
        }
        // Each packet is read 50 ms after it was looked for, and stamped by the kernel in between.
        let delayed =
            ["-f", "-qq", "-e", "trace=recvmsg", "-e", "inject=recvmsg:delay_enter=50000", "-o", "/dev/null"];
        let run = host.run();
        let output = Command::new("strace")
            .args(delayed)
            .arg(run.get_program())
            .args(run.get_args())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let value = |stem: &str, family: &str| {
            let labels = [("target", "127.0.0.1"), ("address", "127.0.0.1"), ("family", "ipv4"), ("c", stem)];
            host.published(stem).value(family, &labels)
        };
        assert_eq!(value("plenty", "ping_loss_ratio"), 0.0);
        assert!(value("plenty", "ping_rtt_min_seconds") >= 0.03);
        assert_eq!(value("short", "ping_loss_ratio"), 1.0);
    });
}

#[test]
fn replies_that_found_no_room_are_known_to_the_packet() {
    for groups in [DATAGRAM, RAW] {
        in_fresh(move || no_room(groups));
    }
}

fn no_room(groups: &str) {
    allow(groups);
    let mut socket = Socket::open(Version::V4, 0, 0, &Settings::default()).unwrap();
    let target = Address { ip: "127.0.0.1".parse().unwrap(), zone: 0 };
    // The kernel answers within the send, and nobody reads.
    let sent = 10_000;
    for number in 0..sent {
        assert_eq!(socket.send(target, number, 1), Send::Sent);
    }
    let (mut seen, mut all) = (0, false);
    while !all {
        let stamped =
            |event: Event<'_>| assert!(matches!(event, Event::Reply(reply) if reply.stamp.is_some()));
        all = socket.receive(1, stamped).unwrap();
        seen += u64::from(!all);
    }
    assert!(seen > 0 && seen < u64::from(sent), "{seen}");
    // A raw socket on the loopback sees the requests too.
    let packets = u64::from(sent) * if groups == RAW { 2 } else { 1 };
    assert_eq!(socket.dropped() + seen, packets);
}
