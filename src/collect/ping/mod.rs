//! Latency and packet loss of many targets at once, over one ICMP socket for each version of IP.
//!
//! - [`definition`]: the section of a collector file; [`target`]: what may be pinged, checked while it is read.
//! - [`resolve`]: targets to addresses, names under a deadline; [`gateway`]: what the routes say.
//! - [`packet`]: bytes. Pure.
//! - [`session`]: what is sent when, who is waited for, what comes of it; [`tally`]: what is known of an address. Pure.
//! - [`socket`]: the kernel; [`settings`]: what is set on one; [`buffer`]: what one receives; [`stamps`]: whether that is
//!   stamped; [`exchange`](mod@exchange): session and sockets together.
//! - [`metrics`]: the families.
//!
//! What counts as what:
//!
//! - A reply counts if it has the identifier, sequence number, payload and source address of a probe that was sent, and
//!   came within `timeout` of its sending, however many probes were sent since. Later ones are lost.
//! - An ICMP error about a probe is counted by kind and decides nothing: what isn't answered is lost, what is answered
//!   isn't.
//! - A probe that the kernel refuses (no route, a firewall's rule, no such interface) is sent and lost: nobody can reach
//!   the target. It is counted apart, too, and a note says so.
//! - A probe that this host has no room or no time for is not sent, and a note says so: that is not the target's fault.
//! - A name without an address, or a target whose version of IP this host lacks, has no numbers at all, only
//!   `ping_target_resolved`, and a note.

pub mod buffer;
pub mod definition;
pub mod exchange;
pub mod gateway;
pub mod metrics;
pub mod packet;
pub mod resolve;
pub mod session;
pub mod settings;
pub mod socket;
pub mod stamps;
pub mod tally;
pub mod target;

use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::trace::Trace;
use super::{Collection, Collector, Failure, Module, Outcome, Run};
use crate::config::Header;
use crate::config::yaml::Section;
use definition::{Definition, MOST_PROBES, RESERVE};
use exchange::{Missing, exchange};
use metrics::{Tallied, families};
use packet::Version;
use resolve::{MOST_ADDRESSES, Resolved};
use session::{Address, Plan, Session};
use socket::{NoSocket, Socket};
use target::Target;

/// The module's line in the table.
pub const MODULE: Module = Module { name: "ping", needs_section: true, takes_user: false, read };

/// Kept between resolving and sending, for what is done meanwhile.
const SETTLE: Duration = Duration::from_millis(100);
/// Notes of one kind that are shown.
const MOST_NOTES: usize = 10;

/// A configured ping collector.
#[derive(Debug, PartialEq)]
struct Ping(Definition);

fn read(section: &mut Section<'_>, header: &Header) -> Option<Box<dyn Collector>> {
    Some(Box::new(Ping(definition::read(section, header)?)))
}

impl Collector for Ping {
    fn collect(&self, run: &Run<'_>, trace: &mut Trace) -> Result<Collection, Failure> {
        let Self(Definition { targets, plan, choice, settings }) = self;
        let deadline = run.deadline.checked_sub(RESERVE / 2).unwrap_or(run.deadline);
        let time = plan.total().saturating_add(SETTLE);
        let resolved = resolve::addresses(targets, deadline.checked_sub(time).unwrap_or(deadline), run.stop);
        if run.stop.is_raised() {
            return Err(Failure::stopped());
        }
        let found = pairs(&resolved, trace);
        let keys = RandomState::new();
        let (mut sockets, missing) = self.sockets(&found, &keys, trace)?;
        stamps::await_stamps(SETTLE / 4, run.stop);
        let has_way = |version| {
            sockets.iter().any(|socket| socket.version() == version)
                || missing.iter().any(|(other, _)| *other == version)
        };
        let mut probed = found;
        probed.retain(|(_, address)| has_way(Version::of(address.ip)));
        let start = Instant::now();
        let plan = fit(*plan, &mut probed, deadline.saturating_duration_since(start), trace);
        let addresses = probed.iter().map(|(_, address)| *address).collect();
        let mut session = Session::new(addresses, plan, keys, start, deadline);
        let refusals = exchange(&mut session, &mut sockets, &missing, run.stop).map_err(failure)?;
        if !probed.is_empty() && session.tallies().iter().all(|tally| tally.sent == 0) {
            let message = "no probe was sent: this host had no time or no room for any";
            return Err(Failure::new(Outcome::Timeout, message));
        }
        let tallied: Vec<Tallied<'_>> = probed
            .iter()
            .zip(session.tallies())
            .map(|((target, address), tally)| (*target, *address, tally))
            .collect();
        tell(&tallied, &refusals, session.unsent(), &sockets, trace);
        tell_unstamped(settings.tx_timestamps, session.unstamped(), trace);
        let (families, state) = families(choice, &resolved, &tallied, run.previous);
        Ok(Collection { families, state })
    }
}

impl Ping {
    /// A socket for each version of IP that there are addresses of and that this host has; and for which of them there is
    /// no way out, since the interface or the source is not there.
    fn sockets(
        &self,
        found: &[(&Target, Address)],
        keys: &RandomState,
        trace: &mut Trace,
    ) -> Result<(Vec<Socket>, Vec<Missing>), Failure> {
        let (mut sockets, mut missing) = (Vec::new(), Vec::new());
        let mut denied: Vec<(NoSocket, usize)> = Vec::new();
        for version in Version::ALL {
            let wanting = found.iter().filter(|(_, address)| Version::of(address.ip) == version).count();
            if wanting == 0 {
                continue;
            }
            let in_flight = Plan { targets: wanting, ..self.0.plan }.in_flight();
            // The low bits of a keyed hash: unlike a process id, not to be guessed.
            let id = u16::try_from(keys.hash_one(version) & 0xffff).unwrap_or_default();
            match Socket::open(version, id, in_flight, &self.0.settings) {
                Ok(socket) => sockets.push(socket),
                Err(NoSocket::Unset(version, unset)) => {
                    missing.push((version, unset.error));
                    trace.notes.push(NoSocket::Unset(version, unset).to_string());
                }
                Err(error) => denied.push((error, wanting)),
            }
        }
        if let (true, true, Some((error, _))) = (sockets.is_empty(), missing.is_empty(), denied.first()) {
            return Err(Failure::new(Outcome::Internal, error.to_string()));
        }
        for (error, addresses) in &denied {
            trace.notes.push(format!("addresses without numbers: {addresses}: {error}"));
        }
        Ok((sockets, missing))
    }
}

fn failure(error: exchange::Error) -> Failure {
    match error {
        exchange::Error::Stopped => Failure::stopped(),
        exchange::Error::Receiving(errno) => {
            Failure::new(Outcome::Internal, format!("receiving ICMP replies: {}", errno.desc()))
        }
    }
}

/// Each target with each of its addresses; what has none, or too many, is noted.
fn pairs<'a>(resolved: &[Resolved<'a>], trace: &mut Trace) -> Vec<(&'a Target, Address)> {
    let unresolved = resolved.iter().filter_map(|r| {
        let why = r.addresses.as_ref().err()?;
        Some(format!("{}: {why}", r.target.text))
    });
    note(&mut trace.notes, unresolved.collect());
    let full = resolved.iter().filter(|r| r.addresses.as_ref().is_ok_and(|all| all.len() == MOST_ADDRESSES));
    let full =
        full.map(|r| format!("{}: of its addresses, the first {MOST_ADDRESSES} are probed", r.target.text));
    note(&mut trace.notes, full.collect());
    let all = |r: &Resolved<'a>| {
        let target = r.target;
        r.addresses.iter().flatten().map(move |address| (target, *address)).collect::<Vec<_>>()
    };
    resolved.iter().flat_map(all).collect()
}

/// The plan for what is to be `probed`, which may be more addresses than there are targets: each has as many probes as
/// `time` and the sequence numbers of a run are enough for.
fn fit(plan: Plan, probed: &mut Vec<(&Target, Address)>, time: Duration, trace: &mut Trace) -> Plan {
    let more = probed.len().saturating_sub(MOST_PROBES);
    if more > 0 {
        trace.notes.push(format!("{more} addresses are not probed: a run has {MOST_PROBES} probes"));
        probed.truncate(MOST_PROBES);
    }
    let mut fitting = Plan { targets: probed.len(), ..plan };
    let fits = |plan: &Plan| plan.total() <= time && plan.targets.saturating_mul(plan.count) <= MOST_PROBES;
    // What was enough for the targets was too little for their addresses.
    while probed.len() > plan.targets && fitting.count > 1 && !fits(&fitting) {
        fitting.count -= 1;
    }
    if fitting.count < plan.count {
        let (addresses, count) = (probed.len(), fitting.count);
        trace.notes.push(format!(
            "{count} probes to each of {addresses} addresses: there is no time for {}",
            plan.count
        ));
    }
    fitting
}

/// Notes what no series tells, or not why.
fn tell(
    tallied: &[Tallied<'_>],
    refusals: &BTreeMap<Address, Errno>,
    unsent: usize,
    sockets: &[Socket],
    trace: &mut Trace,
) {
    let refused = tallied.iter().filter(|(.., tally)| tally.refused > 0).map(|(target, address, tally)| {
        let why = refusals.get(address).map_or("refused", |error| error.desc());
        format!("{}: {} of {} probes could not be sent: {why}", target.text, tally.refused, tally.sent)
    });
    note(&mut trace.notes, refused.collect());
    if unsent > 0 {
        trace.notes.push(format!(
            "{unsent} probes were not sent and do not count: this host had no time or no room for them"
        ));
    }
    let lost = tallied.iter().any(|(.., tally)| tally.received < tally.sent);
    let dropped: u64 = if lost { sockets.iter().map(Socket::dropped).sum() } else { 0 };
    if dropped > 0 {
        trace.notes.push(format!(
            "{dropped} received packets found no room and may show as loss: raise sysctl net.core.rmem_max"
        ));
    }
}

/// Notes how many answers are to probes that the kernel was to tell the leaving of and didn't.
fn tell_unstamped(was_asked: bool, unstamped: usize, trace: &mut Trace) {
    if was_asked && unstamped > 0 {
        trace.notes.push(format!(
            "of {unstamped} probes that were answered the kernel did not tell when they left: their times begin before"
        ));
    }
}

/// Adds `found` to `notes`, the first few in full.
fn note(notes: &mut Vec<String>, found: Vec<String>) {
    let more = found.len().saturating_sub(MOST_NOTES);
    notes.extend(found.into_iter().take(MOST_NOTES));
    if more > 0 {
        notes.push(format!("and {more} more of these"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_of_one_kind_are_few() {
        let mut notes = Vec::new();
        note(&mut notes, (0..1000).map(|n| n.to_string()).collect());
        assert_eq!(notes.len(), MOST_NOTES + 1);
        assert_eq!(notes.last().map(String::as_str), Some("and 990 more of these"));
    }
}
