//! Work that may hang, or that changes its thread for good: in a thread of its own, under a deadline. One that hangs is
//! left behind.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::stop::Stop;
use super::{Failure, Outcome, Run};

/// Why there is no result.
#[derive(Debug)]
pub enum Unfinished {
    /// The deadline was reached.
    TimedOut,
    /// promdrop was told to end.
    Stopped,
    /// No thread can be started.
    Refused(io::Error),
    /// The work ended without one.
    Lost,
}

impl Unfinished {
    /// As the failure of `run`; `what` is what did not end.
    pub fn failure(self, what: &str, run: &Run<'_>) -> Failure {
        match self {
            Unfinished::TimedOut => Failure::new(
                Outcome::Timeout,
                format!("{what} did not end within {}", humantime::format_duration(run.timeout)),
            ),
            Unfinished::Stopped => Failure::stopped(),
            Unfinished::Refused(error) => {
                Failure::new(Outcome::Internal, format!("{what} can't be started: {error}"))
            }
            Unfinished::Lost => Failure::fault(),
        }
    }
}

/// What `work` returns, in a thread called `name`.
///
/// # Errors
/// [`Unfinished`].
pub fn aside<T: Send + 'static>(
    name: &str,
    deadline: Instant,
    stop: &Stop,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unfinished> {
    if stop.is_raised() {
        return Err(Unfinished::Stopped);
    }
    let (finished, running) = io::pipe().map_err(Unfinished::Refused)?;
    let (result, found) = mpsc::sync_channel(1);
    let thread = thread::Builder::new().name(name.to_owned()).spawn(move || {
        // Dropped last, whatever happens.
        let _running = running;
        // Nobody may be waiting any more.
        let _ = result.send(work());
    });
    thread.map_err(Unfinished::Refused)?;
    stop.or_hangup(&finished, deadline);
    found.try_recv().map_err(|_| {
        if stop.is_raised() {
            Unfinished::Stopped
        } else if Instant::now() >= deadline {
            Unfinished::TimedOut
        } else {
            Unfinished::Lost
        }
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use nix::sys::signal::{Signal, raise};

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn what_the_work_returns_or_why_there_is_nothing() {
        let stop = Stop::listen().unwrap();
        let soon = |limit| Instant::now() + limit;
        assert_eq!(aside("good", soon(LONG), &stop, || 7).unwrap(), 7);
        let lost = aside("lost", soon(LONG), &stop, || panic!("on purpose"));
        assert!(matches!(lost, Err::<(), _>(Unfinished::Lost)), "{lost:?}");
        let hung = aside("hung", soon(Duration::from_millis(20)), &stop, thread::park);
        assert!(matches!(hung, Err(Unfinished::TimedOut)), "{hung:?}");
    }

    #[test]
    fn told_to_end_it_starts_nothing() {
        let stop = Stop::listen().unwrap();
        // Blocked, and for this thread alone.
        raise(Signal::SIGTERM).unwrap();
        let stopped = aside("late", Instant::now() + LONG, &stop, || panic!("was started"));
        assert!(matches!(stopped, Err::<(), _>(Unfinished::Stopped)), "{stopped:?}");
    }
}
