//! States, ports and ranges of ports, over sockets held in every state, as ss tells them.

use std::collections::BTreeSet;

use promdrop::collect::netstat::filter::Filter;
use promdrop::collect::netstat::ports::PortRange;

use super::*;

/// The local and the remote ports that there are.
fn ports() -> [BTreeSet<u16>; 2] {
    let text = stdout("ss", &["-H", "-tan"]);
    [3, 4].map(|column| {
        let ports = text.lines().filter_map(|line| {
            // A socket that listens has the remote port `*`.
            line.split_whitespace().nth(column).unwrap().rsplit_once(':').unwrap().1.parse().ok()
        });
        ports.collect()
    })
}

/// The counts of one entry that are not 0; every state that is asked for has to be there.
#[track_caller]
fn counts(series: &Series, side: &str, port: &str, states: &[TcpState]) -> Counted {
    let name = format!("netstat_tcp_{side}_port_connections");
    let mut counted = Counted::new();
    for family in IpFamily::ALL.map(IpFamily::word) {
        for state in states.iter().map(|state| state.word()) {
            let n = series.value(&name, &[("port", port), ("family", family), ("state", state)]);
            if n != 0.0 {
                counted.insert((family.to_owned(), state.to_owned()), n as u32);
            }
        }
    }
    counted
}

/// The filter of ss that names an entry.
fn filter(end: &str, port: &str) -> String {
    let (first, last) = port.split_once('-').unwrap_or((port, port));
    format!("( {end} >= :{first} and {end} <= :{last} )")
}

fn connected() -> Vec<TcpState> {
    TcpState::ALL.into_iter().filter(|state| *state != TcpState::Listen).collect()
}

#[test]
fn each_port_and_range_is_counted_as_ss_does() {
    in_fresh(|| {
        let _held = settled(every_state());
        // Every other port alone, so that there are more between them, those that nobody has, and ranges that overlap
        // each other and the ports.
        let entries = ports().map(|ports| {
            let (first, last) = (*ports.first().unwrap(), *ports.last().unwrap());
            let middle = *ports.iter().nth(ports.len() / 2).unwrap();
            let mut entries: Vec<String> = ports.iter().step_by(2).map(u16::to_string).collect();
            entries.extend(["1-65535".to_owned(), "1-1023".to_owned(), "1".to_owned()]);
            entries.extend([
                format!("{first}-{middle}"),
                format!("{middle}-{last}"),
                format!("{}-65535", first + 1),
            ]);
            entries
        });
        let [local, remote] = &entries;
        assert!(local.len() > 20 && remote.len() > 15, "{entries:?}");
        let series = series(&format!("{{local_ports: {local:?}, remote_ports: {remote:?}}}"));
        for port in local {
            assert_eq!(counts(&series, "local", port, &TcpState::ALL), ss(&filter("sport", port)), "{port}");
        }
        for port in remote {
            assert_eq!(counts(&series, "remote", port, &connected()), ss(&filter("dport", port)), "{port}");
        }
        // What listens has no remote port, and no series that would always be 0.
        let of_all = 22 * (1 + local.len()) + 20 * remote.len() + 1;
        assert_eq!(series.len(), of_all);
    });
}

#[test]
fn just_the_states_that_are_asked_for_are_listed_and_counted() {
    in_fresh(|| {
        let held = settled(every_state());
        for state in TcpState::ALL {
            let expected: Counted = held
                .expected
                .iter()
                .filter(|((_, of), _)| of == state.word())
                .map(|(of, n)| (of.clone(), *n))
                .collect();
            let collection = collect(
                &format!("states: [{}]", state.word()),
                Instant::now() + TIMEOUT,
                &Stop::listen().unwrap(),
            );
            let collection = collection.unwrap();
            assert_eq!(connections(&collection), expected);
            assert_eq!(collection.families.len(), 1, "the count of four states, of one");
            let expected: u32 = expected.values().sum();
            for walk in [Walk::BothFamilies, Walk::OneFamily(IpFamily::Ipv4)] {
                let listed = listed(walk, States::NONE.with(state), None);
                assert!(listed.iter().all(|socket| socket.state == state), "{listed:?}");
                assert!(listed.len() == expected as usize || walk != Walk::BothFamilies, "{listed:?}");
            }
        }
        let all = series("states: [fin_wait1, fin_wait2, time_wait, close_wait]");
        assert_eq!(all.value("count_netstat_wait_connections", &[]), wait_connections(&collect_now()));
        assert_eq!(all.len(), 9);
    });
}

/// What the kernel lists.
fn listed(walk: Walk, states: States, filter: Option<&Filter>) -> Vec<Socket> {
    let mut sockets = Vec::new();
    let request = Request { walk, states, filter };
    let mut each = |socket: &Socket| sockets.push(*socket);
    dump(&request, Instant::now() + TIMEOUT, &Stop::listen().unwrap(), &mut [0; BUFFER], &mut each).unwrap();
    sockets
}

/// The kernel itself leaves out what is not asked for, and the numbers are those that it gives without a filter.
#[test]
fn the_filter_of_ports_changes_no_number() {
    in_fresh(|| {
        let _held = settled(every_state());
        let [local, remote] = ports();
        let some = |ports: &BTreeSet<u16>, from: usize| -> Vec<PortRange> {
            ports
                .iter()
                .skip(from)
                .step_by(4)
                .take(9)
                .map(|port| PortRange { first: *port, last: *port })
                .collect()
        };
        let (local_ports, remote_ports, listening) = (some(&local, 0), some(&remote, 1), some(&local, 2));
        let filter = Filter::new(&local_ports, &remote_ports, &listening).unwrap();
        let has = |ranges: &[PortRange], port| ranges.iter().any(|range| range.contains(port));
        let is_named = |socket: &Socket| {
            has(&local_ports, socket.local_port)
                || has(&remote_ports, socket.remote_port)
                || socket.state == TcpState::Listen && has(&listening, socket.local_port)
        };
        let of = |ipv: IpFamily| move |socket: &Socket| socket.family == ipv;
        let named: Vec<Socket> =
            listed(Walk::BothFamilies, States::ALL, None).into_iter().filter(is_named).collect();
        assert!(named.len() > 10, "{named:?}");
        let passed = listed(Walk::BothFamilies, States::ALL, Some(&filter));
        assert_eq!(sorted(passed), sorted(named.clone()));
        for ipv in IpFamily::ALL {
            let passed = listed(Walk::OneFamily(ipv), States::ALL, Some(&filter));
            assert_eq!(sorted(passed), sorted(named.iter().copied().filter(of(ipv)).collect()));
        }

        let list = |ranges: &[PortRange]| ranges.iter().map(|range| range.to_string()).collect::<Vec<_>>();
        let lists = format!(
            "local_ports: {:?}, remote_ports: {:?}, listeners: {:?}",
            list(&local_ports),
            list(&remote_ports),
            list(&listening)
        );
        let filtered = series(&format!("{{totals: false, {lists}}}"));
        let whole = series(&format!("{{{lists}}}"));
        assert_eq!(filtered.missing_in(&whole), []);
        assert_eq!(filtered.len(), whole.len() - 23);
        assert!(!filtered.has("netstat_tcp_connections"));
    });
}

/// What tells sockets apart and stays; bytes that wait in queues don't.
fn sorted(sockets: Vec<Socket>) -> Vec<Socket> {
    let mut sockets: Vec<Socket> =
        sockets.into_iter().map(|socket| Socket { queue: 0, limit: 0, ..socket }).collect();
    sockets.sort_by_key(|socket| {
        (socket.local_port, socket.remote_port, socket.local_address, socket.state as u8)
    });
    sockets
}

/// 1000 entries that don't meet are too many for a filter.
#[test]
fn more_ports_than_a_filter_holds_are_counted_too() {
    in_fresh(|| {
        let _held = settled(every_state());
        let [ports, _] = ports();
        let rest = (1..).step_by(2).filter(|port| !ports.contains(port));
        let entries: Vec<u16> = ports.iter().copied().chain(rest).take(1000).collect();
        let series = series(&format!("{{totals: false, local_ports: {entries:?}}}"));
        assert_eq!(series.len(), 22_000);
        for port in &ports {
            let found = counts(&series, "local", &port.to_string(), &TcpState::ALL);
            assert_eq!(found, ss(&filter("sport", &port.to_string())), "{port}");
        }
    });
}
