//! The section `netstat` of a collector file.

use super::families::own_labels;
use super::filter::Filter;
use super::listeners::Listener;
use super::namespace::Namespace;
use super::ports::{PortRange, Ports};
use super::socket::{States, TcpState};
use crate::config::Header;
use crate::config::yaml::{Field, Node, Problems, Section, Wrong, nearest, quote, read_list, read_text};

/// Entries of one list.
const MOST: usize = 1000;

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// The states that are counted.
    pub states: States,
    /// Whether sockets of all ports are.
    pub totals: bool,
    /// Local ports to count by.
    pub local_ports: Ports,
    /// Remote ports to count by.
    pub remote_ports: Ports,
    /// Listening sockets to look at.
    pub listeners: Vec<Listener>,
    /// Whether the kernel's counters are read.
    pub counters: bool,
    /// Whose sockets; `None`: those of the namespace that promdrop is in.
    pub netns: Option<Namespace>,
    /// What the kernel is to look for, where that is not everything.
    pub filter: Option<Filter>,
}

impl Settings {
    /// Reads the section; what is wrong there is reported.
    pub fn read(section: &mut Section<'_>, header: &Header) -> Option<Self> {
        let problems = section.problems();
        let states = match section.node("states") {
            Some(node) => read_states(node, problems),
            None => Some(States::ALL),
        };
        let totals = or_default(section, "totals", true);
        let local_ports = read_entries::<PortRange>(section, "local_ports", PartialEq::eq, "[22, 8000-8100]");
        let remote_ports =
            read_entries::<PortRange>(section, "remote_ports", PartialEq::eq, "[22, 8000-8100]");
        let listeners = read_entries(section, "listeners", Listener::is, "[443, \"127.0.0.1:8080\"]");
        let counters = or_default(section, "counters", false);
        let netns = match section.node("netns") {
            Some(node) => Namespace::read(node, problems).map(Some),
            None => Some(None),
        };
        let (local, remote, listeners) = (local_ports?, remote_ports?, listeners?);
        let listening: Vec<PortRange> = listeners.iter().map(|listener| listener.ports).collect();
        let (states, totals) = (states?, totals?);
        let filter = if totals { None } else { Filter::new(&local, &remote, &listening) };
        let settings = Self {
            states,
            totals,
            local_ports: Ports::new(local),
            remote_ports: Ports::new(remote),
            listeners,
            counters: counters?,
            netns: netns?,
            filter,
        };
        settings.check(section, header);
        Some(settings)
    }

    /// What no key alone shows.
    fn check(&self, section: &Section<'_>, header: &Header) {
        let asks_for_remote = !self.remote_ports.ranges().is_empty();
        if !self.needs_list() && !self.counters {
            let message = "nothing is asked for";
            section
                .report("totals", Wrong::new(message, "name ports or listeners, or remove `totals: false`"));
        } else if section.has("states") && !self.counts() {
            let message = "no sockets are counted, so their states have no meaning";
            section.report("states", Wrong::new(message, "remove it, or name ports"));
        }
        if asks_for_remote && self.states.without(TcpState::Listen).is_empty() {
            let message = "sockets that listen, the only ones of `states`, have no remote port";
            section.report("remote_ports", Wrong::new(message, "remove it, or add to `states`"));
        }
        for label in own_labels(self) {
            if header.labels.iter().any(|(name, _)| name == label) {
                let message =
                    format!("`labels` of this file sets `{label}`, which module netstat sets itself");
                section.report("", Wrong::new(message, "choose another label name there"));
            }
        }
    }

    /// Whether any sockets are counted by state.
    fn counts(&self) -> bool {
        self.totals || self.local_ports.intervals() + self.remote_ports.intervals() > 0
    }

    /// Whether the kernel's list of sockets is needed.
    pub fn needs_list(&self) -> bool {
        self.counts() || !self.listeners.is_empty()
    }

    /// The states of the sockets that are needed.
    pub fn listed(&self) -> States {
        let counted = if self.counts() { self.states } else { States::NONE };
        if self.listeners.is_empty() { counted } else { counted.with(TcpState::Listen) }
    }
}

/// A key that is missing is `default`, one that is wrong is nothing.
fn or_default(section: &mut Section<'_>, key: &'static str, default: bool) -> Option<bool> {
    let problems = section.problems();
    section.node(key).map_or(Some(default), |node| bool::read(node, problems))
}

fn read_states(node: &Node, problems: &Problems) -> Option<States> {
    const CURE: &str = "write `[time_wait, close_wait]`, say, or leave it out for all states";
    let items = read_list(node, problems, CURE)?;
    if items.is_empty() {
        problems.report(node, Wrong::new("the list is empty", CURE));
    }
    let (mut states, mut is_good) = (States::NONE, !items.is_empty());
    for item in items {
        let state = read_text(item, problems, |text| {
            TcpState::ALL.into_iter().find(|state| state.word() == text).ok_or_else(|| {
                let words = TcpState::ALL.map(TcpState::word);
                // As netstat and ss show them.
                let shown = text.to_lowercase().replace('-', "_");
                let meant = match shown.as_str() {
                    "estab" => "established",
                    "listening" => "listen",
                    other => other,
                };
                let cure = match nearest(meant, &words) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("states: {}", words.join(", ")),
                };
                Wrong::new(format!("{} is not a state", quote(text)), cure)
            })
        });
        match state {
            Some(state) if states.contains(state) => {
                let message = format!("`{}` stands here for the second time", state.word());
                problems.report(item, Wrong::new(message, "keep one of the two"));
            }
            Some(state) => states = states.with(state),
            None => is_good = false,
        }
    }
    is_good.then_some(states)
}

/// The list `key`, which may be missing; `example` shows one.
fn read_entries<T: Field>(
    section: &mut Section<'_>,
    key: &'static str,
    same: impl Fn(&T, &T) -> bool,
    example: &str,
) -> Option<Vec<T>> {
    let Some(node) = section.node(key) else { return Some(Vec::new()) };
    let problems = section.problems();
    let items = read_list(node, problems, &format!("write `{example}`, or a line for each"))?;
    if items.is_empty() {
        problems.report(node, Wrong::new("the list is empty", format!("write `{example}`, or remove it")));
    }
    if items.len() > MOST {
        let message = format!("there are {} entries, more than {MOST}", items.len());
        problems.report(node, Wrong::new(message, "make ranges of them, or split them over several files"));
        return None;
    }
    let mut read: Vec<T> = Vec::new();
    let mut is_good = true;
    for item in items {
        match T::read(item, problems) {
            Some(entry) if read.iter().any(|other| same(other, &entry)) => {
                let message = "this stands here for the second time";
                problems.report(item, Wrong::new(message, "keep one of the two"));
            }
            Some(entry) => read.push(entry),
            None => is_good = false,
        }
    }
    is_good.then_some(read)
}
