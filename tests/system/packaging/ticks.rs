//! `run --every --for` by the real clock, which the cron line rests on.

use std::fs;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::host::Host;
use crate::support::{need, the_machine, wait_for};

const EVERY: u64 = 2;
const TICKS: u64 = 5;

/// Now, in seconds since the epoch.
fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}

/// The number of the tick that `time` belongs to.
fn tick(time: f64) -> u64 {
    time as u64 / EVERY
}

#[test]
fn five_ticks_in_ten_seconds_are_five_aligned_slots_with_silence_between_them() {
    need("strace");
    let _alone = the_machine();
    let host = Host::new();
    let (log, report) = (host.path("log"), host.path("strace"));
    let command =
        format!("{{shell: 'date +%s.%N >>{}; echo 1', output: {{format: value, name: x}}}}", log.display());
    host.collector("clock", &format!("module: command\ninterval: {EVERY}s\ncommand: {command}\n"));
    let run = host.run();
    // Not so late in a slot that the first run may belong to the next.
    let before = wait_for(Duration::from_secs(2 * EVERY), "the first half of a slot", || {
        let now = now();
        if now % (EVERY as f64) < 1.0 { Ok(now) } else { Err(now) }
    });
    let output = Command::new("strace")
        .args([
            "--follow-forks",
            "--string-limit=0",
            "--absolute-timestamps=format:unix,precision:us",
            "--output",
        ])
        .arg(&report)
        .arg(run.get_program())
        .args(run.get_args())
        .args(["--every", &format!("{EVERY}s"), "--for", &format!("{}s", EVERY * TICKS)])
        .output()
        .unwrap();
    let after = now();
    let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert_eq!((output.status.code(), said.as_str()), (Some(0), ""));

    let log = fs::read_to_string(log).unwrap();
    let times: Vec<f64> = log.lines().map(|line| line.parse().unwrap()).collect();
    let first = tick(times[0]);
    let seen: Vec<u64> = times.iter().copied().map(tick).collect();
    assert_eq!(seen, (first..first + TICKS).collect::<Vec<_>>(), "{times:?}");
    assert!(first <= tick(before) + 1, "started at {before}, and first ran at {}", times[0]);
    // A busy machine makes some of them late, but no mistake in the alignment spares one.
    let late = times[1..].iter().map(|time| time % EVERY as f64).fold(f64::INFINITY, f64::min);
    assert!(late < 1.0, "every tick is {late} s late or more: {times:?}");
    assert!(tick(after) < first + TICKS, "ended at {after}, when the next minute's would begin: {times:?}");

    // Of the moments at which promdrop or its supervisor asked the kernel for anything, or were woken by it.
    let report = fs::read_to_string(report).unwrap();
    let awake: Vec<f64> =
        report.lines().map(|line| line.split_whitespace().nth(1).unwrap().parse().unwrap()).collect();
    let is_quiet = |tick: &u64| {
        let (half, end) = ((tick * EVERY + 1) as f64, ((tick + 1) * EVERY) as f64);
        !awake.iter().any(|time| (half..end).contains(time))
    };
    let quiet = (first..first + TICKS - 1).filter(is_quiet).count();
    println!("late by {late} s, {} moments awake, {quiet} ticks with a quiet second half", awake.len());
    // What woke up again and again would do so after every tick.
    assert!(quiet >= 2, "only {quiet} ticks were quiet: {awake:?}");
}
