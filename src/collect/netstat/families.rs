//! The families of the module, and their numbers from the counts. Pure.

use super::counts::Counts;
use super::listeners::Backlog;
use super::settings::Settings;
use super::socket::{IpFamily, States, TcpState};
use super::tally::Tally;
use crate::exposition::{Descriptor, Family, Kind, Labels};

/// Sockets by family and state; every pair that is asked for is there, zeros included.
pub const CONNECTIONS: Descriptor = Descriptor {
    name: "netstat_tcp_connections",
    help: "TCP sockets by address family and state, listening ones included; IPv6 sockets that talk IPv4 count as ipv6.",
    kind: Kind::Gauge,
};

/// What `netstat -ant | grep -i wait | wc -l` prints.
pub const WAITING: Descriptor = Descriptor {
    name: "count_netstat_wait_connections",
    help: "TCP sockets in the states FIN_WAIT1, FIN_WAIT2, TIME_WAIT and CLOSE_WAIT.",
    kind: Kind::Gauge,
};

const LOCAL: Descriptor = Descriptor {
    name: "netstat_tcp_local_port_connections",
    help: "TCP sockets of a local port or range of ports by address family and state, listening ones included; IPv6 sockets that talk IPv4 count as ipv6.",
    kind: Kind::Gauge,
};

const REMOTE: Descriptor = Descriptor {
    name: "netstat_tcp_remote_port_connections",
    help: "TCP sockets connected to a remote port or range of ports by address family and state; IPv6 sockets that talk IPv4 count as ipv6.",
    kind: Kind::Gauge,
};

const LISTENING: Descriptor = Descriptor {
    name: "netstat_tcp_listen_sockets",
    help: "TCP sockets that listen where the listener says; 0 where none does.",
    kind: Kind::Gauge,
};

const QUEUE: Descriptor = Descriptor {
    name: "netstat_tcp_listen_queue_connections",
    help: "Connections that wait to be accepted, in the queues of all sockets of the listener.",
    kind: Kind::Gauge,
};

const LIMIT: Descriptor = Descriptor {
    name: "netstat_tcp_listen_queue_limit_connections",
    help: "Backlog limits of all sockets of the listener; the kernel lets each queue grow one beyond its limit.",
    kind: Kind::Gauge,
};

const FILL: Descriptor = Descriptor {
    name: "netstat_tcp_listen_queue_fill_ratio",
    help: "How full the fullest queue of the listener's sockets is; from 1 on, further connections are dropped.",
    kind: Kind::Gauge,
};

const WAIT_STATES: [TcpState; 4] =
    [TcpState::FinWait1, TcpState::FinWait2, TcpState::TimeWait, TcpState::CloseWait];

/// Labels that the families of `settings` have.
pub fn own_labels(settings: &Settings) -> Vec<&'static str> {
    let has_ports = !settings.local_ports.ranges().is_empty() || !settings.remote_ports.ranges().is_empty();
    [
        ("family", settings.totals || has_ports),
        ("state", settings.totals || has_ports),
        ("port", has_ports),
        ("listener", !settings.listeners.is_empty()),
        ("netns", settings.netns.is_some()),
    ]
    .into_iter()
    .filter_map(|(label, is_there)| is_there.then_some(label))
    .collect()
}

/// The families of what was counted.
pub fn families(tally: &Tally<'_>) -> Vec<Family> {
    let settings = tally.settings;
    let states = settings.states;
    let mut families = Vec::new();
    if settings.totals {
        let mut connections = Family::new(&CONNECTIONS);
        push_counts(&mut connections, &Labels::new(), &tally.totals, states);
        families.push(connections);
        if WAIT_STATES.into_iter().all(|state| states.contains(state)) {
            let mut waiting = Family::new(&WAITING);
            let counts = IpFamily::ALL.map(|family| WAIT_STATES.map(|state| tally.totals.of(family, state)));
            waiting.push(Labels::new(), counts.into_iter().flatten().map(f64::from).sum());
            families.push(waiting);
        }
    }
    // What listens has no remote port.
    let connected = states.without(TcpState::Listen);
    for (descriptor, ports, counts, states) in [
        (&LOCAL, &settings.local_ports, &tally.local, states),
        (&REMOTE, &settings.remote_ports, &tally.remote, connected),
    ] {
        let mut family = Family::new(descriptor);
        for range in ports.ranges() {
            let labels = vec![("port".into(), range.to_string().into())];
            push_counts(&mut family, &labels, &ports.sum(*range, counts), states);
        }
        families.push(family);
    }
    families.extend(backlogs(tally));
    families.retain(|family| !family.samples.is_empty());
    families
}

/// A family, and its number of a listener.
type OfBacklog = (&'static Descriptor, fn(&Backlog) -> f64);

fn backlogs(tally: &Tally<'_>) -> impl Iterator<Item = Family> {
    let all: [OfBacklog; 4] = [
        (&LISTENING, |backlog| backlog.sockets.into()),
        (&QUEUE, |backlog| backlog.queue as f64),
        (&LIMIT, |backlog| backlog.limit as f64),
        (&FILL, |backlog| backlog.fill),
    ];
    all.into_iter().map(|(descriptor, number)| {
        let mut family = Family::new(descriptor);
        for (listener, backlog) in tally.settings.listeners.iter().zip(&tally.backlogs) {
            family.push(vec![("listener".into(), listener.text.clone().into())], number(backlog));
        }
        family
    })
}

fn push_counts(family: &mut Family, labels: &Labels, counts: &Counts, states: States) {
    for ip in IpFamily::ALL {
        for state in states.iter() {
            let own = [("family", ip.word()), ("state", state.word())];
            let own = own.map(|(name, word)| (name.into(), word.into()));
            family.push([labels.as_slice(), &own].concat(), counts.of(ip, state).into());
        }
    }
}
