//! ICMP errors from a real router, told apart from each other, from silence and from what never left the host.

use std::os::fd::AsFd;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use promdrop::collect::State;
use promdrop::collect::ping::packet::Version;
use promdrop::collect::ping::session::Address;
use promdrop::collect::ping::settings::Settings;
use promdrop::collect::ping::socket::{Send, Socket};

use crate::support::netns::Namespace;
use crate::support::pinging::{DATAGRAM, Found, RAW, collect, collector, labelled, run, value};

/// A host, its router, and what lies behind that.
struct Path {
    near: Namespace,
    router: Namespace,
    far: Namespace,
}

impl Path {
    fn new(groups: &str) -> Self {
        let path = Self { near: Namespace::new(), router: Namespace::new(), far: Namespace::new() };
        let Self { near, router, far } = &path;
        near.cable("up0", router, "down0");
        router.cable("up1", far, "down1");
        near.ip(&[
            "addr add 10.0.1.1/24 dev up0",
            "addr add fd01::1/64 dev up0",
            "route add default via 10.0.1.2",
            "-6 route add default via fd01::2",
        ]);
        router.ip(&[
            "addr add 10.0.1.2/24 dev down0",
            "addr add fd01::2/64 dev down0",
            "addr add 10.0.2.1/24 dev up1",
            "addr add fd02::1/64 dev up1",
            "route add prohibit 10.8.0.0/16",
            "-6 route add prohibit fd08::/64",
            "route add blackhole 10.7.0.0/16",
            "-6 route add blackhole fd07::/64",
        ]);
        far.ip(&[
            "addr add 10.0.2.2/24 dev down1",
            "addr add fd02::2/64 dev down1",
            "route add default via 10.0.2.1",
            "-6 route add default via fd02::1",
        ]);
        for (sysctl, value) in [
            ("net.ipv4.ip_forward", "1"),
            ("net.ipv6.conf.all.forwarding", "1"),
            // Or it answers one in a second.
            ("net.ipv4.icmp_ratelimit", "0"),
            ("net.ipv6.icmp.ratelimit", "0"),
        ] {
            router.set(sysctl, value);
        }
        near.set("net.ipv4.ping_group_range", groups);
        path
    }
}

/// How many of a target's probes had an error, by kind, those that had none left out.
fn errors<'f>(found: &'f Found, target: &str) -> Vec<(&'f str, f64)> {
    let all = labelled(found, "ping_icmp_errors_total", &[("target", target)]);
    assert_eq!(all.len(), 5, "{target}");
    let kind = |labels: &'f promdrop::exposition::Labels| {
        labels.iter().find(|(name, _)| name == "kind").map(|(_, kind)| kind.as_ref()).unwrap()
    };
    all.into_iter().filter(|sample| sample.value > 0.0).map(|s| (kind(&s.labels), s.value)).collect()
}

/// Loss and send errors of a target.
fn lost(found: &Found, target: &str) -> [f64; 2] {
    ["ping_loss_ratio", "ping_send_errors_total"].map(|family| value(found, family, target).unwrap())
}

#[test]
fn errors_are_told_apart_from_each_other_and_from_silence() {
    for groups in [DATAGRAM, RAW] {
        let path = Path::new(groups);
        // A router of Linux sends no more than five of these on end (net.ipv4.route.error_burst).
        let found = path.near.run(|| {
            run("{count: 2, spacing: 20ms, timeout: 2s, targets: [10.0.2.2, 'fd02::2', 10.9.0.1, 'fd09::1', \
                 10.8.0.1, 'fd08::1', 10.7.0.1, 'fd07::1', 10.0.1.2, 'fd01::2']}")
        });
        for (targets, error, loss) in [
            (["10.0.2.2", "fd02::2"], None, 0.0),
            (["10.9.0.1", "fd09::1"], Some("unreachable"), 1.0),
            (["10.8.0.1", "fd08::1"], Some("prohibited"), 1.0),
            (["10.7.0.1", "fd07::1"], None, 1.0),
            (["10.0.1.2", "fd01::2"], None, 0.0),
        ] {
            for target in targets {
                let expected: Vec<_> = error.into_iter().map(|kind| (kind, 2.0)).collect();
                assert_eq!(errors(&found, target), expected, "{groups}: {target}: {:?}", found.notes);
                // An error that came for another target is no refusal to send to this one.
                assert_eq!(lost(&found, target), [loss, 0.0], "{groups}: {target}: {:?}", found.notes);
            }
        }
        assert!(found.notes.is_empty(), "{:?}", found.notes);
        for (target, hops) in [("10.0.2.2", 63.0), ("fd02::2", 63.0), ("10.0.1.2", 64.0), ("fd01::2", 64.0)] {
            assert_eq!(value(&found, "ping_reply_hop_limit", target), Some(hops), "{groups}: {target}");
        }
        assert_eq!(value(&found, "ping_reply_hop_limit", "10.7.0.1"), None);
    }
}

#[test]
fn errors_go_on_from_run_to_run_and_can_be_left_out() {
    let path = Path::new(DATAGRAM);
    path.near.run(|| {
        let collector = collector("{count: 2, spacing: 10ms, timeout: 2s, targets: [10.8.0.1]}");
        let first = collect(&*collector, &State::default()).unwrap();
        let second = collect(&*collector, &first.state).unwrap();
        assert_eq!(errors(&second, "10.8.0.1"), [("prohibited", 4.0)]);
        let without = run("{count: 1, timeout: 200ms, icmp_errors: false, targets: [10.8.0.1]}");
        assert!(without.families.iter().all(|family| family.name != "ping_icmp_errors_total"));
    });
}

#[test]
fn a_ttl_that_is_too_low_is_told() {
    for groups in [DATAGRAM, RAW] {
        let path = Path::new(groups);
        let found = path.near.run(|| {
            run("{count: 3, spacing: 20ms, timeout: 2s, ttl: 1, targets: [10.0.2.2, 'fd02::2', 10.0.1.2, 'fd01::2']}")
        });
        for target in ["10.0.2.2", "fd02::2"] {
            assert_eq!(errors(&found, target), [("ttl_exceeded", 3.0)], "{groups}: {target}");
            assert_eq!(lost(&found, target), [1.0, 0.0], "{groups}: {target}");
        }
        for target in ["10.0.1.2", "fd01::2"] {
            assert_eq!(
                (errors(&found, target), lost(&found, target)),
                (vec![], [0.0, 0.0]),
                "{groups}: {target}"
            );
        }
    }
}

#[test]
fn what_is_too_big_for_a_link_on_the_way_is_told() {
    for groups in [DATAGRAM, RAW] {
        let path = Path::new(groups);
        path.router.ip(&["link set up1 mtu 1300"]);
        path.far.ip(&["link set down1 mtu 1300"]);
        let found = path.near.run(|| {
            run("{count: 4, spacing: 100ms, timeout: 1s, size: 1400, targets: [10.0.2.2, 'fd02::2']}")
        });
        for target in ["10.0.2.2", "fd02::2"] {
            let too_big = errors(&found, target);
            // The kernel learns from it and sends the others in pieces, which arrive.
            let &[("too_big", times)] = too_big.as_slice() else { panic!("{groups}: {target}: {too_big:?}") };
            assert!((1.0..4.0).contains(&times), "{groups}: {target}: {times}");
            assert_eq!(lost(&found, target), [times / 4.0, 0.0], "{groups}: {target}");
        }
    }
}

#[test]
fn errors_about_what_was_sent_in_pieces_are_told_as_well() {
    for groups in [DATAGRAM, RAW] {
        let path = Path::new(groups);
        let section =
            "{count: 1, timeout: 2s, size: 2000, targets: [10.8.0.1, 'fd08::1', 10.0.2.2, 'fd02::2']}";
        let found = path.near.run(|| run(section));
        for target in ["10.8.0.1", "fd08::1"] {
            assert_eq!(errors(&found, target), [("prohibited", 1.0)], "{groups}: {target}");
        }
        for target in ["10.0.2.2", "fd02::2"] {
            assert_eq!(lost(&found, target), [0.0, 0.0], "{groups}: {target}");
        }
    }
}

#[test]
fn an_error_that_found_no_room_is_no_failure() {
    for groups in [DATAGRAM, RAW] {
        let path = Path::new(groups);
        path.near.run(|| {
            let mut socket = Socket::open(Version::V4, 7, 0, &Settings::default()).unwrap();
            let address = |ip: &str| Address { ip: ip.parse().unwrap(), zone: 0 };
            // More replies than there is room for: the kernel answers within the send, and nobody reads.
            for number in 0..10_000 {
                assert_eq!(socket.send(address("10.0.1.1"), number, 1), Send::Sent);
            }
            assert_eq!(socket.send(address("10.8.0.1"), 10_000, 1), Send::Sent);
            let mut fds = [PollFd::new(socket.as_fd(), PollFlags::empty())];
            assert_eq!(poll(&mut fds, PollTimeout::from(10_000_u16)), Ok(1), "an error");
            let mut events = 0;
            while !socket.receive(100_000, |_| events += 1).unwrap() {}
            assert!(events > 0, "{groups}");
        });
    }
}

#[test]
fn a_neighbour_that_is_not_there_is_unreachable() {
    for groups in [DATAGRAM, RAW] {
        let path = Path::new(groups);
        // Three questions, 50 ms apart, rather than a second.
        path.near.set("net.ipv4.neigh.up0.retrans_time_ms", "50");
        path.near.set("net.ipv6.neigh.up0.retrans_time_ms", "50");
        let found = path
            .near
            .run(|| run("{count: 1, timeout: 3s, targets: [10.0.1.99, 'fd01::99', 10.0.2.2, 'fd02::2']}"));
        for target in ["10.0.1.99", "fd01::99"] {
            assert_eq!(
                errors(&found, target),
                [("unreachable", 1.0)],
                "{groups}: {target}: {:?}",
                found.notes
            );
            assert_eq!(lost(&found, target), [1.0, 0.0], "{groups}: {target}");
        }
        assert_eq!(lost(&found, "10.0.2.2"), [0.0, 0.0], "{groups}");
    }
}

#[test]
fn what_this_host_refuses_to_send_is_told_apart_from_what_is_lost() {
    for groups in [DATAGRAM, RAW] {
        let path = Path::new(groups);
        path.near.ip(&["route add prohibit 10.6.0.0/16", "-6 route add unreachable fd06::/64"]);
        let found = path.near.run(|| {
            run("{count: 3, spacing: 1ms, timeout: 200ms, targets: [10.6.0.1, 'fd06::1', 10.7.0.1, 'fd07::1']}")
        });
        for (target, refused) in [("10.6.0.1", 3.0), ("fd06::1", 3.0), ("10.7.0.1", 0.0), ("fd07::1", 0.0)] {
            assert_eq!(lost(&found, target), [1.0, refused], "{groups}: {target}");
            assert_eq!(errors(&found, target), [], "{groups}: {target}");
        }
        let why = "10.6.0.1: 3 of 3 probes could not be sent: Permission denied";
        assert!(found.notes.iter().any(|note| note == why), "{:?}", found.notes);
    }
}

#[test]
fn the_default_gateway_is_what_the_routes_say() {
    let path = Path::new(DATAGRAM);
    let each =
        "{count: 1, targets: [{host: default-gateway, family: ipv4}, {host: default-gateway, family: ipv6}]}";
    let both = "{count: 1, targets: [{host: default-gateway, all_addresses: true}]}";
    let addresses = |section: &str| -> Vec<String> {
        let found = path.near.run(|| run(section));
        let loss = labelled(&found, "ping_loss_ratio", &[]);
        loss.iter().map(|sample| format!("{} {}", sample.labels[1].1, sample.value)).collect()
    };
    assert_eq!(addresses("{count: 1, targets: [default-gateway]}"), ["10.0.1.2 0"], "IPv4 first");
    assert_eq!(addresses(each), ["10.0.1.2 0", "fd01::2 0"]);
    assert_eq!(addresses(both), ["10.0.1.2 0", "fd01::2 0"]);
    // A better one, nobody at home there; and a link-local one, which needs its interface.
    path.near.ip(&["route add default via 10.0.1.2 metric 10", "route add default via 10.0.1.77 metric 5"]);
    path.near.ip(&["route del default via 10.0.1.2 metric 0", "-6 route del default"]);
    let shown = path.router.show(&["-6", "-o", "addr", "show", "dev", "down0", "scope", "link"]);
    let local = shown.split(&[' ', '/']).find(|word| word.starts_with("fe80:")).unwrap();
    path.near.ip(&[&format!("-6 route add default via {local} dev up0")]);
    assert_eq!(addresses(each), ["10.0.1.77 1", &format!("{local}%up0 0")]);
    path.near.ip(&["route del default", "route del default", "-6 route del default"]);
    let found = path.near.run(|| run(each));
    assert_eq!(labelled(&found, "ping_target_resolved", &[]).iter().map(|s| s.value).sum::<f64>(), 0.0);
    assert_eq!(found.notes[0], "default-gateway: this host has no ipv4 default gateway");
}
