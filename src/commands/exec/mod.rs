//! `promdrop exec NAME -- CMD...`: a job run as it is, and how it went published.

mod order;

use std::io::{stderr, stdout};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::ExitCode;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::SigSet;

use super::input::given;
use super::{USAGE, complain, sweep};
use crate::cli::{Exec, Places};
use crate::collect::runner::now;
use crate::diagnostic::printable;
use crate::exec::board::{Board, Herald, Last, SHORT, Told};
use crate::exec::ending::{self, SKIPPED};
use crate::exec::job::{self, Job};
use crate::exec::life;
use crate::exec::output::{Offer, temporary_place};
use crate::exec::record::{Ended, Event, Own, Verdict};
use crate::exec::signals::{Signals, are_children_lost, outlive_size_limit};
use crate::exec::spool::{Ends, Piece, Spool, Stream, Tap};
use crate::exec::turn;
use crate::exposition::{Family, count_series};
use crate::textfile::{Directory, Guard};
use order::Order;

/// What to call the job's own metrics in a message.
const OUTPUT: &str = "PROMDROP_OUTPUT";

/// Runs the job. The exit status is the job's; 2 for wrong arguments, 75 where the last run still goes on,
/// 124 after `--timeout`, 126 and 127 where there is no such program.
pub fn run(places: &Places, arguments: &Exec) -> ExitCode {
    let Some(order) = Order::read(arguments) else { return ExitCode::from(USAGE) };
    let board = Board {
        place: places.textfile_dir.clone(),
        node_exporter: places.node_exporter.clone(),
        about: order.about.clone(),
    };
    ExitCode::from(order.carry_out(board))
}

/// Whether the job may run now.
enum Turn {
    /// It may; what is held excludes other runs of it.
    Ours(Option<Guard>),
    /// The last run still goes on.
    Theirs,
}

impl Order<'_> {
    fn carry_out(&self, board: Board) -> u8 {
        let original = outlive_size_limit().unwrap_or(SigSet::empty());
        let guard = match self.turn(&board) {
            Turn::Ours(guard) => guard,
            Turn::Theirs => {
                let herald = Herald::start(board, None, Duration::ZERO, sweep_all);
                self.tell(herald, Last { event: Event::Skipped, own: None });
                return SKIPPED;
            }
        };
        let offer = Offer::make(&temporary_place());
        let status = self.run(board, offer, original);
        drop(guard);
        status
    }

    fn turn(&self, board: &Board) -> Turn {
        let Some(lock) = self.lock else { return Turn::Ours(None) };
        let taken = Directory::open(&board.place)
            .and_then(|directory| turn::take(&directory, board.about.name.as_str(), lock));
        match taken {
            Ok(Some(guard)) => Turn::Ours(Some(guard)),
            Ok(None) => Turn::Theirs,
            Err(error) => {
                self.warn(&format!("it runs without --lock {}: {error}", lock.word()));
                let _ = self.unlocked.set(error.to_string());
                Turn::Ours(None)
            }
        }
    }

    /// Runs the job to its end; its exit status, or none at all where promdrop dies of the job's signal.
    fn run(&self, board: Board, offer: Offer, original: SigSet) -> u8 {
        let signals = match Signals::listen(original) {
            Ok(signals) => signals,
            Err(errno) => return self.become_it(offer, &original, errno.desc()),
        };
        if are_children_lost() {
            return self.become_it(offer, signals.original(), "promdrop was started with SIGCHLD ignored");
        }
        let (mut tap, ends) = self.tap().unzip();
        let fds = ends.as_ref().map_or([None, None], |ends| ends.fds());
        let job = match job::start(self.argv, offer.path(), &signals, fds) {
            Ok(job) => job,
            Err(errno @ (Errno::EAGAIN | Errno::ENOMEM)) => {
                return self.become_it(offer, signals.original(), errno.desc());
            }
            Err(errno) => return self.cant_start(board, errno),
        };
        drop(ends);
        let running = life::running(job.pid());
        let began = Event::Began(job.began(), running);
        // Should promdrop be killed, --lock knows of the job by what is told of it.
        let wait = if self.lock.is_some() { Duration::ZERO } else { SHORT };
        let herald = Herald::start(board, Some(began), wait, sweep_all);
        let ended = self.wait(job, &signals, tap.as_mut());
        let (families, own) = self.own(offer, ended.verdict);
        self.tell(herald, Last { event: Event::Ended(ended, running, own), own: Some(families) });
        if ended.verdict != Verdict::Success
            && let Some(tap) = tap
        {
            // Who is to read it may keep promdrop waiting, and nothing is left that it must see to.
            signals.unblock();
            self.release(tap.into_spool());
        }
        ending::like(&ended)
    }

    fn wait(&self, job: Job, signals: &Signals, tap: Option<&mut Tap>) -> Ended {
        let ended = job.wait(signals, self.timeout, tap);
        if ended.verdict == Verdict::Timeout
            && let Some(timeout) = self.timeout
        {
            self.warn(&format!("it took longer than {} and was ended", humantime::format_duration(timeout)));
        }
        ended
    }

    /// Pipes for what the job writes, where it is to be held back.
    fn tap(&self) -> Option<(Tap, Ends)> {
        if !self.quiet_success {
            return None;
        }
        let tap = Tap::new();
        tap.map_err(|errno| self.warn(&format!("it runs without --quiet-success: {}", errno.desc()))).ok()
    }

    /// The metrics that the job gave, where they are fit to be published, and what there is to say of them.
    fn own(&self, offer: Offer, verdict: Verdict) -> (Vec<Family>, Own) {
        if verdict == Verdict::Success && !offer.is_made() {
            // Most jobs have nothing to write there, and a message at every run would be mail for nothing.
            return (Vec::new(), Own { series: 0, accepted: true });
        }
        let given = offer.take().and_then(|text| given(OUTPUT, &text, &self.about.labels, true).1);
        match given {
            Ok(families) => {
                let series = count_series(&families);
                (families, Own { series, accepted: true })
            }
            Err(message) => {
                self.warn(&format!("its own metrics are not published\n{message}"));
                (Vec::new(), Own { series: 0, accepted: false })
            }
        }
    }

    fn tell(&self, herald: Herald, last: Last) {
        match herald.end(last) {
            Ok(Told { refused: None }) => {}
            Ok(Told { refused: Some(error) }) => {
                self.warn(&format!("its own metrics are not published\n{error}"));
            }
            // Said already.
            Err(message) if self.unlocked.get() == Some(&message) => {}
            Err(message) => self.warn(&format!("nothing is published of this run\n{message}")),
        }
    }

    /// The job can't be executed.
    fn cant_start(&self, board: Board, errno: Errno) -> u8 {
        let program = self.argv.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
        self.warn(&format!("can't start {}: {}", printable(&program), errno.desc().to_lowercase()));
        let status = ending::unstarted(errno);
        let at = now();
        let ended = Ended {
            verdict: Verdict::Spawn,
            status: status.into(),
            signal: 0,
            began: at,
            at,
            duration: Duration::ZERO,
            usage: None,
            transfer: None,
        };
        let event = Event::Ended(ended, None, Own { series: 0, accepted: true });
        let herald = Herald::start(board, None, Duration::ZERO, sweep_all);
        self.tell(herald, Last { event, own: Some(Vec::new()) });
        status
    }

    /// Where the job can't be waited for it runs all the same, in promdrop's place.
    fn become_it(&self, offer: Offer, blocked: &SigSet, why: &str) -> u8 {
        // Nothing here is left after exec to remove its file.
        drop(offer);
        let options = [
            ("--lock", self.lock.is_some()),
            ("--timeout", self.timeout.is_some()),
            ("--quiet-success", self.quiet_success),
        ];
        let void = options.into_iter().filter(|(_, is_given)| *is_given).map(|(option, _)| option);
        let void = void.collect::<Vec<_>>().join(", ");
        let void = if void.is_empty() { void } else { format!("; void are: {void}") };
        self.warn(&format!("nothing is published of this run: {why}{void}"));
        let errno = job::become_it(self.argv, blocked);
        self.warn(&format!("can't start it: {}", errno.desc().to_lowercase()));
        ending::unstarted(errno)
    }

    /// Writes what was held back to where the job would have written it.
    fn release(&self, spool: Spool) {
        let (stdout, stderr) = (stdout(), stderr());
        let [mut out, mut err] = [Some(stdout.as_fd()), Some(stderr.as_fd())];
        spool.release(&mut |piece| match piece {
            Piece::Written(Stream::Stdout, bytes) => write(&mut out, bytes),
            Piece::Written(Stream::Stderr, bytes) => write(&mut err, bytes),
            Piece::Missing(count, why) => {
                self.warn(&format!("{count} bytes of its output are left out here: {why}"))
            }
        });
    }

    fn warn(&self, message: &str) {
        complain(format_args!("promdrop: exec {}: {message}", self.about.name));
    }
}

fn sweep_all(directory: &Directory) {
    sweep(directory, None);
}

/// Writes all of `bytes`, unless nobody reads there any more.
fn write(to: &mut Option<BorrowedFd<'_>>, mut bytes: &[u8]) {
    while let Some(fd) = to
        && !bytes.is_empty()
    {
        match nix::unistd::write(*fd, bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => {
                let _ = poll(&mut [PollFd::new(*fd, PollFlags::POLLOUT)], PollTimeout::NONE);
            }
            Err(_) => *to = None,
        }
    }
}
