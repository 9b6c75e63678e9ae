//! Errors of the kernel's, put into every call of a publish that has to do with the directory.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use nix::errno::Errno;

use super::{Door, Found, Place, to_each};
use crate::support::netns::in_fresh;
use crate::support::strace::{Call, Fault, Faulted, When, Whom, put, trace};

/// An error and the calls that can have it.
struct Kind {
    errno: Errno,
    name: &'static str,
    /// `None`: all.
    calls: Option<&'static [&'static str]>,
    /// Whether it may also be so from some call on.
    for_good: bool,
}

const KINDS: [Kind; 5] = [
    Kind { errno: Errno::EIO, name: "EIO", calls: None, for_good: true },
    // promdrop catches no signals, so that only filesystems of the network could say it, and those once.
    Kind { errno: Errno::EINTR, name: "EINTR", calls: None, for_good: false },
    Kind {
        errno: Errno::ENOSPC,
        name: "ENOSPC",
        calls: Some(&["openat", "write", "fsync", "rename", "renameat", "linkat", "unlink"]),
        for_good: true,
    },
    Kind { errno: Errno::ENOMEM, name: "ENOMEM", calls: Some(&["openat", "getdents64"]), for_good: false },
    Kind { errno: Errno::EMFILE, name: "EMFILE", calls: Some(&["openat", "fcntl"]), for_good: true },
];

#[test]
fn an_error_of_any_call_of_a_run_is_met() {
    met(Door::Netstat, true, false);
    met(Door::Netstat, false, false);
}

#[test]
fn an_error_of_any_call_of_a_write_is_met() {
    met(Door::Write, true, false);
    met(Door::Write, false, false);
}

#[test]
#[ignore = "takes long: tests/run --long"]
fn long_any_error_of_any_call_is_met() {
    for door in [Door::Netstat, Door::Command, Door::Write] {
        for over in [false, true] {
            met(door, over, true);
        }
    }
}

/// Once, and from some call on for good.
fn met(door: Door, over: bool, all: bool) {
    let started = Instant::now();
    let calls = in_fresh(|| {
        let place = Place::new(door);
        place.reset(over);
        let directory = place.host.textfile_dir();
        let mut calls = trace(&place.command(), place.stdin(), &place.host.path("log"));
        // A close that fails closes all the same, which one that is put off can't.
        let is_met = |call: &Call| !["execve", "close"].contains(&call.name.as_str());
        calls.retain(|call| is_met(call) && call.line.contains(directory.to_str().unwrap()));
        calls
    });
    let mut items: Vec<(Call, &Kind, bool)> = Vec::new();
    for kind in &KINDS {
        let can = |call: &&Call| all || kind.calls.is_none_or(|calls| calls.contains(&call.name.as_str()));
        for call in calls.iter().filter(can) {
            items.push((call.clone(), kind, false));
            // From each name's first call on, unless all are asked for.
            let is_first = !items
                .iter()
                .any(|(one, other, good)| *good && one.name == call.name && other.errno == kind.errno);
            if kind.for_good && (all || is_first) {
                items.push((call.clone(), kind, true));
            }
        }
    }
    let count = items.len();
    let (met, failed) = (AtomicUsize::new(0), AtomicUsize::new(0));
    to_each(door, items, |place, (call, kind, for_good)| {
        place.reset(over);
        let when = if for_good { When::From(call.nth) } else { When::At(call.nth) };
        let fault = Fault::Error(kind.name);
        let log = place.host.path("log");
        let end = put(fault, &call.name, when, Whom::All, (&place.command(), place.stdin()), &log);
        met.fetch_add(usize::from(!end.failed.is_empty()), Ordering::Relaxed);
        failed.fetch_add(usize::from(!end.output.status.success()), Ordering::Relaxed);
        let told = |why| {
            let (status, said) = super::said(&end.output);
            format!(
                "{}:{fault}:{when}, over another: {over}: {why}\n{status:?}: {said}{:#?}",
                call.name, end.failed
            )
        };
        let found = place.look(over).map_err(told)?;
        place.told(kind, &end, &found).map_err(told)?;
        place.recover(&found).map_err(told).map(drop)
    });
    let (met, failed) = (met.into_inner(), failed.into_inner());
    println!(
        "{door:?}, over another: {over}: {met} of {count} faults, {failed} made it fail, in {:?}",
        started.elapsed()
    );
    // What was written just now is read again, which may be quicker or slower than the clock of its times.
    assert!(met * 5 >= count * 4, "only {met} of {count} calls were met");
    assert!(failed * 4 >= count, "only {failed} of {count} made it fail");
}

impl Place {
    /// The exit status and the message tell.
    fn told(&self, kind: &Kind, end: &Faulted, found: &[Found]) -> Result<(), String> {
        let (status, said) = super::said(&end.output);
        if said.contains("panicked") || said.contains("fault in promdrop") {
            return Err("a panic".to_owned());
        }
        match status {
            Some(0) if found.iter().all(|found| *found == Found::New) && said.is_empty() => Ok(()),
            Some(0) => Err(format!("it says that all is well: {found:?}")),
            Some(1 | 2) => {
                let cause = kind.errno.desc().to_owned();
                let place = self.host.textfile_dir().display().to_string();
                let is_of = |part: &str| end.failed.iter().any(|call| call.contains(part));
                // A call that comes earlier or later than it did may have moved the fault to a pipe; and whose stderr
                // fails as well has its exit status only.
                let wanted = if is_of(&place) { vec![place, cause, "   = ".to_owned()] } else { vec![cause] };
                let said = said.to_lowercase();
                let tells =
                    wanted.iter().all(|part| said.contains(&part.to_lowercase())) || is_of(" write(2<");
                if tells { Ok(()) } else { Err("it doesn't tell".to_owned()) }
            }
            _ => Err("an exit status of no meaning".to_owned()),
        }
    }
}
