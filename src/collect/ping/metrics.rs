//! The families, from what is known of each address.

use std::collections::HashSet;
use std::time::Duration;

use nix::net::if_::if_indextoname;
use smol_str::SmolStr;

use super::packet::{ErrorKind, Version};
use super::resolve::Resolved;
use super::session::Address;
use super::tally::{Jitter, Tally};
use super::target::{Target, word};
use crate::collect::State;
use crate::collect::cumulative::{Histogram, Quantile, Totals};
use crate::exposition::Family;
use crate::exposition::family::{Descriptor, Kind, Labels};

const SENT: Descriptor = Descriptor {
    name: "ping_packets_sent_total",
    help: "ICMP echo requests to the target, those included that this host's kernel refused to send.",
    kind: Kind::Counter,
};
const RECEIVED: Descriptor = Descriptor {
    name: "ping_packets_received_total",
    help: "ICMP echo requests that the target answered before the timeout.",
    kind: Kind::Counter,
};
const DUPLICATE: Descriptor = Descriptor {
    name: "ping_packets_duplicate_total",
    help: "Further replies of the target to requests that it had answered already.",
    kind: Kind::Counter,
};
const LATE: Descriptor = Descriptor {
    name: "ping_packets_late_total",
    help: "Replies of the target that came after the timeout while the run still went on; their requests count as lost.",
    kind: Kind::Counter,
};
const OUT_OF_ORDER: Descriptor = Descriptor {
    name: "ping_packets_out_of_order_total",
    help: "Replies of the target in time, but after the reply to a later request.",
    kind: Kind::Counter,
};
const SEND_ERRORS: Descriptor = Descriptor {
    name: "ping_send_errors_total",
    help: "ICMP echo requests that this host's kernel refused to send, for want of a route, say; they count as sent and lost.",
    kind: Kind::Counter,
};
const ICMP_ERRORS: Descriptor = Descriptor {
    name: "ping_icmp_errors_total",
    help: "ICMP echo requests that an ICMP error came back for, by kind, before any answer; they count as lost unless they are answered then.",
    kind: Kind::Counter,
};
const LOSS: Descriptor = Descriptor {
    name: "ping_loss_ratio",
    help: "Share of the requests of the last run that were not answered before the timeout, from 0 to 1.",
    kind: Kind::Gauge,
};
const MIN: Descriptor = Descriptor {
    name: "ping_rtt_min_seconds",
    help: "Shortest round-trip time of the last run.",
    kind: Kind::Gauge,
};
const MEAN: Descriptor = Descriptor {
    name: "ping_rtt_mean_seconds",
    help: "Mean round-trip time of the last run.",
    kind: Kind::Gauge,
};
const MAX: Descriptor = Descriptor {
    name: "ping_rtt_max_seconds",
    help: "Longest round-trip time of the last run.",
    kind: Kind::Gauge,
};
const STDDEV: Descriptor = Descriptor {
    name: "ping_rtt_stddev_seconds",
    help: "Standard deviation of the round-trip times of the last run.",
    kind: Kind::Gauge,
};
const JITTER: Descriptor = Descriptor {
    name: "ping_rtt_jitter_seconds",
    help: "Interarrival jitter by RFC 3550: the difference between the round-trip times of successive replies, smoothed over runs.",
    kind: Kind::Gauge,
};
const HOP_LIMIT: Descriptor = Descriptor {
    name: "ping_reply_hop_limit",
    help: "Hop limit (TTL) that the last reply of the last run had left.",
    kind: Kind::Gauge,
};
const RTT: Descriptor = Descriptor {
    name: "ping_rtt_seconds",
    help: "Round-trip times of the requests that the target answered before the timeout.",
    kind: Kind::Histogram,
};
const SUMMARY: Descriptor = Descriptor {
    name: "ping_rtt_summary_seconds",
    help: "Round-trip times of the requests that the target answered before the timeout: quantiles of the last run, sum and count of all.",
    kind: Kind::Summary,
};
const RESOLVED: Descriptor = Descriptor {
    name: "ping_target_resolved",
    help: "Whether the last run found an address of the wanted family for the target.",
    kind: Kind::Gauge,
};

/// Round numbers, since people write them into alerts, no more than 2.5 times apart, which is how far off a quantile can
/// be: from one switch of a LAN, where the host's own scheduling begins to blur the times, over cities, continents and
/// satellites (600 ms) to what only full buffers hold up so long. More buckets would be more series, for each target.
pub const BUCKETS: [Duration; 15] = [
    Duration::from_micros(100),
    Duration::from_micros(250),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_micros(2500),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(25),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_millis(2500),
    Duration::from_secs(5),
];

/// Addresses that a target had before and whose counters wait for their return: behind some names there are several, in
/// turn. Of one target, and of all together: the header has room for no more than so many.
const OLD_OF_ONE: usize = 8;
const OLD_OF_ALL: usize = 1000;

/// Labels that the module sets itself.
pub const OWN_LABELS: [&str; 4] = ["target", "address", "family", "kind"];

/// Which families there are beside those that always are.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Upper bounds of the histogram's buckets; none: no histogram.
    pub buckets: Vec<Duration>,
    /// The summary's quantiles; none: no summary.
    pub quantiles: Vec<Quantile>,
    /// Whether ICMP errors are counted by kind.
    pub icmp_errors: bool,
}

impl Default for Choice {
    fn default() -> Self {
        Self { buckets: BUCKETS.to_vec(), quantiles: Vec::new(), icmp_errors: true }
    }
}

/// A target, an address of it that was probed, and what came of it.
pub type Tallied<'a> = (&'a Target, Address, &'a Tally);

/// The families, and the state for the next run. The counters of a target without numbers are kept for when it has some
/// again.
pub fn families(
    choice: &Choice,
    resolved: &[Resolved<'_>],
    tallied: &[Tallied<'_>],
    previous: &State,
) -> (Vec<Family>, State) {
    let mut found = [&RESOLVED, &LOSS, &MIN, &MEAN, &MAX, &STDDEV, &JITTER, &HOP_LIMIT].map(Family::new);
    found.iter_mut().for_each(|family| family.samples.reserve(tallied.len()));
    let [is_resolved, gauges @ ..] = &mut found;
    for r in resolved {
        let labels = labels(r.target, &[("family", word(r.target.wanted).into())]);
        is_resolved.push(labels, if r.addresses.is_ok() { 1.0 } else { 0.0 });
    }
    let mut totals = Totals::after(previous);
    let mut measured: HashSet<(&str, Address)> = HashSet::new();
    for (target, address, tally) in tallied {
        if tally.sent == 0 {
            continue;
        }
        measured.insert((&target.text, *address));
        let shown = show(*address);
        let key = State::key(&[&target.text, &shown]);
        let family = Version::of(address.ip).word();
        let labels = labels(target, &[("address", shown.clone().into()), ("family", family.into())]);
        count(choice, &mut totals, &key, &labels, tally);
        let before = totals.carried(&JITTER, &key);
        let before = before.map(|[last, differences, sixteenths]| Jitter { last, differences, sixteenths });
        let jitter = tally.jitter(before);
        if let Some(Jitter { last, differences, sixteenths }) = jitter {
            totals.carry(&JITTER, &key, &[last, differences, sixteenths]);
        }
        for (family, value) in gauges.iter_mut().zip(values(tally, jitter)) {
            if let Some(value) = value {
                family.push(labels.clone(), value);
            }
        }
    }
    keep_hidden(&mut totals, resolved, &measured);
    let (mut families, state) = totals.finish();
    families.extend(found.into_iter().filter(|family| !family.samples.is_empty()));
    (families, state)
}

/// Keeps the counters of what was not `measured`.
fn keep_hidden(totals: &mut Totals<'_>, resolved: &[Resolved<'_>], measured: &HashSet<(&str, Address)>) {
    let mut room = OLD_OF_ALL;
    for r in resolved {
        let text = r.target.text.as_str();
        // It has these, even where this run could not probe them.
        for address in r.addresses.iter().flatten().filter(|address| !measured.contains(&(text, **address))) {
            totals.keep(&[text, &show(*address)], usize::MAX);
        }
        if r.addresses.iter().flatten().any(|address| measured.contains(&(text, *address))) {
            room = room.saturating_sub(totals.keep(&[text], room.min(OLD_OF_ONE)));
        } else {
            totals.keep(&[text], usize::MAX);
        }
    }
}

/// Adds what goes on from run to run.
fn count(choice: &Choice, totals: &mut Totals<'_>, key: &str, labels: &Labels, tally: &Tally) {
    for (counter, n) in [
        (&SENT, tally.sent),
        (&RECEIVED, tally.received),
        (&DUPLICATE, tally.duplicates),
        (&LATE, tally.late),
        (&OUT_OF_ORDER, tally.out_of_order),
        (&SEND_ERRORS, tally.refused),
    ] {
        totals.add(counter, key, labels.clone(), n);
    }
    if choice.icmp_errors {
        let kinds = ErrorKind::ALL.map(ErrorKind::word);
        totals.add_each(&ICMP_ERRORS, key, labels, "kind", &kinds, &tally.errors);
    }
    if !choice.buckets.is_empty() {
        let histogram = Histogram { family: RTT, bounds: &choice.buckets };
        totals.observe(&histogram, key, labels, &tally.times);
    }
    if !choice.quantiles.is_empty() {
        totals.summarize(&SUMMARY, key, labels, &choice.quantiles, &tally.times);
    }
}

/// The gauges' values, in their order; what nothing is known of has none.
fn values(tally: &Tally, jitter: Option<Jitter>) -> [Option<f64>; 7] {
    let answered = |value: f64| (tally.received > 0).then_some(value);
    [
        tally.loss_ratio(),
        answered(tally.min),
        answered(tally.mean),
        answered(tally.max),
        answered(tally.stddev()),
        jitter.and_then(Jitter::seconds).filter(|_| tally.received > 0),
        tally.hop_limit.map(f64::from),
    ]
}

/// `address` as it is written, its interface by name where it has one.
fn show(address: Address) -> String {
    if address.zone == 0 {
        return address.ip.to_string();
    }
    let zone = if_indextoname(address.zone).ok().and_then(|name| name.into_string().ok());
    format!("{}%{}", address.ip, zone.unwrap_or_else(|| address.zone.to_string()))
}

/// The labels of a sample of `target`: its name, `more`, its own.
fn labels(target: &Target, more: &[(&'static str, SmolStr)]) -> Labels {
    let mut labels = Labels::with_capacity(1 + more.len() + target.labels.len());
    labels.push(("target".into(), target.text.as_str().into()));
    labels.extend(more.iter().map(|(name, value)| (SmolStr::new_static(name), value.clone())));
    labels.extend(target.labels.iter().cloned());
    labels
}

#[cfg(test)]
mod tests;
