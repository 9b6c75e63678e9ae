//! What wakes `run` while its collectors are at work: a moment of the clock, the end of a collector, the end of promdrop.

use std::os::fd::AsFd as _;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use super::stop::Stop;

/// Why a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    /// promdrop has been told to end.
    Stopped,
    /// Somebody has rung.
    Rung,
    /// The clock has come to the moment, or was set.
    Clock,
}

/// Something to wait at. Threads may share it; one waits.
#[derive(Debug)]
pub struct Alarm {
    timer: TimerFd,
    bell: EventFd,
}

impl Alarm {
    /// An alarm that is set for no time.
    ///
    /// # Errors
    /// Where the kernel refuses descriptors.
    pub fn new() -> nix::Result<Self> {
        let flags = TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK;
        let timer = TimerFd::new(ClockId::CLOCK_REALTIME, flags)?;
        let bell = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Self { timer, bell })
    }

    /// Ends the wait that goes on, or else the next.
    pub fn ring(&self) {
        // It can only fail when it rings already.
        let _ = self.bell.write(1);
    }

    /// Waits until the clock shows `moment`, in ms since the epoch, or is set, or something else happens; without a
    /// moment, for that only. A machine that slept meanwhile wakes to a moment that is past.
    ///
    /// # Errors
    /// Where the kernel refuses to set the timer or to wait.
    pub fn wait(&self, moment: Option<u64>, stop: &Stop) -> nix::Result<Woken> {
        match moment {
            Some(moment) => {
                let moment = Expiration::OneShot(TimeSpec::from_duration(Duration::from_millis(moment)));
                // By the clock itself, so that nothing adds up, and told when somebody sets it.
                let flags = TimerSetTimeFlags::TFD_TIMER_ABSTIME | TimerSetTimeFlags::TFD_TIMER_CANCEL_ON_SET;
                match self.timer.set(moment, flags) {
                    // It was set since this was last asked for; the timer stands all the same.
                    Err(nix::Error::ECANCELED) => return Ok(Woken::Clock),
                    set => set?,
                }
            }
            None => self.timer.unset()?,
        }
        self.poll(Some(stop))
    }

    /// Waits until somebody rings, whatever else happens.
    ///
    /// # Errors
    /// As [`wait`](Self::wait).
    pub fn wait_for_ring(&self) -> nix::Result<Woken> {
        self.timer.unset()?;
        self.poll(None)
    }

    fn poll(&self, stop: Option<&Stop>) -> nix::Result<Woken> {
        loop {
            let mut fds =
                [stop.map_or(self.bell.as_fd(), Stop::as_fd), self.bell.as_fd(), self.timer.as_fd()]
                    .map(|fd| PollFd::new(fd, PollFlags::POLLIN));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) => {}
                Err(nix::Error::EINTR) => continue,
                Err(error) => return Err(error),
            }
            let [stopped, rung, clock] = fds.map(|fd| fd.any().unwrap_or(false));
            if stopped && stop.is_some() {
                return Ok(Woken::Stopped);
            }
            if rung {
                let _ = self.bell.read();
                return Ok(Woken::Rung);
            }
            if clock {
                // What has been told is told no more: nix takes it well that it may be a change of the clock.
                let _ = self.timer.wait();
                return Ok(Woken::Clock);
            }
        }
    }
}
