//! Sends a session's probes and takes what comes back, until all is over.

use std::collections::BTreeMap;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::packet::{self, Version};
use super::session::{self, Address, Moment, Session, TICK};
use super::socket::{Event, Send, Socket};
use crate::collect::stop::Stop;

/// How long a probe that finds no room is tried again before it is given up.
const PATIENCE: Duration = Duration::from_millis(20);
/// Packets read at a stretch, so that a flood of them stops neither the sending nor the end of the run.
const GULP: usize = 4096;

/// How often a send is repeated that fails for an ICMP error about another probe: meanwhile one more can come.
const TRIES: usize = 8;

/// Why an exchange has no end.
#[derive(Debug)]
pub enum Error {
    /// promdrop was told to end.
    Stopped,
    /// The kernel's, while receiving.
    Receiving(Errno),
}

/// Why there is no socket for a version of IP.
pub type Missing = (Version, Errno);

/// Sends the session's probes and takes the replies until all is over. Returns why the kernel refused what it refused: of
/// versions that are `missing` it refuses all.
///
/// # Errors
/// See [`Error`].
pub fn exchange(
    session: &mut Session,
    sockets: &mut [Socket],
    missing: &[Missing],
    stop: &Stop,
) -> Result<BTreeMap<Address, Errno>, Error> {
    let mut sender = Sender { missing, full_since: Vec::new(), refusals: BTreeMap::new() };
    loop {
        sender.send_due(session, sockets);
        // Whatever has come by now is read before it is judged late.
        let now = Instant::now();
        let mut busy = false;
        for socket in sockets.iter_mut() {
            busy |= receive(session, socket).map_err(Error::Receiving)?;
        }
        let Some(until) = session.wait_until(now) else { return Ok(sender.refusals) };
        let wait = until.saturating_duration_since(Instant::now());
        // The kernel stamps what comes, so there is no hurry: after some replies, and between the ticks of a round,
        // only `stop` can end the wait, instead of every single packet.
        let stopped = if wait.is_zero() && sender.full_since.is_empty() {
            stop.is_raised()
        } else if busy || wait <= TICK {
            stop.wait(TICK)
        } else {
            wait_for_packets(sockets, stop, wait)
        };
        if stopped {
            return Err(Error::Stopped);
        }
    }
}

/// Takes what waits on `socket`, at most one gulp; whether there was something.
fn receive(session: &mut Session, socket: &mut Socket) -> nix::Result<bool> {
    let (version, mut read, mut events) = (socket.version(), Moment::now(), 0_u32);
    let all = socket.receive(GULP, |event| {
        // Reading the clocks costs as much as reading a packet, so a batch shares them, but nothing comes after it was
        // read.
        if events % 64 == 63 || event.stamp().is_some_and(|stamp| stamp > read.realtime) {
            read = Moment::now();
        }
        events += 1;
        take(session, version, &event, read);
    })?;
    Ok(!all || events > 0)
}

fn take(session: &mut Session, version: Version, event: &Event<'_>, read: Moment) {
    match event {
        Event::Reply(reply) => _ = session.reply(reply, read),
        Event::Error(target, echo, kind) => _ = session.error(*target, echo, *kind),
        Event::Left(frame, stamp) => {
            if let Some(number) = packet::find_request(version, frame, |number| session.cookie(number)) {
                session.left(number, *stamp, read);
            }
        }
    }
}

/// Sends probes, and knows what hinders it.
struct Sender<'m> {
    missing: &'m [Missing],
    /// The sockets that have no room, and since when.
    full_since: Vec<(Version, Instant)>,
    refusals: BTreeMap<Address, Errno>,
}

impl Sender<'_> {
    /// Sends what is due, at most one burst.
    fn send_due(&mut self, session: &mut Session, sockets: &mut [Socket]) {
        let begin = Instant::now();
        for _ in 0..session::BURST {
            let Some((number, target)) = session.due(begin) else { return };
            let version = Version::of(target.ip);
            let (sent, at) = match sockets.iter_mut().find(|socket| socket.version() == version) {
                Some(socket) => send(session, socket, number, target),
                None => (self.refused_for_want_of(version), Moment::now()),
            };
            if sent != Send::Full {
                self.full_since.retain(|(full, _)| *full != version);
            }
            match sent {
                Send::Sent => session.sent(at),
                Send::Refused(error) => {
                    self.refusals.insert(target, error);
                    session.refused();
                }
                Send::Full if self.is_patient(version, at.monotonic) => return,
                Send::Full => session.skip(),
            }
        }
    }

    fn refused_for_want_of(&self, version: Version) -> Send {
        let missing = self.missing.iter().find(|(missing, _)| *missing == version);
        Send::Refused(missing.map_or(Errno::EAFNOSUPPORT, |(_, error)| *error))
    }

    /// Whether the socket of `version`, which is full at `now`, is given more time: once it has had its share, none of the
    /// others waits for it until it has room again.
    fn is_patient(&mut self, version: Version, now: Instant) -> bool {
        let since = match self.full_since.iter().find(|(full, _)| *full == version) {
            Some((_, since)) => *since,
            None => {
                self.full_since.push((version, now));
                now
            }
        };
        now.duration_since(since) < PATIENCE
    }
}

/// Sends probe `number`; what came of it, and the moment right before.
fn send(session: &mut Session, socket: &mut Socket, number: u16, target: Address) -> (Send, Moment) {
    let (version, cookie) = (socket.version(), session.cookie(number));
    let mut at = Moment::now();
    let mut sent = socket.send(target, number, cookie);
    // An ICMP error about another probe makes the next call fail, once, whatever it is, even where there was no room to
    // tell more.
    for _ in 0..TRIES {
        if !matches!(sent, Send::Refused(_)) {
            break;
        }
        let queued = socket.read_queue(&mut |event| take(session, version, &event, at));
        at = Moment::now();
        sent = socket.send(target, number, cookie);
        if queued.is_ok_and(|queued| queued == 0) {
            break;
        }
    }
    (sent, at)
}

/// Waits at most `limit` for a packet or for `stop`; whether that was raised.
fn wait_for_packets(sockets: &[Socket], stop: &Stop, limit: Duration) -> bool {
    let mut fds = vec![PollFd::new(stop.as_fd(), PollFlags::POLLIN)];
    fds.extend(sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLIN)));
    // Rounded up, or the last part of a millisecond would be spent polling.
    let limit = PollTimeout::try_from(limit.as_millis() + 1).unwrap_or(PollTimeout::MAX);
    // An interrupted wait is a short one; the caller looks again.
    let _ = poll(&mut fds, limit);
    fds.first().and_then(PollFd::any).unwrap_or(false)
}
