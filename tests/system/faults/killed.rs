//! SIGKILL in place of every system call of a publish.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::{Door, Found, Place, to_each};
use crate::support::netns::in_fresh;
use crate::support::processes;
use crate::support::strace::{Call, Fault, When, Whom, put, trace};

/// Calls that change nothing that another process could see: a kill in place of one leaves what one in place of the call
/// before it left.
const ASKING: [&str; 28] = [
    "access",
    "arch_prctl",
    "brk",
    "fstat",
    "getcwd",
    "getdents64",
    "geteuid",
    "getrandom",
    "gettid",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "pread64",
    "prlimit64",
    "readlink",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "sched_getaffinity",
    "set_robust_list",
    "set_tid_address",
    "sigaltstack",
    "socket",
    "stat",
    "statx",
];

#[test]
fn killed_at_any_call_run_leaves_whole_files() {
    killed_at_each_call(Door::Netstat, Whom::Itself, all_or_what_does_something);
}

#[test]
fn killed_at_any_call_write_leaves_whole_files() {
    killed_at_each_call(Door::Write, Whom::Itself, all_or_what_does_something);
}

#[test]
fn killed_at_any_call_that_does_something_the_run_of_a_command_leaves_whole_files() {
    killed_at_each_call(Door::Command, Whom::Itself, |name, _| !ASKING.contains(&name));
}

#[test]
#[ignore = "takes long: tests/run --long"]
fn long_killed_at_any_call_over_anything_it_leaves_whole_files() {
    for door in [Door::Netstat, Door::Write, Door::Command] {
        killed_at_each_call(door, Whom::Itself, |_, _| true);
    }
}

/// The supervisor and the command too: where promdrop outlives them, it says what became of them.
#[test]
#[ignore = "takes long: tests/run --long"]
fn long_killed_at_any_call_of_any_of_its_processes_a_command_leaves_whole_files() {
    killed_at_each_call(Door::Command, Whom::All, |_, _| true);
}

/// All calls over what was published before, those that do something over nothing.
fn all_or_what_does_something(name: &str, over: bool) -> bool {
    over || !ASKING.contains(&name)
}

fn killed_at_each_call(door: Door, whom: Whom, is_wanted: impl Fn(&str, bool) -> bool) {
    let started = Instant::now();
    let traced = in_fresh(|| {
        let place = Place::new(door);
        [false, true].map(|over| {
            place.reset(over);
            counts(&trace(&place.command(), place.stdin(), &place.host.path("log")))
        })
    });
    let mut names: Vec<(String, bool)> = Vec::new();
    let mut wanted = 0;
    for (over, traced) in [false, true].into_iter().zip(traced) {
        for (name, count) in traced.into_iter().filter(|(name, _)| is_wanted(name, over)) {
            wanted += count;
            names.push((name, over));
        }
    }
    let (killed, left) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let seen = Mutex::new(BTreeSet::new());
    to_each(door, names, |place, (name, over)| {
        for nth in 1.. {
            place.reset(over);
            let log = place.host.path("log");
            let end = put(Fault::Kill, &name, When::At(nth), whom, (&place.command(), place.stdin()), &log);
            // What was killed may have left others, which end by themselves.
            processes::await_none(Duration::from_secs(20));
            let told = |why| format!("killed at {name} {nth}, over another: {over}: {why}\n{:?}", end.output);
            if end.killed == 0 {
                return place.all_new().map_err(told);
            }
            let found = place.look(over).map_err(told)?;
            if !end.was_killed() {
                place.outlived(&end.output, &found).map_err(told)?;
            }
            left.fetch_add(usize::from(place.recover(&found).map_err(told)?), Ordering::Relaxed);
            killed.fetch_add(1, Ordering::Relaxed);
            seen.lock().unwrap().insert(found);
        }
        Ok(())
    });
    let (killed, left, seen) = (killed.into_inner(), left.into_inner(), seen.into_inner().unwrap());
    println!(
        "{door:?}, {whom:?}: {killed} kills, {left} left a temporary file, in {:?}; seen {seen:?}",
        started.elapsed()
    );
    // What was written just now is read again, which may be quicker or slower than the clock of its times.
    assert!(killed * 10 >= wanted * 9, "only {killed} of {wanted} calls were met");
    assert!(left >= 6, "only {left} kills left a temporary file");
    for one in [Found::Nothing, Found::Old, Found::New] {
        assert!(
            seen.iter().any(|found| found.iter().all(|found| *found == one)),
            "{one:?} was not seen: {seen:?}"
        );
    }
}

fn counts(calls: &[Call]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for call in calls {
        *counts.entry(call.name.clone()).or_default() += 1;
    }
    counts
}

impl Place {
    /// promdrop itself was not killed: it says what it published of what was.
    fn outlived(&self, output: &std::process::Output, found: &[Found]) -> Result<(), String> {
        let (status, said) = super::said(output);
        match (status, said.as_str(), found.contains(&Found::Failed)) {
            (Some(0), "", false) => Ok(()),
            (Some(1), said, true) if said.starts_with("promdrop: told: ") => Ok(()),
            _ => Err("it outlived that, and doesn't say what became of it".to_owned()),
        }
    }
}
