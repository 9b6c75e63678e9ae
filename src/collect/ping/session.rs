//! Which probe is sent when, who is waited for, and what comes of it. Pure: the clocks are passed in.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::packet::{self, Echo, PAYLOAD};

/// Sends of one tick: a wake-up for each probe would cost more than the probe itself.
pub const BURST: usize = 64;
/// How often probes are sent.
pub const TICK: Duration = Duration::from_millis(1);
/// When everything is answered, duplicates are waited for at least this long, or as long as the slowest reply took.
const LINGER: Duration = Duration::from_millis(20);
/// The realtime clock and the monotonic one drift apart by less while a probe is under way, unless one was set.
const STEP: Duration = Duration::from_millis(1);

/// Where probes go to and replies come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
    Sent(Moment),
    /// The kernel refused to send it: there is no way to the target.
    Refused,
    /// Answered in time.
    Answered,
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

/// What is known of a target. Times in seconds, unless they are durations.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    /// Probes sent, those included that the kernel refused for want of a way to the target: lost like any other.
    pub sent: u64,
    /// Of these, the refused ones.
    pub refused: u64,
    /// Probes answered in time.
    pub received: u64,
    /// Further replies to probes that were answered.
    pub duplicates: u64,
    /// The times of the answers, one for each probe that was answered.
    pub times: Vec<Duration>,
    /// Shortest time.
    pub min: f64,
    /// Longest time.
    pub max: f64,
    /// Mean time.
    pub mean: f64,
    /// Sum of the squares of the differences from the mean (Welford's method, which loses no digits).
    squares: f64,
}

impl Tally {
    /// Standard deviation of the times, of the population.
    pub fn stddev(&self) -> f64 {
        if self.received == 0 { 0.0 } else { (self.squares / self.received as f64).sqrt() }
    }

    /// Share of the sent probes that no reply in time came to; `None` where none was sent.
    pub fn loss_ratio(&self) -> Option<f64> {
        (self.sent > 0).then(|| self.sent.saturating_sub(self.received) as f64 / self.sent as f64)
    }

    fn add(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        self.received += 1;
        self.times.push(time);
        let off = seconds - self.mean;
        self.mean += off / self.received as f64;
        self.squares += off * (seconds - self.mean);
        self.min = if self.received == 1 { seconds } else { self.min.min(seconds) };
        self.max = self.max.max(seconds);
    }
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
    /// Probes that are waited for.
    open: usize,
    /// No reply is waited for any longer than until here.
    end: Instant,
    /// Up to here for duplicates where all is answered.
    linger_until: Instant,
    slowest: Duration,
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
            targets,
            open: 0,
            end: start,
            linger_until: start,
            slowest: Duration::ZERO,
        }
    }

    /// The probe to send at `now`, and where to. Call it until it is `None` or [`BURST`] have been sent.
    ///
    /// The number is also the ICMP sequence number, so a run has at most 65536 probes.
    pub fn due(&self, now: Instant) -> Option<(u16, Address)> {
        if now > self.send_until || self.next_time()? > now {
            return None;
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

    /// The payload of probe `number`.
    pub fn payload(&self, number: u16) -> [u8; PAYLOAD] {
        packet::payload(self.keys.hash_one(number))
    }

    /// The due probe was handed to the kernel at `at`.
    pub fn sent(&mut self, at: Moment) {
        if let Some((probe, tally)) = self.take_next() {
            *probe = Probe::Sent(at);
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

    /// Takes a reply from `source` that the kernel stamped (realtime, since the epoch) and that was read at `read`.
    pub fn reply(
        &mut self,
        source: Address,
        echo: &Echo<'_>,
        stamp: Option<Duration>,
        read: Moment,
    ) -> Verdict {
        let number = usize::from(echo.sequence);
        let target = number % self.targets.len().max(1);
        if self.targets.get(target) != Some(&source) || echo.payload != self.payload(echo.sequence) {
            return Verdict::Stranger;
        }
        let (Some(probe), Some(tally)) = (self.probes.get_mut(number), self.tallies.get_mut(target)) else {
            return Verdict::Stranger;
        };
        match *probe {
            Probe::Sent(at) => {
                let time = at.until(stamp, read);
                if time > self.plan.timeout {
                    return Verdict::Late;
                }
                *probe = Probe::Answered;
                tally.add(time);
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
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000_000);

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// A session and both its clocks.
    struct World {
        session: Session,
        zero: Instant,
        /// How far the realtime clock was set since the start, in milliseconds.
        set: i64,
    }

    impl World {
        fn new(targets: u8, count: usize, spacing: Duration, timeout: Duration) -> Self {
            let addresses: Vec<Address> = (0..targets).map(address).collect();
            let zero = Instant::now();
            let plan = Plan { targets: addresses.len(), count, spacing, timeout };
            let keys = RandomState::new();
            let session = Session::new(addresses, plan, keys, zero, zero + Duration::from_secs(60));
            Self { session, zero, set: 0 }
        }

        fn moment(&self, at: Duration) -> Moment {
            Moment { monotonic: self.zero + at, realtime: self.wall(at) }
        }

        fn wall(&self, at: Duration) -> Duration {
            let set = ms(self.set.unsigned_abs());
            if self.set < 0 { START + at - set } else { START + at + set }
        }

        /// Sends all that is due at `at`; the numbers.
        fn send(&mut self, at: Duration) -> Vec<u16> {
            let mut sent = Vec::new();
            while let Some((number, _)) = self.session.due(self.zero + at) {
                self.session.sent(self.moment(at));
                sent.push(number);
            }
            sent
        }

        /// A good reply to probe `number` from target `from`, which arrives at `at` and is read at `read`.
        fn reply(&mut self, from: u8, number: u16, at: Duration, read: Duration) -> Verdict {
            let payload = self.session.payload(number);
            let echo = Echo { id: 0, sequence: number, payload: &payload };
            let (stamp, read) = (self.wall(at), self.moment(read));
            self.session.reply(address(from), &echo, Some(stamp), read)
        }
    }

    fn address(n: u8) -> Address {
        Address { ip: IpAddr::from([127, 0, 0, n]), zone: 0 }
    }

    fn near(value: f64, expected: f64) -> bool {
        (value - expected).abs() < 1e-9
    }

    #[test]
    fn rounds_are_spaced_and_every_target_has_its_probe_in_each() {
        let mut world = World::new(3, 2, ms(200), ms(1000));
        assert_eq!(world.send(ms(0)), [0, 1, 2]);
        assert_eq!(world.send(ms(199)), Vec::<u16>::new());
        assert_eq!(world.session.wait_until(world.zero + ms(199)), Some(world.zero + ms(200)));
        assert_eq!(world.send(ms(200)), [3, 4, 5]);
        assert_eq!(world.session.wait_until(world.zero + ms(201)), Some(world.zero + ms(1200)));
        assert_eq!(world.session.wait_until(world.zero + ms(1200)), None);
    }

    #[test]
    fn a_round_of_many_is_sent_in_ticks() {
        let mut world = World::new(150, 2, ms(1), ms(1000));
        assert_eq!(world.send(ms(0)).len(), 64);
        assert_eq!(world.send(ms(1)).len(), 64);
        // The second round begins only when the first is over, though the spacing is shorter.
        assert_eq!(world.send(ms(2)).len(), 22);
        assert_eq!(world.send(ms(5)).len(), 150);
        assert_eq!(world.session.plan.total(), ms(3 + 2 + 1000));
    }

    #[test]
    fn times_are_those_of_the_stamps_not_of_the_reading() {
        let mut world = World::new(1, 3, ms(10), ms(1000));
        for (round, time) in [(0, 10), (1, 20), (2, 30)] {
            world.send(ms(round * 10));
            let at = ms(round * 10 + time);
            let number = u16::try_from(round).unwrap();
            assert_eq!(world.reply(0, number, at, at + ms(44)), Verdict::Answer);
        }
        let tally = &world.session.tallies()[0];
        assert!(near(tally.min, 0.01) && near(tally.mean, 0.02) && near(tally.max, 0.03), "{tally:?}");
        assert!(near(tally.stddev(), (2e-4_f64 / 3.0).sqrt()), "{tally:?}");
        assert_eq!(tally.times, [10, 20, 30].map(ms));
        assert_eq!(tally.loss_ratio(), Some(0.0));
    }

    #[test]
    fn late_is_not_lost_until_the_timeout() {
        let mut world = World::new(1, 3, ms(10), ms(100));
        for at in [0, 10, 20] {
            world.send(ms(at));
        }
        // Out of order, after the next probes were sent, but in time; read after the timeout.
        assert_eq!(world.reply(0, 1, ms(110), ms(500)), Verdict::Answer);
        assert_eq!(world.reply(0, 0, ms(101), ms(101)), Verdict::Late);
        assert_eq!(world.reply(0, 0, ms(102), ms(102)), Verdict::Late);
        let tally = &world.session.tallies()[0];
        assert_eq!((tally.sent, tally.received, tally.duplicates), (3, 1, 0));
        assert_eq!(tally.times, [ms(100)]);
        assert!(near(tally.loss_ratio().unwrap(), 2.0 / 3.0));
    }

    #[test]
    fn duplicates_and_strangers_are_no_answers() {
        let mut world = World::new(2, 2, ms(100), ms(1000));
        world.send(ms(0));
        assert_eq!(world.reply(0, 0, ms(1), ms(1)), Verdict::Answer);
        assert_eq!(world.reply(0, 0, ms(2), ms(2)), Verdict::Duplicate);
        assert_eq!(world.reply(0, 1, ms(2), ms(2)), Verdict::Stranger, "another target's");
        assert_eq!(world.reply(9, 1, ms(2), ms(2)), Verdict::Stranger, "from nowhere");
        assert_eq!(world.reply(1, 3, ms(2), ms(2)), Verdict::Stranger, "not sent yet");
        assert_eq!(world.reply(1, 5, ms(2), ms(2)), Verdict::Stranger, "never to be sent");
        let read = world.moment(ms(2));
        let other = world.session.payload(3);
        for payload in [&other[..], &other[..8], &[]] {
            let echo = Echo { id: 0, sequence: 1, payload };
            assert_eq!(world.session.reply(address(1), &echo, None, read), Verdict::Stranger);
        }
        let zoned = Address { zone: 2, ..address(1) };
        let payload = world.session.payload(1);
        let echo = Echo { id: 0, sequence: 1, payload: &payload };
        assert_eq!(world.session.reply(zoned, &echo, None, read), Verdict::Stranger, "another interface");
        let received: Vec<(u64, u64)> =
            world.session.tallies().iter().map(|tally| (tally.received, tally.duplicates)).collect();
        assert_eq!(received, [(1, 1), (0, 0)]);
        assert_eq!(world.session.tallies()[0].times, [ms(1)], "the first reply's");
    }

    #[test]
    fn cookies_are_new_each_run() {
        let [one, two] = [(); 2].map(|()| World::new(1, 1, ms(1), ms(1)).session.payload(0));
        assert_ne!(one, two);
    }

    #[test]
    fn a_clock_that_is_set_does_not_bend_the_times() {
        for set in [-3_600_000, -50, 50, 3_600_000] {
            let mut world = World::new(1, 1, ms(1), ms(1000));
            world.send(ms(0));
            world.set = set;
            assert_eq!(world.reply(0, 0, ms(100), ms(101)), Verdict::Answer);
            let tally = &world.session.tallies()[0];
            assert!(near(tally.mean, 0.101), "set by {set}ms: {tally:?}");
        }
    }

    #[test]
    fn a_stamp_that_can_not_be_is_not_believed() {
        for stamp in [None, Some(Duration::ZERO), Some(START + ms(900)), Some(Duration::MAX)] {
            let mut world = World::new(1, 1, ms(1), ms(1000));
            world.send(ms(0));
            let payload = world.session.payload(0);
            let echo = Echo { id: 0, sequence: 0, payload: &payload };
            let read = world.moment(ms(100));
            assert_eq!(world.session.reply(address(0), &echo, stamp, read), Verdict::Answer);
            assert!(near(world.session.tallies()[0].mean, 0.1), "{stamp:?}");
        }
    }

    #[test]
    fn all_answered_ends_the_run_but_for_duplicates() {
        let mut world = World::new(1, 1, ms(1), ms(1000));
        world.send(ms(0));
        world.reply(0, 0, ms(50), ms(50));
        assert_eq!(world.session.wait_until(world.zero + ms(51)), Some(world.zero + ms(100)));
        assert_eq!(world.session.wait_until(world.zero + ms(100)), None);
    }

    #[test]
    fn refused_is_lost_and_skipped_does_not_count() {
        let mut world = World::new(2, 1, ms(1), ms(1000));
        world.session.refused();
        world.session.skip();
        assert_eq!(world.reply(0, 0, ms(1), ms(1)), Verdict::Stranger);
        let [refused, skipped] = [0, 1].map(|n| &world.session.tallies()[n]);
        assert_eq!((refused.sent, refused.loss_ratio()), (1, Some(1.0)));
        assert_eq!((skipped.sent, skipped.loss_ratio()), (0, None));
        assert_eq!(world.session.unsent(), 1);
        assert_eq!(world.session.wait_until(world.zero + ms(1)), None, "nothing to wait for");
    }

    #[test]
    fn no_probe_is_sent_that_could_not_be_waited_for() {
        let mut world = World::new(1, 100, ms(1000), ms(1000));
        let mut now = ms(0);
        while let Some(until) = world.session.wait_until(world.zero + now) {
            now = until - world.zero;
            world.send(now);
        }
        assert_eq!(now, Duration::from_secs(60), "the deadline");
        assert_eq!((world.session.tallies()[0].sent, world.session.unsent()), (60, 40));
    }

    #[test]
    fn no_target_is_over_at_once() {
        let world = World::new(0, 5, ms(1), ms(1000));
        assert_eq!(world.session.due(world.zero + ms(1)), None);
        assert_eq!(world.session.wait_until(world.zero + ms(1)), None);
    }

    #[test]
    fn replies_under_way_are_counted_by_spacing_and_timeout() {
        let plan = Plan { targets: 10, count: 5, spacing: ms(200), timeout: ms(500) };
        assert_eq!(plan.in_flight(), 30);
        assert_eq!(Plan { timeout: ms(60_000), ..plan }.in_flight(), 50);
    }
}
