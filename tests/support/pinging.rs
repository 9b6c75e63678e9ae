//! The module ping, run as the runner does, in the namespace of the calling thread.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use promdrop::collect::stop::Stop;
use promdrop::collect::trace::Trace;
use promdrop::collect::{Collection, Collector, Failure, Run, State, ping};
use promdrop::config::Header;
use promdrop::config::yaml::{Section, decode};
use promdrop::exposition::{Family, Sample};

/// The kinds of socket, and the group range that has them used.
pub const DATAGRAM: &str = "0 2147483647";
pub const RAW: &str = "1 0";

pub fn allow(groups: &str) {
    fs::write("/proc/sys/net/ipv4/ping_group_range", groups).unwrap();
}

pub fn collector(section: &str) -> Box<dyn Collector> {
    let header = Header { timeout: Duration::from_secs(30), ..Header::new("ping") };
    let read = decode(section, |root, problems| {
        let mut section = Section::open("ping", root, problems)?;
        let collector = (ping::MODULE.read)(&mut section, &header);
        section.finish();
        collector
    });
    read.unwrap_or_else(|problems| panic!("{problems:#?}"))
}

/// What a run found and noted.
#[derive(Debug)]
pub struct Found {
    pub families: Vec<Family>,
    pub state: State,
    pub notes: Vec<String>,
}

pub fn collect(collector: &dyn Collector, previous: &State) -> Result<Found, Failure> {
    collect_within(Duration::from_secs(30), collector, previous)
}

pub fn collect_within(
    timeout: Duration,
    collector: &dyn Collector,
    previous: &State,
) -> Result<Found, Failure> {
    let stop = Stop::listen().unwrap();
    let run = Run {
        collector: "ping",
        deadline: Instant::now() + timeout,
        timeout,
        max_series: None,
        previous,
        stop: &stop,
    };
    let mut trace = Trace::default();
    let Collection { families, state } = collector.collect(&run, &mut trace)?;
    Ok(Found { families, state, notes: trace.notes })
}

pub fn run(section: &str) -> Found {
    collect(&*collector(section), &State::default()).unwrap()
}

/// The values of a family, by target.
pub fn values(collection: &Found, family: &str) -> BTreeMap<String, f64> {
    let found = collection.families.iter().find(|f| f.name == family);
    let samples = found.map(|f| f.samples.as_slice()).unwrap_or_default();
    samples
        .iter()
        .map(|sample| {
            let target = sample.labels.iter().find(|(name, _)| name == "target").unwrap();
            (target.1.to_string(), sample.value)
        })
        .collect()
}

pub fn value(collection: &Found, family: &str, target: &str) -> Option<f64> {
    values(collection, family).get(target).copied()
}

/// How many times are in the histogram of a target.
pub fn in_histogram(collection: &Found, target: &str) -> Option<f64> {
    let family = collection.families.iter().find(|family| family.name == "ping_rtt_seconds")?;
    let is_count = |sample: &&Sample| sample.name == "ping_rtt_seconds_count" && sample.labels[0].1 == target;
    family.samples.iter().find(is_count).map(|sample| sample.value)
}

/// The samples of a family that have these labels.
pub fn labelled<'f>(found: &'f Found, family: &str, labels: &[(&str, &str)]) -> Vec<&'f Sample> {
    let has = |sample: &&Sample| {
        labels.iter().all(|(name, value)| sample.labels.iter().any(|(n, v)| n == name && v == value))
    };
    let samples = found.families.iter().filter(|f| f.name == family).flat_map(|f| &f.samples);
    samples.filter(has).collect()
}

/// Makes all of fd00::/64 addresses of the namespace by one route. With an address each, the kernel itself now and then
/// drops the first packet to one that it has just got (Ip6OutNoRoutes).
pub fn local_addresses() {
    let local = Command::new("ip").args(["route", "add", "local", "fd00::/64", "dev", "lo"]).status();
    assert!(local.unwrap().success());
    fs::write("/proc/sys/net/ipv6/ip_nonlocal_bind", "1").unwrap();
}
