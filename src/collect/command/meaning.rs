//! What a supervisor's report means: the families, or a failure in words.

use std::path::Path;

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::unistd::Uid;

use super::Command;
use super::limits::{self, Resources};
use super::protocol::{Captured, End, Report, STDERR_FLOOD, STDOUT_LIMIT, Specification, Step};
use super::secrets::{Cut, Known};
use crate::collect::output::{Bounds, Output};
use crate::collect::trace::Trace;
use crate::collect::{Failure, Outcome, Run};
use crate::diagnostic::printable;
use crate::exposition::Family;

impl Command {
    /// What `report` means.
    pub(super) fn outcome(
        &self,
        report: &Report,
        specification: &Specification,
        secrets: &Known,
        run: &Run<'_>,
    ) -> Result<Vec<Family>, Failure> {
        let failure = |outcome, message: String| Err(Failure::new(outcome, message));
        if let Some(message) = self.over_limit(report) {
            return failure(Outcome::Limit, message);
        }
        match report.end {
            End::Exited(status) if self.accepts(status) => {
                let output = Output { stdout: &report.stdout.bytes, status };
                let over = || run.is_over();
                let bounds = Bounds::new(run.max_series, &over);
                self.output.families(&output, &bounds).map_err(|unreadable| {
                    if run.stop.is_raised() {
                        return Failure::stopped();
                    }
                    let failure = bounds.failure(unreadable);
                    Failure { detail: self.detail(failure.detail, &output, secrets, &bounds), ..failure }
                })
            }
            End::Exited(status) => failure(Outcome::Exit, format!("it {}", exited(status))),
            End::Signalled(number) => failure(Outcome::Signal, format!("it {}", signalled(number))),
            End::TimedOut => failure(
                Outcome::Timeout,
                format!("it did not end within {}", humantime::format_duration(run.timeout)),
            ),
            End::Flooding => failure(
                Outcome::Limit,
                format!("it wrote more than {} MiB to its stderr", STDERR_FLOOD >> 20),
            ),
            End::OverLimit => failure(
                Outcome::Limit,
                format!("it wrote more than {} MiB to its stdout", STDOUT_LIMIT >> 20),
            ),
            End::Stopped if run.stop.is_raised() => Err(Failure::stopped()),
            End::Stopped => failure(Outcome::Internal, "promdrop's supervisor was told to end".into()),
            End::NotStarted(step, errno) => {
                failure(Outcome::Spawn, not_started(step, Errno::from_raw(errno), specification))
            }
        }
    }

    fn accepts(&self, status: i32) -> bool {
        self.exit_statuses.iter().any(|accepted| i32::from(*accepted) == status)
            || self.output.accepts(status)
    }

    /// The `detail` of what is wrong with `output`, which may quote parts of it: without any part of a secret.
    fn detail(&self, detail: String, output: &Output<'_>, secrets: &Known, bounds: &Bounds<'_>) -> String {
        let shown = secrets.hide(output.stdout, None);
        if shown == output.stdout {
            return detail;
        }
        self.output
            .families(&Output { stdout: &shown, ..*output }, bounds)
            .err()
            .map(|unreadable| unreadable.detail)
            .unwrap_or_default()
    }

    /// That a limit of `rlimits` ended it, if one did.
    fn over_limit(&self, report: &Report) -> Option<String> {
        let limited = |what| self.limits.of(what);
        // A shell exits with 128 and the number of the signal that ended what it waited for.
        let signal = match report.end {
            End::Signalled(number) => number,
            End::Exited(status) if !self.accepts(status) => status - 128,
            _ => return None,
        };
        let seconds = limited(Resources::Cpu);
        // Limits go by ticks of the clock, so that less than they say may have been used.
        let spent = |seconds: u64| report.usage.cpu.as_secs_f64() >= 0.7 * seconds as f64;
        match Signal::try_from(signal).ok()? {
            Signal::SIGXCPU if seconds.is_some_and(spent) => {
                Some(format!("it used more than the {} s of CPU time that `rlimits` allows", seconds?))
            }
            Signal::SIGKILL if seconds.is_some_and(|most| spent(most.saturating_add(limits::CPU_GRACE))) => {
                Some(format!(
                    "it was killed, likely for going on after the {} s of CPU time that `rlimits` allows",
                    seconds?
                ))
            }
            Signal::SIGXFSZ => Some(format!(
                "it wrote a file longer than the {} bytes that `rlimits` allows",
                limited(Resources::FileSize)?
            )),
            _ => None,
        }
    }
}

/// Why a command was not started, and what to do.
fn not_started(step: Step, errno: Errno, specification: &Specification) -> String {
    let program = printable(&specification.program);
    let user = match &specification.identity {
        Some(identity) => format!("user id {}", identity.uid),
        None => format!("user id {}", Uid::effective()),
    };
    let cause = errno.desc();
    match (step, errno) {
        (Step::Launcher, _) => {
            "promdrop's launcher ended too early: was it killed, or is memory short?".to_owned()
        }
        (Step::Nice, Errno::EACCES | Errno::EPERM) => {
            "can't set `nice`: to raise a priority takes the capability CAP_SYS_NICE; or a sandbox forbids it, see promdrop's unit"
                .to_owned()
        }
        (Step::Nice, _) => format!("can't set `nice`: {cause}"),
        (Step::Privileges, _) => format!("can't set `no_new_privileges`: {cause}"),
        (Step::Limit(what), Errno::EPERM) => {
            let key = what.key();
            format!(
                "can't set `{key}` of `rlimits`: it is more than promdrop itself is allowed, and promdrop lacks \
                 the capability CAP_SYS_RESOURCE; or a sandbox forbids it, see promdrop's unit"
            )
        }
        (Step::Limit(what), _) => format!("can't set `{}` of `rlimits`: {cause}", what.key()),
        (Step::User, _) => {
            format!("can't become {user}: {cause}; promdrop lacks the capability, see its unit")
        }
        (Step::Directory, _) => {
            format!("{user} can't enter its directory `{}`: {cause}", printable(&specification.directory))
        }
        (Step::Program, Errno::ENOENT) if Path::new(&specification.program).exists() => {
            format!("can't start `{program}`: its interpreter is missing, see its first line")
        }
        (Step::Program, Errno::ENOEXEC) => {
            format!(
                "can't start `{program}`: it is no program for this machine, or a script whose first line is not `#!INTERPRETER`"
            )
        }
        (Step::Program, Errno::EAGAIN) => {
            format!("can't start `{program}`: {user} has as many processes as it may have, see `rlimits`")
        }
        (Step::Program, Errno::EACCES) => {
            format!(
                "can't start `{program}`: {user} may not execute it; chmod +x, and see the directories above it"
            )
        }
        (Step::Program, Errno::E2BIG) => {
            format!(
                "can't start `{program}`: its arguments and environment are too long; move them to a script"
            )
        }
        (Step::Program, _) => format!("can't start `{program}`: {cause}"),
    }
}

fn exited(status: i32) -> String {
    format!("exited with status {status}")
}

fn signalled(number: i32) -> String {
    match Signal::try_from(number) {
        Ok(signal) => format!("was ended by signal {number} ({signal})"),
        Err(_) => format!("was ended by signal {number}"),
    }
}

/// What is worth telling of `report` whatever it means.
pub fn tell(report: Report, secrets: &Known, trace: &mut Trace) {
    trace.stderr = stderr_text(&report.stderr, secrets);
    trace.notes = notes(&report);
    trace.ended = match report.end {
        End::Exited(status) => Some(exited(status)),
        End::Signalled(number) => Some(signalled(number)),
        End::TimedOut => Some("was ended at its timeout".into()),
        End::OverLimit | End::Flooding => Some("was ended for too much output".into()),
        End::Stopped => Some("was ended because promdrop was told to end".into()),
        End::NotStarted(..) => None,
    };
    // Of what never began, all that was used was the launcher's.
    trace.usage = trace.ended.is_some().then_some(report.usage);
    trace.output = secrets.hide(&report.stdout.bytes, report.stdout.truncated.then_some(Cut::End));
}

fn notes(report: &Report) -> Vec<String> {
    let processes = |count: usize| if count == 1 { "1 process".into() } else { format!("{count} processes") };
    let mut notes = Vec::new();
    if report.leftovers > 0 {
        notes.push(format!("ended {} that it left behind", processes(report.leftovers)));
    }
    if report.survivors > 0 {
        notes.push(format!("{} of it could not be ended", processes(report.survivors)));
    }
    if report.undrained {
        notes.push("a process that is not its descendant holds its output open".into());
    }
    notes
}

fn stderr_text(stderr: &Captured, secrets: &Known) -> String {
    let cut = if stderr.truncated { "[...]" } else { "" };
    let shown = secrets.hide(&stderr.bytes, stderr.truncated.then_some(Cut::Start));
    format!("{cut}{}", String::from_utf8_lossy(&shown))
}
