use super::*;

const SIZE: usize = 56;
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
        let plan = Plan { targets: addresses.len(), count, spacing, timeout, size: SIZE };
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

    fn payload(&self, number: u16) -> Vec<u8> {
        self.session.cookie(number).to_be_bytes().repeat(SIZE / 8)
    }

    fn take(
        &mut self,
        source: Address,
        sequence: u16,
        payload: &[u8],
        stamp: Option<Duration>,
        read: Moment,
    ) -> Verdict {
        let echo = Echo { id: 0, sequence, payload };
        self.session.reply(&Reply { source, echo, hop_limit: Some(60), stamp }, read)
    }

    /// A good reply to probe `number` from target `from`, which arrives at `at` and is read at `read`.
    fn reply(&mut self, from: u8, number: u16, at: Duration, read: Duration) -> Verdict {
        let (stamp, read) = (self.wall(at), self.moment(read));
        self.take(address(from), number, &self.payload(number), Some(stamp), read)
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
    assert_eq!((tally.sent, tally.received, tally.duplicates, tally.late), (3, 1, 0, 2));
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
    let (good, other) = (world.payload(1), world.payload(3));
    for payload in [&other[..], &other[..8], &[], &good[..SIZE - 1], &[&good[..], &[1]].concat()] {
        assert_eq!(world.take(address(1), 1, payload, None, read), Verdict::Stranger);
    }
    let zoned = Address { zone: 2, ..address(1) };
    assert_eq!(world.take(zoned, 1, &good, None, read), Verdict::Stranger, "another interface");
    let received: Vec<(u64, u64)> =
        world.session.tallies().iter().map(|tally| (tally.received, tally.duplicates)).collect();
    assert_eq!(received, [(1, 1), (0, 0)]);
    assert_eq!(world.session.tallies()[0].times, [ms(1)], "the first reply's");
}

#[test]
fn cookies_are_new_each_run() {
    let [one, two] = [(); 2].map(|()| World::new(1, 1, ms(1), ms(1)).session.cookie(0));
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
        let (payload, read) = (world.payload(0), world.moment(ms(100)));
        assert_eq!(world.take(address(0), 0, &payload, stamp, read), Verdict::Answer);
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
    let mut world = World::new(0, 5, ms(1), ms(1000));
    assert_eq!(world.session.due(world.zero + ms(1)), None);
    assert_eq!(world.session.wait_until(world.zero + ms(1)), None);
}

#[test]
fn replies_under_way_are_counted_by_spacing_and_timeout() {
    let plan = Plan { targets: 10, count: 5, spacing: ms(200), timeout: ms(500), size: SIZE };
    assert_eq!(plan.in_flight(), 30);
    assert_eq!(Plan { timeout: ms(60_000), ..plan }.in_flight(), 50);
}

#[test]
fn an_answer_after_a_later_probe_s_is_out_of_order() {
    let mut world = World::new(2, 4, ms(10), ms(1000));
    [0, 10, 20, 30].into_iter().for_each(|at| _ = world.send(ms(at)));
    // Of the first target: the second probe's, the fourth's, then those between; of the other all in order.
    for (number, at) in [(2, 31), (1, 32), (6, 33), (0, 34), (4, 35), (4, 36), (3, 37), (5, 38), (7, 39)] {
        world.reply(u8::try_from(number % 2).unwrap(), number, ms(at), ms(at));
    }
    let counted: Vec<_> =
        world.session.tallies().iter().map(|t| (t.received, t.out_of_order, t.duplicates)).collect();
    assert_eq!(counted, [(4, 2, 1), (4, 0, 0)]);
    assert_eq!(world.session.tallies()[0].hop_limit, Some(60));
}

#[test]
fn an_error_is_counted_once_a_probe_and_decides_nothing() {
    let mut world = World::new(2, 2, ms(100), ms(1000));
    world.send(ms(0));
    let whole = world.payload(0);
    let mut error = |target: u8, sequence: u16, payload: &[u8], kind| {
        world.session.error(address(target), &Echo { id: 0, sequence, payload }, kind)
    };
    assert!(!error(0, 2, &[], ErrorKind::TtlExceeded), "not sent yet");
    assert!(!error(1, 0, &[], ErrorKind::TtlExceeded), "another target's");
    assert!(!error(0, 0, b"other", ErrorKind::TtlExceeded), "another payload");
    assert!(
        !error(0, 0, &[&whole[..SIZE - 1], &[0]].concat(), ErrorKind::TtlExceeded),
        "another payload's end"
    );
    // As RFC 4884 has it: what was quoted, filled up with zeros.
    assert!(error(0, 0, &[&whole[..], &[0; 44]].concat(), ErrorKind::TtlExceeded));
    assert!(!error(0, 0, &whole, ErrorKind::Unreachable), "a second one");
    assert!(error(1, 1, &[], ErrorKind::Prohibited), "all that RFC 792 asks for");
    assert_eq!(
        world.session.wait_until(world.zero + ms(101)),
        Some(world.zero + ms(100)),
        "still waited for"
    );
    assert_eq!(world.reply(0, 0, ms(150), ms(150)), Verdict::Answer);
    let counted: Vec<_> = world.session.tallies().iter().map(|t| (t.sent, t.received, t.errors)).collect();
    assert_eq!(counted, [(1, 1, [0, 0, 0, 1, 0]), (1, 0, [0, 1, 0, 0, 0])]);
}

#[test]
fn a_stamp_of_leaving_takes_the_wait_out_of_the_time() {
    let mut world = World::new(1, 3, ms(1), ms(1000));
    [0, 1, 2].into_iter().for_each(|at| _ = world.send(ms(at)));
    world.session.left(0, world.wall(ms(30)), world.moment(ms(31)));
    assert_eq!(world.reply(0, 0, ms(50), ms(60)), Verdict::Answer);
    // Neither a time before it was sent nor one that is still to come, as of a clock that was set, is believed.
    world.session.left(1, world.wall(ms(0)), world.moment(ms(31)));
    world.session.left(2, world.wall(ms(40)), world.moment(ms(31)));
    world.session.left(77, world.wall(ms(5)), world.moment(ms(31)));
    assert_eq!(world.reply(0, 1, ms(51), ms(60)), Verdict::Answer);
    assert_eq!(world.reply(0, 2, ms(52), ms(60)), Verdict::Answer);
    assert_eq!(world.session.tallies()[0].times, [20, 50, 50].map(ms));
    assert_eq!(world.session.unstamped(), 2);
}

#[test]
fn what_leaves_late_is_waited_for_from_then_on() {
    let mut world = World::new(1, 1, ms(1), ms(100));
    world.send(ms(0));
    world.session.left(0, world.wall(ms(90)), world.moment(ms(91)));
    assert_eq!(world.session.wait_until(world.zero + ms(100)), Some(world.zero + ms(190)));
    assert_eq!(world.reply(0, 0, ms(185), ms(186)), Verdict::Answer);
}
