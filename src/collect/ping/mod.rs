//! Latency and packet loss of many targets at once, over one ICMP socket for each version of IP.
//!
//! - [`target`]: what may be pinged, checked while it is read.
//! - [`resolve`]: names to addresses, under a deadline.
//! - [`packet`]: bytes. Pure.
//! - [`session`]: what is sent when, who is waited for, what comes of it. Pure.
//! - [`socket`]: the kernel.
//!
//! What counts as what:
//!
//! - A reply counts if it has the identifier, sequence number, payload and source address of a probe that was sent, and
//!   came within `timeout` of its sending, however many probes were sent since. Later ones are lost.
//! - A probe that the kernel refuses (no route, a firewall's rule) is sent and lost: nobody can reach the target. A note
//!   says so.
//! - A probe that this host has no room or no time for is not sent, and a note says so: that is not the target's fault.
//! - A name without an address, or a target whose version of IP this host lacks, has no numbers at all, only
//!   `ping_target_resolved`, and a note.

pub mod packet;
pub mod resolve;
pub mod session;
pub mod socket;
pub mod target;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::net::if_::{if_indextoname, if_nametoindex};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::cumulative::{Histogram, Totals};
use super::trace::Trace;
use super::{Collection, Collector, Failure, Module, Outcome, Run, State};
use crate::config::Header;
use crate::config::yaml::{Field, Node, Problems, Section, Wrong, read_integer};
use crate::exposition::Family;
use crate::exposition::family::{Descriptor, Kind, Labels};
use packet::Version;
use session::{Address, Moment, Plan, Session, TICK, Tally};
use socket::{NoSocket, Send, Socket};
use target::{Host, Target, can_be_pinged, word};

/// The module's line in the table.
pub const MODULE: Module = Module { name: "ping", needs_section: true, takes_user: false, read };

const SENT: Descriptor = Descriptor {
    name: "ping_packets_sent_total",
    help: "ICMP echo requests sent to the target.",
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
/// Round numbers, since people write them into alerts, no more than 2.5 times apart, which is how far off a quantile can
/// be: from one switch of a LAN, where the host's own scheduling begins to blur the times, over cities, continents and
/// satellites (600 ms) to what only full buffers hold up so long. More buckets would be more series, for each target.
const RTT: Histogram = Histogram {
    family: Descriptor {
        name: "ping_rtt_seconds",
        help: "Round-trip times of the requests that the target answered before the timeout.",
        kind: Kind::Histogram,
    },
    bounds: &[
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
    ],
};
const RESOLVED: Descriptor = Descriptor {
    name: "ping_target_resolved",
    help: "Whether the last run found an address of the wanted family for the target.",
    kind: Kind::Gauge,
};

/// Labels that the module sets itself.
const OWN_LABELS: [&str; 3] = ["target", "address", "family"];
/// Probes of a run: as many as there are ICMP sequence numbers.
const MOST_PROBES: usize = 1 << 16;
/// Kept free for resolving names where there are any.
const RESOLVE_TIME: Duration = Duration::from_secs(1);
/// Kept free at the end of a run.
const RESERVE: Duration = Duration::from_millis(50);
/// How long a probe that finds no room is tried again before it is given up.
const PATIENCE: Duration = Duration::from_millis(20);
/// Packets read at a stretch, so that a flood of them stops neither the sending nor the end of the run.
const GULP: usize = 4096;
/// Addresses that a name had before and whose counters wait for their return: behind some names there are several, in
/// turn. Of one name, and of all together: the header has room for no more than so many.
const OLD_OF_ONE: usize = 8;
const OLD_OF_ALL: usize = 1000;
/// Notes of one kind that are shown.
const MOST_NOTES: usize = 10;

/// A configured ping collector.
#[derive(Debug, PartialEq)]
struct Ping {
    targets: Vec<Target>,
    plan: Plan,
}

/// A duration of at least a millisecond.
struct Time(Duration);

impl Field for Time {
    fn read(node: &Node, problems: &Problems) -> Option<Self> {
        let time = Duration::read(node, problems)?;
        if time < TICK {
            problems.report(node, Wrong::new("this is shorter than 1ms", "write 1ms or more"));
            return None;
        }
        Some(Self(time))
    }
}

fn read(section: &mut Section<'_>, header: &Header) -> Option<Box<dyn Collector>> {
    const CURE: &str = "write `targets:` and a line `- ADDRESS` for each";
    let problems = section.problems();
    let items = section.required::<Vec<Node>>("targets", CURE);
    let count = match section.node("count") {
        Some(node) => read_integer(node, problems, 1, 1000).and_then(|count| usize::try_from(count).ok()),
        None => Some(5),
    };
    let spacing = match section.node("spacing") {
        Some(node) => Time::read(node, problems).map(|time| time.0),
        None => Some(Duration::from_millis(200)),
    };
    let timeout = match section.node("timeout") {
        Some(node) => Time::read(node, problems).map(|time| time.0),
        None => Some(Duration::from_secs(1)),
    };
    for name in OWN_LABELS {
        if header.labels.iter().any(|(label, _)| label == name) {
            let message = format!("`labels` of this file sets `{name}`, which module ping sets itself");
            section.report("", Wrong::new(message, "choose another label name there"));
        }
    }
    let items = items?;
    if items.is_empty() {
        section.report("targets", Wrong::new("there is no target", CURE));
    }
    let read: Vec<Option<Target>> = items.iter().map(|item| Target::read(item, problems)).collect();
    let mut seen: HashMap<&Host, Vec<&Target>> = HashMap::new();
    for (item, target) in items.iter().zip(read.iter().map(Option::as_ref)) {
        let Some(target) = target else { continue };
        for (name, _) in &target.labels {
            if OWN_LABELS.contains(&name.as_ref()) {
                let message = format!("module ping sets the label `{name}` itself");
                problems.report(item, Wrong::new(message, "choose another name"));
            } else if header.labels.iter().any(|(label, _)| label == name) {
                let message = format!("the label `{name}` stands in `labels` of this file already");
                problems.report(item, Wrong::new(message, "keep one of the two"));
            }
        }
        let same = seen.entry(&target.host).or_default();
        if same.iter().any(|other| other.clashes(target)) {
            let message =
                format!("`{}` ({}) stands here for the second time", target.text, word(target.wanted));
            problems.report(item, Wrong::new(message, "keep one, or give them families ipv4 and ipv6"));
        }
        same.push(target);
    }
    let targets: Vec<Target> = read.into_iter().collect::<Option<_>>()?;
    let plan = Plan { targets: targets.len(), count: count?, spacing: spacing?, timeout: timeout? };
    if plan.targets.saturating_mul(plan.count) > MOST_PROBES {
        let message = format!("{} targets x {} probes are more than {MOST_PROBES}", plan.targets, plan.count);
        section.report("targets", Wrong::new(message, "split them over several files, or lower `count`"));
        return None;
    }
    check_time(section, &plan, &targets, header);
    Some(Box::new(Ping { targets, plan }))
}

/// All probes and their timeouts must fit in the time of a run.
fn check_time(section: &Section<'_>, plan: &Plan, targets: &[Target], header: &Header) {
    let show = |time: Duration| humantime::format_duration(time).to_string();
    let names = targets.iter().any(|target| matches!(target.host, Host::Name(_)));
    let resolving = if names { RESOLVE_TIME } else { Duration::ZERO };
    let needed = plan.total().saturating_add(resolving).saturating_add(RESERVE);
    if needed <= header.timeout {
        return;
    }
    let mut sum = format!("{} x {} between probes", plan.count.saturating_sub(1), show(plan.round()));
    if !plan.sending().is_zero() {
        sum += &format!(" + {} to send a round of them", show(plan.sending()));
    }
    sum += &format!(" + {} timeout", show(plan.timeout));
    if names {
        sum += &format!(" + {} to resolve names", show(resolving));
    }
    let message = format!(
        "a run takes {sum} + {} reserve = {}, but the collector's timeout is {}",
        show(RESERVE),
        show(needed),
        show(header.timeout)
    );
    let key = ["timeout", "spacing", "count"].into_iter().find(|key| section.has(key)).unwrap_or("targets");
    section.report(
        key,
        Wrong::new(message, "lower count, spacing or timeout here, or raise the collector's `timeout`"),
    );
}

/// A target and the address that was found for it.
struct Resolved<'a> {
    target: &'a Target,
    address: Result<Address, String>,
}

/// A target, the address that was probed, and what came of it.
type Tallied<'a> = (&'a Target, Address, &'a Tally);

impl Collector for Ping {
    fn collect(&self, run: &Run<'_>, trace: &mut Trace) -> Result<Collection, Failure> {
        let deadline = run.deadline.checked_sub(RESERVE).unwrap_or(run.deadline);
        let resolved = self.resolve(deadline, run)?;
        let keys = RandomState::new();
        let mut sockets: Vec<Socket> = Vec::new();
        let mut missing: Vec<(NoSocket, usize)> = Vec::new();
        for version in Version::ALL {
            let wanting = resolved.iter().filter(|r| version_of(r) == Some(version)).count();
            if wanting == 0 {
                continue;
            }
            let plan = Plan { targets: wanting, ..self.plan };
            // The low bits of a keyed hash: unlike a process id, not to be guessed.
            let id = u16::try_from(keys.hash_one(version) & 0xffff).unwrap_or_default();
            match Socket::open(version, id, plan.in_flight()) {
                Ok(socket) => sockets.push(socket),
                Err(error) => missing.push((error, wanting)),
            }
        }
        if let (true, Some((error, _))) = (sockets.is_empty(), missing.first()) {
            return Err(Failure::new(Outcome::Internal, error.to_string()));
        }
        let probed: Vec<(&Target, Address)> = resolved
            .iter()
            .filter_map(|r| Some((r.target, *r.address.as_ref().ok()?)))
            .filter(|(_, address)| sockets.iter().any(|socket| socket.version() == version_of_ip(address.ip)))
            .collect();
        let addresses = probed.iter().map(|(_, address)| *address).collect();
        let mut session = Session::new(addresses, self.plan, keys, Instant::now(), deadline);
        let refusals = exchange(&mut session, &mut sockets, run)?;
        if !probed.is_empty() && session.tallies().iter().all(|tally| tally.sent == 0) {
            let message = "no probe was sent: this host had no time or no room for any";
            return Err(Failure::new(Outcome::Timeout, message));
        }
        let unresolved = resolved.iter().filter_map(|r| {
            let why = r.address.as_ref().err()?;
            Some(format!("{}: {why}", r.target.text))
        });
        note(&mut trace.notes, unresolved.collect());
        for (error, targets) in &missing {
            trace.notes.push(format!("targets without numbers: {targets}: {error}"));
        }
        let refused = probed.iter().zip(session.tallies()).filter(|(_, tally)| tally.refused > 0);
        let refused = refused.map(|((target, address), tally)| {
            let why = refusals.get(address).map_or("refused", |error| error.desc());
            format!("{}: {} of {} probes could not be sent: {why}", target.text, tally.refused, tally.sent)
        });
        note(&mut trace.notes, refused.collect());
        if session.unsent() > 0 {
            trace.notes.push(format!(
                "{} probes were not sent and do not count: this host had no time or no room for them",
                session.unsent()
            ));
        }
        let lost = session.tallies().iter().any(|tally| tally.received < tally.sent);
        let dropped: u64 = if lost { sockets.iter().map(Socket::dropped).sum() } else { 0 };
        if dropped > 0 {
            trace.notes.push(format!(
                "{dropped} received packets found no room and may show as loss: raise sysctl net.core.rmem_max"
            ));
        }
        let tallied: Vec<Tallied<'_>> = probed
            .iter()
            .zip(session.tallies())
            .map(|((target, address), tally)| (*target, *address, tally))
            .collect();
        let (families, state) = families(&resolved, &tallied, run.previous);
        Ok(Collection { families, state })
    }
}

impl Ping {
    /// An address for every target. Literals never touch the resolver.
    fn resolve(&self, deadline: Instant, run: &Run<'_>) -> Result<Vec<Resolved<'_>>, Failure> {
        // Each name once, though it may be wanted in both families.
        let mut names: BTreeMap<&str, Option<resolve::Answer>> = BTreeMap::new();
        for target in &self.targets {
            if let Host::Name(_) = target.host {
                names.insert(&target.text, None);
            }
        }
        let asked: Vec<&str> = names.keys().copied().collect();
        let until = deadline.checked_sub(self.plan.total()).unwrap_or(deadline);
        let answers = resolve::resolve(&asked, until, run.stop, resolve::look_up);
        if run.stop.is_raised() {
            return Err(Failure::stopped());
        }
        for (slot, answer) in names.values_mut().zip(answers) {
            *slot = Some(answer);
        }
        let resolve = |target: &Target| match &target.host {
            Host::Address(ip, None) => Ok(Address { ip: *ip, zone: 0 }),
            Host::Address(ip, Some(zone)) => match if_nametoindex(zone.as_str()) {
                Ok(zone) => Ok(Address { ip: *ip, zone }),
                Err(error) => Err(format!("interface {zone}: {}", error.desc())),
            },
            Host::Name(_) => match names.get(target.text.as_str()) {
                Some(Some(Ok(found))) => choose(found, target),
                Some(Some(Err(why))) => Err(why.clone()),
                _ => Err("it was not looked up".to_owned()),
            },
        };
        Ok(self.targets.iter().map(|target| Resolved { target, address: resolve(target) }).collect())
    }
}

/// The first address of `found` that the target's family allows and that a host can answer from.
fn choose(found: &[SocketAddr], target: &Target) -> Result<Address, String> {
    let wanted = found.iter().find(|address| {
        target.wanted.is_none_or(|wanted| wanted == version_of_ip(address.ip()))
            && can_be_pinged(address.ip()).is_ok()
    });
    match wanted {
        Some(SocketAddr::V4(address)) => Ok(Address { ip: IpAddr::V4(*address.ip()), zone: 0 }),
        Some(SocketAddr::V6(address)) => {
            Ok(Address { ip: IpAddr::V6(*address.ip()), zone: address.scope_id() })
        }
        None => Err(match target.wanted {
            Some(version) => format!("it has no {} address that can be pinged", version.word()),
            None => "it has no address that can be pinged".to_owned(),
        }),
    }
}

fn version_of_ip(ip: IpAddr) -> Version {
    if ip.is_ipv4() { Version::V4 } else { Version::V6 }
}

fn version_of(resolved: &Resolved<'_>) -> Option<Version> {
    resolved.address.as_ref().ok().map(|address| version_of_ip(address.ip))
}

/// Sends the session's probes and takes the replies until all is over. Returns why the kernel refused what it refused.
fn exchange(
    session: &mut Session,
    sockets: &mut [Socket],
    run: &Run<'_>,
) -> Result<BTreeMap<Address, Errno>, Failure> {
    let mut refusals = BTreeMap::new();
    let mut full_since: Option<Instant> = None;
    loop {
        send_due(session, sockets, &mut full_since, &mut refusals);
        // Whatever has come by now is read before it is judged late.
        let now = Instant::now();
        let mut busy = false;
        for socket in sockets.iter_mut() {
            let (mut read, mut replies) = (Moment::now(), 0_u32);
            let all = socket.receive(GULP, |source, echo, stamp| {
                // Reading the clocks costs as much as reading a packet, so a batch shares them.
                if replies % 64 == 63 {
                    read = Moment::now();
                }
                replies += 1;
                session.reply(source, echo, stamp, read);
            });
            let all = all.map_err(|error| {
                Failure::new(Outcome::Internal, format!("receiving ICMP replies: {}", error.desc()))
            })?;
            busy |= replies > 0 || !all;
        }
        let Some(until) = session.wait_until(now) else { return Ok(refusals) };
        let wait = until.saturating_duration_since(Instant::now());
        // The kernel stamps what comes, so there is no hurry: after some replies, and between the ticks of a round,
        // only `stop` can end the wait, instead of every single packet.
        let stopped = if wait.is_zero() && full_since.is_none() {
            run.stop.is_raised()
        } else if busy || wait <= TICK {
            run.stop.wait(TICK)
        } else {
            wait_for_packets(sockets, run, wait)
        };
        if stopped {
            return Err(Failure::stopped());
        }
    }
}

/// Sends what is due, at most one burst.
fn send_due(
    session: &mut Session,
    sockets: &[Socket],
    full_since: &mut Option<Instant>,
    refusals: &mut BTreeMap<Address, Errno>,
) {
    let begin = Instant::now();
    for _ in 0..session::BURST {
        let Some((number, target)) = session.due(begin) else { return };
        let Some(socket) = sockets.iter().find(|socket| socket.version() == version_of_ip(target.ip)) else {
            session.skip();
            continue;
        };
        let payload = session.payload(number);
        let at = Moment::now();
        match socket.send(target, number, &payload) {
            Send::Sent => {
                *full_since = None;
                session.sent(at);
            }
            Send::Refused(error) => {
                refusals.insert(target, error);
                session.refused();
            }
            Send::Full if at.monotonic.duration_since(*full_since.get_or_insert(at.monotonic)) < PATIENCE => {
                return;
            }
            Send::Full => session.skip(),
        }
    }
}

/// Waits at most `limit` for a packet or for `stop`; whether that was raised.
fn wait_for_packets(sockets: &[Socket], run: &Run<'_>, limit: Duration) -> bool {
    let mut fds = vec![PollFd::new(run.stop.as_fd(), PollFlags::POLLIN)];
    fds.extend(sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
    // Rounded up, or the last part of a millisecond would be spent polling.
    let limit = PollTimeout::try_from(limit.as_millis() + 1).unwrap_or(PollTimeout::MAX);
    // An interrupted wait is a short one; the caller looks again.
    let _ = poll(&mut fds, limit);
    fds.first().and_then(PollFd::any).unwrap_or(false)
}

/// Adds `found` to `notes`, the first few in full.
fn note(notes: &mut Vec<String>, found: Vec<String>) {
    let more = found.len().saturating_sub(MOST_NOTES);
    notes.extend(found.into_iter().take(MOST_NOTES));
    if more > 0 {
        notes.push(format!("and {more} more of these"));
    }
}

/// `address` as it is written, its interface by name where it has one.
fn show(address: Address) -> String {
    if address.zone == 0 {
        return address.ip.to_string();
    }
    let zone = if_indextoname(address.zone).ok().and_then(|name| name.into_string().ok());
    format!("{}%{}", address.ip, zone.unwrap_or_else(|| address.zone.to_string()))
}

/// The families, and the state for the next run. The counters of a target without numbers are kept for when it has some
/// again.
fn families(resolved: &[Resolved<'_>], tallied: &[Tallied<'_>], previous: &State) -> (Vec<Family>, State) {
    let mut gauges = [&LOSS, &MIN, &MEAN, &MAX, &STDDEV, &RESOLVED].map(Family::new);
    let mut push = |descriptor: &Descriptor, labels: Labels, value: f64| {
        if let Some(family) = gauges.iter_mut().find(|family| family.name == descriptor.name) {
            family.push(labels, value);
        }
    };
    for r in resolved {
        let labels = labels(r.target, &[("family", word(r.target.wanted).into())]);
        push(&RESOLVED, labels, if r.address.is_ok() { 1.0 } else { 0.0 });
    }
    let mut totals = Totals::after(previous);
    let mut measured: HashSet<&str> = HashSet::new();
    for (target, address, tally) in tallied {
        let Some(loss) = tally.loss_ratio() else { continue };
        measured.insert(&target.text);
        let shown = show(*address);
        let key = [target.text.as_str(), shown.as_str()];
        let family = version_of_ip(address.ip).word();
        let labels = || labels(target, &[("address", shown.clone().into()), ("family", family.into())]);
        totals.add(&SENT, &key, labels(), tally.sent);
        totals.add(&RECEIVED, &key, labels(), tally.received);
        totals.add(&DUPLICATE, &key, labels(), tally.duplicates);
        totals.observe(&RTT, &key, &labels(), &tally.times);
        push(&LOSS, labels(), loss);
        if tally.received > 0 {
            push(&MIN, labels(), tally.min);
            push(&MEAN, labels(), tally.mean);
            push(&MAX, labels(), tally.max);
            push(&STDDEV, labels(), tally.stddev());
        }
    }
    let mut room = OLD_OF_ALL;
    for r in resolved {
        let text = r.target.text.as_str();
        if measured.contains(text) {
            room = room.saturating_sub(totals.keep(&[text], room.min(OLD_OF_ONE)));
        } else {
            totals.keep(&[text], usize::MAX);
        }
    }
    let (mut families, state) = totals.finish();
    families.extend(gauges.into_iter().filter(|family| !family.samples.is_empty()));
    (families, state)
}

/// The labels of a sample of `target`: its name, `more`, its own.
fn labels(target: &Target, more: &[(&'static str, Cow<'static, str>)]) -> Labels {
    let mut labels: Labels = vec![("target".into(), target.text.clone().into())];
    labels.extend(more.iter().map(|(name, value)| (Cow::Borrowed(*name), value.clone())));
    labels.extend(target.labels.iter().cloned());
    labels
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::OnFailure;
    use crate::config::yaml::decode;
    use crate::exposition::{prove, render};
    use crate::textfile;

    fn header(timeout: Duration, labels: Labels) -> Header {
        Header {
            module: "ping".into(),
            interval: Duration::from_secs(60),
            timeout,
            max_age: Duration::from_secs(300),
            on_failure: OnFailure::Drop,
            splay: false,
            enabled: true,
            user: None,
            max_series: None,
            group: None,
            labels,
        }
    }

    fn load(text: &str, timeout: Duration, labels: Labels) -> Result<Box<dyn Collector>, Vec<String>> {
        let header = header(timeout, labels);
        let read = decode(text, |root, problems| {
            let mut section = Section::open("ping", root, problems)?;
            let collector = read(&mut section, &header);
            section.finish();
            collector
        });
        read.map_err(|problems| {
            problems.iter().map(|p| format!("{}:{}: {} = {}", p.line, p.column, p.message, p.cure)).collect()
        })
    }

    fn problems(text: &str) -> Vec<String> {
        load(text, Duration::from_secs(10), Vec::new()).err().unwrap_or_default()
    }

    #[test]
    fn what_may_be_written() {
        for text in [
            "targets: [127.0.0.1]",
            "{count: 1, spacing: 1ms, timeout: 1ms, targets: [www.example.net]}",
            "targets: [{host: '::1', family: ipv6, labels: {site: ams, rack: '7'}}, fe80::1%eth0]",
            "targets: [{host: a.example, family: ipv4}, {host: a.example, family: ipv6}]",
            // As long as can be: 4 x 2s + 1.95s + the reserve.
            "{targets: [127.0.0.1], spacing: 2s, timeout: 1950ms}",
        ] {
            assert_eq!(problems(text), [""; 0], "{text}");
        }
    }

    #[test]
    fn what_is_shipped_is_right() {
        for (text, timeout) in [
            (include_str!("../../../collectors.d/ping.yaml"), Duration::from_secs(10)),
            (include_str!("../../../collectors.d/examples/ping-targets.yaml"), Duration::from_secs(15)),
        ] {
            let header = header(timeout, Vec::new());
            let read = decode(text, |root, problems| {
                crate::collect::read_module(&mut Section::open("the file", root, problems)?, &header)
            });
            assert!(read.is_ok(), "{read:?}");
        }
    }

    #[test]
    fn what_may_not() {
        let many: String = (0..14_000).map(|n| format!("- 10.0.{}.{}\n", n / 250, n % 250 + 1)).collect();
        let cases: &[(&str, &[&str])] = &[
            ("{}", &["1:1: `ping` has no `targets` = write `targets:` and a line `- ADDRESS` for each"]),
            ("targets: []", &["1:10: there is no target = "]),
            ("targets: 127.0.0.1", &["1:10: this is text, where a list is expected"]),
            (
                "targets: [1.5, [a], {}]",
                &[
                    "1:11: this is a number, where a target is expected",
                    "1:16: this is a list, where a target is expected",
                    "1:21: `targets` has no `host`",
                ],
            ),
            ("targets: [{host: a, fam: x}]", &["1:21: unknown key `fam` in `targets`"]),
            ("targets: [{host: a, family: v4}]", &["1:29: `v4` is not a family = write ipv4, ipv6 or any"]),
            (
                "targets: [{host: 127.0.0.1, family: ipv6}]",
                &["1:37: the host is an ipv4 address, so its family can't be ipv6 = remove `family`"],
            ),
            ("targets: [a, b, A.]", &["1:17: `A.` (any) stands here for the second time"]),
            ("targets: [a, {host: a, family: ipv6}]", &["1:14: `a` (ipv6) stands here for the second time"]),
            ("targets: [{host: '::1'}, '0::1']", &["1:26: `0::1` (ipv6) stands here for the second time"]),
            (
                "targets: [{host: a, labels: {__a: b, b-c: d, e: '', f: 1, le: g}}]",
                &[
                    "1:30: the label `__a` begins with `__`",
                    "1:38: `b-c` is not a label's name",
                    "1:49: an empty label is the same as none",
                    "1:56: this is a number, where text is expected = put it in quotes",
                    "1:59: the label `le` is for histograms",
                ],
            ),
            (
                "targets: [{host: a, labels: {address: b}}]",
                &["1:11: module ping sets the label `address` itself"],
            ),
            ("{targets: [a], count: 0}", &["1:23: 0 is out of range = write a whole number from 1 to 1000"]),
            ("{targets: [a], count: 1001}", &["1:23: 1001 is out of range"]),
            ("{targets: [a], spacing: 100us}", &["1:25: this is shorter than 1ms"]),
            ("{targets: [a], timeout: 5}", &["1:25: a duration needs a unit"]),
            (
                "{targets: [127.0.0.1], timeout: 10s}",
                &[
                    "1:33: a run takes 4 x 200ms between probes + 10s timeout + 50ms reserve = 10s 850ms, but the \
                 collector's timeout is 10s = lower count, spacing or timeout here, or raise the collector's `timeout`",
                ],
            ),
            (
                "{targets: [a], count: 100}",
                &[
                    "1:23: a run takes 99 x 200ms between probes + 1s timeout + 1s to resolve names + 50ms reserve = \
                 21s 850ms",
                ],
            ),
            (&format!("targets:\n{many}"), &["2:1: 14000 targets x 5 probes are more than 65536"]),
        ];
        for (text, expected) in cases {
            let found = problems(text);
            assert_eq!(found.len(), expected.len(), "{:.100}: {found:#?}", text);
            for (found, expected) in found.iter().zip(*expected) {
                assert!(found.starts_with(expected), "{:.100}:\n{found}\n{expected}", text);
            }
        }
    }

    #[test]
    fn durations_of_any_length_are_refused_not_overflown() {
        let found = problems("{targets: [a], count: 1000, spacing: 500000000000y, timeout: 500000000000y}");
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("but the collector's timeout is 10s"), "{found:?}");
    }

    #[test]
    fn the_file_s_labels_and_the_module_s_do_not_meet() {
        let labels = |name: &'static str| vec![(name.into(), "x".into())];
        let text = "targets: [{host: a, labels: {site: b}}]";
        let time = Duration::from_secs(10);
        let found = load(text, time, labels("site")).unwrap_err();
        assert!(
            found[0].starts_with("1:11: the label `site` stands in `labels` of this file already"),
            "{found:?}"
        );
        let found = load(text, time, labels("target")).unwrap_err();
        assert!(found[0].contains("sets `target`, which module ping sets itself"), "{found:?}");
    }

    fn target(text: &str, wanted: target::Wanted) -> Target {
        Target { text: text.into(), host: Host::Name(text.into()), wanted, labels: Vec::new() }
    }

    #[test]
    fn the_first_address_of_the_wanted_family_is_taken() {
        let found: Vec<SocketAddr> =
            ["0.0.0.0:0", "[2001:db8::1]:0", "192.0.2.1:0"].map(|address| address.parse().unwrap()).into();
        let choose = |wanted| choose(&found, &target("a", wanted)).map(|address| address.ip.to_string());
        assert_eq!(choose(None), Ok("2001:db8::1".into()));
        assert_eq!(choose(Some(Version::V4)), Ok("192.0.2.1".into()), "not the unspecified one");
        let none = super::choose(&found[..1], &target("a", Some(Version::V4)));
        assert_eq!(none, Err("it has no ipv4 address that can be pinged".into()));
    }

    /// One run's families and state, of targets with an address each, or none; the families keep every rule.
    fn run(targets: &[(&Target, Option<&str>, Tally)], previous: &State) -> (Vec<Family>, State) {
        let address = |text: &str| Address { ip: text.parse().unwrap(), zone: 0 };
        let resolved: Vec<Resolved<'_>> = targets
            .iter()
            .map(|(target, found, _)| Resolved {
                target,
                address: found.map(address).ok_or_else(|| "no".to_owned()),
            })
            .collect();
        let tallied: Vec<Tallied<'_>> = targets
            .iter()
            .filter_map(|(target, found, tally)| Some((*target, address((*found)?), tally)))
            .collect();
        let (families, state) = families(&resolved, &tallied, previous);
        let mut text = String::new();
        render(&families, &mut text);
        assert!(prove(text.as_bytes()).is_ok(), "{:?}", prove(text.as_bytes()));
        (families, state)
    }

    fn tally(sent: u64, times: &[Duration]) -> Tally {
        let mut tally = Tally::default();
        (tally.sent, tally.received, tally.times) = (sent, times.len() as u64, times.to_vec());
        tally
    }

    /// The values of the series whose names begin with `name`.
    fn values(families: &[Family], name: &str) -> Vec<f64> {
        let samples = families.iter().flat_map(|family| &family.samples);
        samples.filter(|sample| sample.name.starts_with(name)).map(|sample| sample.value).collect()
    }

    #[test]
    fn bounds_rise() {
        assert!(RTT.bounds.is_sorted_by(|lower, upper| lower < upper), "{:?}", RTT.bounds);
    }

    #[test]
    fn what_was_probed_has_a_histogram_answered_or_not() {
        let a = target("a", None);
        let (families, state) = run(&[(&a, Some("192.0.2.1"), tally(5, &[]))], &State::default());
        assert_eq!(values(&families, "ping_rtt_seconds"), [0.0; 18]);
        let times = [80_000, 40_000_000, 41_000_000].map(Duration::from_nanos);
        let (families, _) = run(&[(&a, Some("192.0.2.1"), tally(5, &times))], &state);
        let [one, three] = [1.0, 3.0];
        let buckets = [[one; 8].as_slice(), &[three; 8]].concat();
        assert_eq!(values(&families, "ping_rtt_seconds_bucket"), buckets);
        assert_eq!(values(&families, "ping_rtt_seconds_sum"), [0.081_08]);
        assert_eq!(values(&families, "ping_rtt_seconds_count"), [3.0]);
        assert_eq!(values(&families, "ping_packets_sent_total"), [10.0]);
        // One that this host had no room to send a probe to is not lost, and not probed.
        let (families, _) = run(&[(&a, Some("192.0.2.1"), tally(0, &[]))], &state);
        assert_eq!(values(&families, "ping_rtt"), [0.0; 0]);
    }

    #[test]
    fn counters_wait_for_a_target_that_has_no_numbers() {
        let [a, b] = ["a.example", "b/c"].map(|name| target(name, None));
        let (both, one) = (tally(5, &[]), tally(5, &[Duration::from_millis(1)]));
        let [at_a, at_b] = [Some("192.0.2.1"), Some("192.0.2.2")];
        let all = [(&a, at_a, both.clone()), (&b, at_b, one.clone())];
        let (_, mut state) = run(&all, &State::default());
        state.set("nonsense", u64::MAX);
        for away in [None, at_b] {
            // Either it has no address, or no probe to it found room.
            let (families, after) = run(&[(&a, at_a, both.clone()), (&b, away, tally(0, &[]))], &state);
            assert_eq!(values(&families, "ping_packets_sent_total"), [10.0]);
            let (families, after) = run(&all, &after);
            assert_eq!(values(&families, "ping_packets_sent_total"), [15.0, 10.0]);
            assert_eq!(values(&families, "ping_rtt_seconds_count"), [0.0, 2.0]);
            // One that is no longer in the file is forgotten.
            let (_, after) = run(&all[..1], &after);
            let keys: Vec<&str> = after.iter().map(|(key, _)| key).collect();
            assert!(keys.iter().all(|key| key.starts_with("a.example/192.0.2.1/ping_")), "{keys:?}");
        }
    }

    #[test]
    fn each_of_a_name_s_addresses_goes_on_when_its_turn_comes() {
        let a = target("a", None);
        let mut state = State::default();
        for turn in 1..4 {
            for address in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
                let (families, after) = run(&[(&a, Some(address), tally(5, &[]))], &state);
                assert_eq!(values(&families, "ping_packets_sent_total"), [5.0 * f64::from(turn)]);
                state = after;
            }
        }
    }

    #[test]
    fn old_addresses_are_few() {
        let addresses: Vec<String> = (1..100).map(|n| format!("192.0.2.{n}")).collect();
        let targets: Vec<Target> = (0..200).map(|n| target(&format!("n{n}"), None)).collect();
        let mut state = State::default();
        for address in &addresses[..20] {
            let all: Vec<_> =
                targets.iter().map(|target| (target, Some(address.as_str()), tally(1, &[]))).collect();
            state = run(&all, &state).1;
        }
        let series = |of: &str| state.under(of).count() / 4;
        assert_eq!(series("n0"), 1 + OLD_OF_ONE);
        let all: usize = targets.iter().map(|target| series(&target.text)).sum();
        assert_eq!(all, targets.len() + OLD_OF_ALL);
    }

    /// The sizes of the header and the families of 500 targets, after years in which each answered in all times there
    /// are.
    fn sizes_of_500(address: impl Fn(u32) -> String) -> [usize; 2] {
        let targets: Vec<Target> = (0..500).map(|n| target(&address(n), None)).collect();
        let in_each_bucket: Vec<Duration> =
            RTT.bounds.iter().copied().chain([Duration::from_secs(6)]).collect();
        let all: Vec<_> = targets
            .iter()
            .map(|target| (target, Some(target.text.as_str()), tally(20, &in_each_bucket)))
            .collect();
        let (_, mut state) = run(&all, &State::default());
        let grown: Vec<(String, Vec<u64>)> = state
            .iter()
            .map(|(key, numbers)| {
                // Of a histogram's numbers, the bounds and the places of buckets stay what they are.
                let is_total = |at: usize| numbers.len() == 1 || at % 2 == 1;
                let years = |(at, n): (usize, &u64)| if is_total(at) { n * 10_000_000 } else { *n };
                (key.to_owned(), numbers.iter().enumerate().map(years).collect())
            })
            .collect();
        grown.into_iter().for_each(|(key, numbers)| state.set_numbers(key, numbers));
        let (families, module) = run(&all, &state);
        assert_eq!(values(&families, "ping_rtt_seconds_count")[499], 160_000_016.0);
        let mut state = State::default();
        state.put("module", &module);
        let header = textfile::Header {
            kind: textfile::Kind::Collector,
            source: "/etc/promdrop/collectors.d".into(),
            file: "ping.prom".into(),
            slot: None,
            last_success: None,
            max_age: None,
            definition: None,
            stale: false,
            failure: None,
            state,
        };
        let [mut head, mut body] = [String::new(), String::new()];
        header.render(&mut head);
        render(&families, &mut body);
        [head.len(), body.len()]
    }

    #[test]
    fn five_thousand_targets_have_room() {
        let [head, body] = sizes_of_500(|n| format!("10.20.{}.{}", n / 200, n % 200)).map(|size| size * 10);
        assert!(head < 2_000_000 && head + body < textfile::MAX_FILE, "{head} + {body}");
        // The longest addresses, too much for one file, are still not too much for a header, of 4 MiB.
        let [head, _] = sizes_of_500(|n| format!("2001:db8:1111:2222:3333:4444:5555:{:x}", 0x1000 + n));
        assert!(head * 10 < 5 << 19, "{head}");
    }

    #[test]
    fn notes_of_one_kind_are_few() {
        let mut notes = Vec::new();
        note(&mut notes, (0..1000).map(|n| n.to_string()).collect());
        assert_eq!(notes.len(), MOST_NOTES + 1);
        assert_eq!(notes.last().map(String::as_str), Some("and 990 more of these"));
    }
}
