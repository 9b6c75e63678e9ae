//! Fifty of promdrop's processes at once over two hundred collectors: each slot of each is served once, and at no
//! moment would node_exporter mind what stands in the directory.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::support::host::Host;
use crate::support::netns::in_fresh;
use crate::support::{names, the_machine};

const PROCESSES: usize = 50;
const COLLECTORS: usize = 200;
/// Every so manieth is a command, which writes down its runs.
const COMMANDS: usize = 20;

/// So many slots must be seen from start to end, and this long it may take.
const LEAST: usize = 2;
const PATIENCE: Duration = Duration::from_secs(240);

/// Slots in ms, and how often all the processes start at once.
const INTERVAL: u64 = 20_000;
const TICK: u64 = 10_000;

#[test]
fn fifty_processes_over_two_hundred_collectors() {
    in_fresh(|| each_slot_once(Duration::from_secs(45)));
}

#[test]
#[ignore = "takes long: tests/run --long"]
fn long_fifty_processes_over_two_hundred_collectors() {
    in_fresh(|| each_slot_once(Duration::from_secs(600)));
}

fn stems() -> impl Iterator<Item = (String, bool)> {
    (0..COLLECTORS).map(|number| (format!("c{number:03}"), number % COMMANDS == 0))
}

fn each_slot_once(length: Duration) {
    let _alone = the_machine();
    let host = &Host::new();
    for (stem, is_command) in stems() {
        let header = format!("interval: {}ms\nlabels: {{c: {stem}}}\n", INTERVAL);
        let log = host.path(&format!("{stem}.log")).display().to_string();
        let module = match is_command {
            true => format!(
                "module: command\n{header}command:\n  argv: [sh, -c, 'echo >>{log}; echo 1']\n  \
                 output: {{format: value, name: {stem}, help: A number.}}\n"
            ),
            false => format!("module: netstat\n{header}"),
        };
        host.collector(&stem, &module);
    }
    let done = &AtomicBool::new(false);
    let (batches, looks) = thread::scope(|scope| {
        let lint = scope.spawn(move || lint(host, done));
        let batches = scope.spawn(move || batches(host, length)).join();
        done.store(true, Ordering::Relaxed);
        (batches.unwrap(), lint.join().unwrap())
    });
    // Slots in which a start and its end lie must have been served; others that a start or an end lies in may have been.
    let must: BTreeSet<u64> = within_a_slot(&batches).collect();
    let may: BTreeSet<u64> =
        batches.iter().flat_map(|(a, b)| (slot(*a)..=slot(*b)).step_by(INTERVAL as usize)).collect();
    assert!(must.len() >= LEAST, "{batches:?}");
    let mut all = 0;
    for (stem, is_command) in stems() {
        let published = host.published(&stem);
        let runs = |result: &str| {
            let labels = [("collector", stem.as_str()), ("result", result)];
            published.value("promdrop_collector_runs_total", &labels) as usize
        };
        assert!(
            (must.len()..=may.len()).contains(&runs("success")),
            "{stem}: {} of {may:?}",
            runs("success")
        );
        assert!(may.contains(&served(host, &stem)) && must.last() <= Some(&served(host, &stem)), "{stem}");
        if is_command {
            let log = fs::read_to_string(host.path(&format!("{stem}.log"))).unwrap();
            assert_eq!(log.len(), runs("success"), "{stem} ran another number of times");
        }
        all += runs("success");
    }
    println!(
        "{} processes, {all} runs of {COLLECTORS} collectors in {} to {} slots, {looks} looks of lint",
        batches.len() * PROCESSES,
        must.len(),
        may.len()
    );
    assert!(looks > 3);
    let mut left = names(&host.textfile_dir());
    left.retain(|name| !name.ends_with(".prom"));
    assert_eq!(left, [".promdrop.lock"]);
}

fn slot(now: u64) -> u64 {
    now - now % INTERVAL
}

/// The slots in which a batch began and ended.
fn within_a_slot(batches: &[(u64, u64)]) -> impl Iterator<Item = u64> {
    batches.iter().filter(|(a, b)| slot(*a) == slot(*b)).map(|(a, _)| slot(*a))
}

/// Starts all processes at once at every tick; when each batch began and when its last one ended. On a busy machine it
/// goes on until enough of them were quick.
fn batches(host: &Host, length: Duration) -> Vec<(u64, u64)> {
    let start = Instant::now();
    let mut batches = Vec::new();
    let enough = |batches: &[(u64, u64)]| within_a_slot(batches).collect::<BTreeSet<_>>().len() >= LEAST;
    while start.elapsed() < length || start.elapsed() < PATIENCE && !enough(&batches) {
        let began = now();
        thread::scope(|scope| {
            let processes: Vec<_> = (0..PROCESSES).map(|_| scope.spawn(|| run(host))).collect();
            processes.into_iter().for_each(|process| expect_silence(&process.join().unwrap()));
        });
        batches.push((began, now()));
        thread::sleep(Duration::from_millis(TICK - now() % TICK));
    }
    batches
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64
}

fn run(host: &Host) -> Output {
    host.run().stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn expect_silence(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
}

/// The slot that a collector has served last.
fn served(host: &Host, stem: &str) -> u64 {
    let text = host.text(&format!("{stem}.prom"));
    let slot = text.lines().find_map(|line| line.strip_prefix("# promdrop-slot-ms: "));
    slot.unwrap().parse().unwrap()
}

/// Has lint look at the directory over and over; how often.
fn lint(host: &Host, done: &AtomicBool) -> usize {
    let mut looks = 0;
    while !done.load(Ordering::Relaxed) {
        let mut command: Command = host.promdrop();
        let output = command.arg("lint").output().unwrap();
        let found = String::from_utf8_lossy(&output.stdout);
        assert_eq!((output.status.code(), &*found), (Some(0), ""), "{output:?}");
        looks += 1;
    }
    looks
}
