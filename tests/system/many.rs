//! Fifty of promdrop's processes at once over two hundred collectors: each slot of each is served once, and at no
//! moment would node_exporter mind what stands in the directory.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::support::host::Host;
use crate::support::netns::in_fresh;

const PROCESSES: usize = 50;
const COLLECTORS: usize = 200;
/// Every so manieth is a command, which writes down its runs.
const COMMANDS: usize = 20;

#[test]
fn fifty_processes_over_two_hundred_collectors() {
    in_fresh(|| each_slot_once(10_000, Duration::from_secs(35)));
}

#[test]
#[ignore = "takes long: tests/run --long"]
fn long_fifty_processes_over_two_hundred_collectors() {
    in_fresh(|| each_slot_once(10_000, Duration::from_secs(600)));
}

fn stems() -> impl Iterator<Item = (String, bool)> {
    (0..COLLECTORS).map(|number| (format!("c{number:03}"), number % COMMANDS == 0))
}

fn each_slot_once(interval_ms: u64, length: Duration) {
    let host = &Host::new();
    let interval = Duration::from_millis(interval_ms);
    for (stem, is_command) in stems() {
        let header = format!("interval: {}s\nlabels: {{c: {stem}}}\n", interval.as_secs());
        let log = host.path(&format!("{stem}.log")).display().to_string();
        let module = match is_command {
            true => format!(
                "module: command\n{header}command:\n  argv: [sh, -c, 'echo >>{log}; echo 1']\n  output: {{format: value, name: {stem}, help: A number.}}\n"
            ),
            false => format!("module: netstat\n{header}"),
        };
        host.collector(&stem, &module);
    }
    let (done, count) = (&AtomicBool::new(false), &AtomicUsize::new(0));
    let start = Instant::now();
    let first = slot_now(interval_ms);
    let looks = thread::scope(|scope| {
        let lint = scope.spawn(move || lint(host, done));
        let workers: Vec<_> = (0..PROCESSES)
            .map(|_| {
                scope.spawn(move || {
                    while start.elapsed() < length {
                        expect_silence(&run(host));
                        count.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        let ended: Vec<_> = workers.into_iter().map(|worker| worker.join()).collect();
        done.store(true, Ordering::Relaxed);
        let looks = lint.join().unwrap();
        ended.into_iter().for_each(|ended| ended.unwrap());
        looks
    });
    // The last slot may have begun with the end near; one more tick serves it.
    expect_silence(&run(host));
    let last = slot_now(interval_ms);
    let mut all = 0;
    for (stem, is_command) in stems() {
        let published = host.published(&stem);
        let served: u64 = header(host, &stem, "slot-ms");
        let runs = |result: &str| {
            let labels = [("collector", stem.as_str()), ("result", result)];
            published.value("promdrop_collector_runs_total", &labels) as u64
        };
        assert!(
            (first..first + interval_ms * 2).contains(&(served - (runs("success") - 1) * interval_ms)),
            "{stem}"
        );
        // Every slot from the first to the last, each once.
        let slots = (served - first) / interval_ms + 1;
        assert!(served + interval_ms >= last, "{stem}: {served}, though it is {last}");
        assert_eq!((runs("success"), runs("skipped")), (slots, 0), "{stem} from {first} to {served}");
        if is_command {
            let log = fs::read_to_string(host.path(&format!("{stem}.log"))).unwrap();
            assert_eq!(log.len() as u64, slots, "{stem} ran another number of times");
        }
        all += slots;
    }
    let processes = count.load(Ordering::Relaxed);
    println!("{processes} processes, {all} runs of {COLLECTORS} collectors, {looks} looks of lint");
    assert!(looks > 3);
    let left: BTreeSet<String> = fs::read_dir(host.textfile_dir())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".prom"))
        .collect();
    assert_eq!(left, BTreeSet::from([".promdrop.lock".to_owned()]));
}

/// The slot that it is now.
fn slot_now(interval_ms: u64) -> u64 {
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    now - now % interval_ms
}

fn run(host: &Host) -> Output {
    host.run().stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn expect_silence(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!((output.status.code(), &*stderr), (Some(0), ""));
}

fn header(host: &Host, stem: &str, key: &str) -> u64 {
    let text = host.text(&format!("{stem}.prom"));
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("# promdrop-{key}: ")));
    line.unwrap().parse().unwrap()
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
