//! Which probe is sent when, who is waited for, and what comes of it. Pure: the clocks are passed in.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::packet::{self, Echo, ErrorKind};
use super::tally::Tally;

/// Sends of one tick: a wake-up for each probe would cost more than the probe itself.
pub const BURST: usize = 64;
/// How often probes are sent.
pub const TICK: Duration = Duration::from_millis(1);
/// How far sending may lag behind and still catch up.
const SLIP: Duration = Duration::from_millis(10);
/// When everything is answered, duplicates are waited for at least this long, or as long as the slowest reply took.
const LINGER: Duration = Duration::from_millis(20);
/// The realtime clock and the monotonic one drift apart by less while a probe is under way, unless one was set.
const STEP: Duration = Duration::from_millis(1);

/// Where probes go to and replies come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    /// The address.
    pub ip: IpAddr,
    /// The interface's index for a link-local IPv6 address, else 0.
    pub zone: u32,
}

/// One moment on both clocks: the kernel stamps replies on the realtime clock, which can be set.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    /// CLOCK_MONOTONIC.
    pub monotonic: Instant,
    /// CLOCK_REALTIME, since the epoch.
    pub realtime: Duration,
}

impl Moment {
    /// Time from `self` to a packet that the kernel stamped at `stamp` and that was read at `read`.
    ///
    /// The stamp is exact, but on the realtime clock. Where that was set meanwhile, or where there is no stamp, the
    /// time of reading stands in: no shorter than the truth.
    fn until(self, stamp: Option<Duration>, read: Moment) -> Duration {
        let bound = read.monotonic.saturating_duration_since(self.monotonic);
        let Some(stamp) = stamp else { return bound };
        let set = (read.realtime.as_nanos().abs_diff(self.realtime.as_nanos())).abs_diff(bound.as_nanos());
        match stamp.checked_sub(self.realtime) {
            Some(time) if set < STEP.as_nanos() && time <= bound.saturating_add(STEP) => time,
            _ => bound,
        }
    }
}

/// What became of a probe.
#[derive(Debug, Clone, Copy)]
enum Probe {
    /// Not sent, or never to be.
    Unsent,
    /// Sent then; no reply yet.
    Sent(Sent),
    /// The kernel refused to send it: there is no way to the target.
    Refused,
    /// Answered in time.
    Answered,
}

/// A probe under way.
#[derive(Debug, Clone, Copy)]
struct Sent {
    at: Moment,
    /// Whether that is when it left.
    left: bool,
    /// Whether an ICMP error came back for it: of several, the first counts. A reply may still come.
    failed: bool,
}

/// A reply as it was received.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    /// Who sent it.
    pub source: Address,
    /// What it is.
    pub echo: Echo<'a>,
    /// The hop limit it had left, where that is known.
    pub hop_limit: Option<u8>,
    /// When the kernel received it, on the realtime clock, since the epoch.
    pub stamp: Option<Duration>,
}

/// What a received reply is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The first one, in time.
    Answer,
    /// One more to a probe that was answered.
    Duplicate,
    /// After the timeout: lost.
    Late,
    /// Not an answer to any probe of ours: another's, damaged or forged.
    Stranger,
}

/// How many probes go to how many targets, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Targets.
    pub targets: usize,
    /// Probes to each.
    pub count: usize,
    /// From one probe of a target to its next.
    pub spacing: Duration,
    /// How long after its sending a reply counts.
    pub timeout: Duration,
    /// Bytes that each probe carries.
    pub size: usize,
}

impl Plan {
    /// Time it takes to send one probe to every target but the last tick's.
    pub fn sending(&self) -> Duration {
        TICK.saturating_mul(u32::try_from(self.targets.saturating_sub(1) / BURST).unwrap_or(u32::MAX))
    }

    /// From one round of probes to the next.
    pub fn round(&self) -> Duration {
        self.spacing.max(self.sending() + TICK)
    }

    /// From the first probe until the last one's timeout.
    pub fn total(&self) -> Duration {
        let rounds = u32::try_from(self.count.saturating_sub(1)).unwrap_or(u32::MAX);
        self.round().saturating_mul(rounds).saturating_add(self.sending()).saturating_add(self.timeout)
    }

    /// The most replies that may be under way at once.
    pub fn in_flight(&self) -> usize {
        let rounds = self.timeout.as_nanos() / self.round().as_nanos().max(1) + 1;
        self.targets.saturating_mul(self.count.min(usize::try_from(rounds).unwrap_or(usize::MAX)))
    }
}

/// A run of probes: first one to every target, then the second, and so on.
#[derive(Debug)]
pub struct Session {
    plan: Plan,
    targets: Vec<Address>,
    /// Keys each probe's cookie; fresh each run, so that nobody off the path can guess one.
    keys: RandomState,
    start: Instant,
    /// No probe is sent after it.
    send_until: Instant,
    probes: Vec<Probe>,
    /// The next probe to send.
    next: usize,
    tallies: Vec<Tally>,
    /// Of each target, the last of its probes that was answered.
    newest: Vec<usize>,
    /// Probes that are waited for.
    open: usize,
    /// No reply is waited for any longer than until here.
    end: Instant,
    /// Up to here for duplicates where all is answered.
    linger_until: Instant,
    slowest: Duration,
    unstamped: usize,
}

impl Session {
    /// Starts at `start`; probes whose timeout would not pass before `deadline` are not sent.
    pub fn new(
        targets: Vec<Address>,
        plan: Plan,
        keys: RandomState,
        start: Instant,
        deadline: Instant,
    ) -> Self {
        let plan = Plan { targets: targets.len(), ..plan };
        Self {
            plan,
            keys,
            start,
            send_until: deadline.checked_sub(plan.timeout).unwrap_or(start),
            probes: vec![Probe::Unsent; targets.len().saturating_mul(plan.count)],
            next: 0,
            tallies: vec![Tally::default(); targets.len()],
            newest: vec![0; targets.len()],
            targets,
            open: 0,
            end: start,
            linger_until: start,
            slowest: Duration::ZERO,
            unstamped: 0,
        }
    }

    /// The probe to send at `now`, and where to. Call it until it is `None` or [`BURST`] have been sent.
    ///
    /// The number is also the ICMP sequence number, so a run has at most 65536 probes.
    pub fn due(&mut self, now: Instant) -> Option<(u16, Address)> {
        let next = self.next_time()?;
        if now > self.send_until || next > now {
            return None;
        }
        // What was held up for longer goes on from here at its pace: all of it at once would drown its own replies.
        let behind = now.duration_since(next);
        if behind > SLIP {
            self.start += behind;
        }
        let target = self.targets.get(self.next % self.targets.len())?;
        Some((u16::try_from(self.next).ok()?, *target))
    }

    /// When the next probe is due; `None` if none is left.
    fn next_time(&self) -> Option<Instant> {
        if self.next >= self.probes.len() {
            return None;
        }
        let round = u32::try_from(self.next / self.targets.len().max(1)).ok()?;
        let place = u32::try_from(self.next % self.targets.len().max(1) / BURST).ok()?;
        self.start.checked_add(self.plan.round().checked_mul(round)?.checked_add(TICK * place)?)
    }

    /// The cookie that probe `number` carries.
    pub fn cookie(&self, number: u16) -> u64 {
        self.keys.hash_one(number)
    }

    /// The due probe was handed to the kernel at `at`.
    pub fn sent(&mut self, at: Moment) {
        if let Some((probe, tally)) = self.take_next() {
            *probe = Probe::Sent(Sent { at, left: false, failed: false });
            tally.sent += 1;
            self.open += 1;
            self.end = at.monotonic.checked_add(self.plan.timeout).unwrap_or(at.monotonic);
        }
    }

    /// The kernel has no way to the due probe's target.
    pub fn refused(&mut self) {
        if let Some((probe, tally)) = self.take_next() {
            *probe = Probe::Refused;
            tally.sent += 1;
            tally.refused += 1;
        }
    }

    /// The due probe can't be sent for a reason of this host's own: it does not count.
    pub fn skip(&mut self) {
        let _ = self.take_next();
    }

    fn take_next(&mut self) -> Option<(&mut Probe, &mut Tally)> {
        let at = self.next;
        let target = at % self.targets.len().max(1);
        self.next += 1;
        Some((self.probes.get_mut(at)?, self.tallies.get_mut(target)?))
    }

    /// Takes a reply that was read at `read`.
    pub fn reply(&mut self, reply: &Reply<'_>, read: Moment) -> Verdict {
        let Reply { source, echo, hop_limit, stamp } = *reply;
        let (number, timeout) = (usize::from(echo.sequence), self.plan.timeout);
        let whole =
            echo.payload.len() == self.plan.size && packet::carries(echo.payload, self.cookie(echo.sequence));
        let Some((probe, tally, newest)) = self.probe(number, source).filter(|_| whole) else {
            return Verdict::Stranger;
        };
        match *probe {
            Probe::Sent(Sent { at, left, .. }) => {
                let time = at.until(stamp, read);
                if time > timeout {
                    tally.late += 1;
                    return Verdict::Late;
                }
                *probe = Probe::Answered;
                tally.add(time);
                tally.hop_limit = hop_limit;
                tally.out_of_order += u64::from(number < *newest);
                *newest = number.max(*newest);
                self.unstamped += usize::from(!left);
                self.open = self.open.saturating_sub(1);
                self.slowest = self.slowest.max(time);
                self.linger_until = read.monotonic + self.slowest.max(LINGER);
                Verdict::Answer
            }
            Probe::Answered => {
                tally.duplicates += 1;
                Verdict::Duplicate
            }
            // No reply to what was not sent is one of ours, whatever it carries.
            Probe::Unsent | Probe::Refused => Verdict::Stranger,
        }
    }

    /// Takes an ICMP error of `kind` about the request `echo` to `target`. It decides nothing: anybody on the way can
    /// send one, and a reply may still come. Whether it was about a probe that is under way.
    pub fn error(&mut self, target: Address, echo: &Echo<'_>, kind: ErrorKind) -> bool {
        // What is quoted may be cut, and other things may stand behind it (RFC 4884).
        let quoted = echo.payload.get(..self.plan.size).unwrap_or(echo.payload);
        let ours = packet::carries(quoted, self.cookie(echo.sequence));
        match self.probe(usize::from(echo.sequence), target) {
            Some((Probe::Sent(sent), tally, _)) if ours && !sent.failed => {
                sent.failed = true;
                tally.add_error(kind);
                true
            }
            _ => false,
        }
    }

    /// Probe `number` left the host at `stamp`, on the realtime clock, since the epoch, as was read at `read`: later than it
    /// was handed to the kernel, but before its reply.
    pub fn left(&mut self, number: u16, stamp: Duration, read: Moment) {
        let Some(Probe::Sent(Sent { at, left, .. })) = self.probes.get_mut(usize::from(number)) else {
            return;
        };
        // Of a clock that was set meanwhile nothing is believed.
        let most = read.monotonic.saturating_duration_since(at.monotonic).saturating_add(STEP);
        let Some(waited) = stamp.checked_sub(at.realtime).filter(|waited| *waited <= most) else { return };
        let Some(monotonic) = at.monotonic.checked_add(waited) else { return };
        (*at, *left) = (Moment { monotonic, realtime: stamp }, true);
        self.end = self.end.max(monotonic.checked_add(self.plan.timeout).unwrap_or(monotonic));
    }

    /// Answers to probes of which nobody told when they left.
    pub fn unstamped(&self) -> usize {
        self.unstamped
    }

    /// Probe `number` if it went to `target`, with what is known of that and the last of its probes that was answered.
    fn probe(&mut self, number: usize, target: Address) -> Option<(&mut Probe, &mut Tally, &mut usize)> {
        let at = number % self.targets.len().max(1);
        if *self.targets.get(at)? != target {
            return None;
        }
        Some((self.probes.get_mut(number)?, self.tallies.get_mut(at)?, self.newest.get_mut(at)?))
    }

    /// When to look again at the latest; `None` when all is over at `now`.
    pub fn wait_until(&self, now: Instant) -> Option<Instant> {
        match self.next_time() {
            Some(next) if next <= self.send_until && now <= self.send_until => Some(next),
            _ => {
                let end = if self.open == 0 { self.end.min(self.linger_until) } else { self.end };
                (now < end).then_some(end)
            }
        }
    }

    /// What is known of each target, in their order.
    pub fn tallies(&self) -> &[Tally] {
        &self.tallies
    }

    /// Probes that were never sent, for want of time or of room in the kernel.
    pub fn unsent(&self) -> usize {
        self.probes.iter().filter(|probe| matches!(probe, Probe::Unsent)).count()
    }
}

#[cfg(test)]
mod tests;
