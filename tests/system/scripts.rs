//! One script's failure, hang or flood never touches another's.

use std::collections::BTreeMap;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::host::Host;
use crate::support::netns::in_fresh;
use crate::support::processes;
use crate::support::wait_for;

/// Scripts that fail: name, script, the result that promdrop must report.
const FAILING: [(&str, &str, &str); 6] = [
    ("hang", "sleep 600", "timeout"),
    ("stubborn", "trap '' TERM; while :; do sleep 600; done", "timeout"),
    ("crash", "kill -s SEGV $$", "signal"),
    ("exit", "echo broken >&2; exit 3", "exit"),
    ("flood", "exec yes", "limit"),
    ("half-line", "printf 'half_line{state=\"ope'", "output"),
];

/// Scripts that exit 0 and leave a process behind.
const LEAVING: [(&str, &str); 2] = [
    ("pipe", "sleep 600 & echo 'pipe_value 1'"),
    ("daemon", "setsid sh -c 'sleep 600 </dev/null >/dev/null 2>&1 &'; echo 'daemon_value 1'"),
];

/// A timeout of 1 s, a grace of 2 s for those that ignore SIGTERM, some hundreds of milliseconds for leftovers; the
/// rest is for a busy machine. One script after the other, or waiting for one's 600 s, would take longer.
const IN_TIME: Duration = Duration::from_secs(15);

#[test]
fn each_bad_script_fails_alone() {
    in_fresh(|| {
        let host = Host::new();
        // With the default minute, a slot could begin while `stubborn` runs, and be served too.
        host.collector("netstat", "module: netstat\ninterval: 7d\n");
        let scripts =
            FAILING.iter().map(|(name, script, _)| (name, script)).chain(LEAVING.iter().map(|(n, s)| (n, s)));
        for (name, script) in scripts {
            let file = host.path(name);
            fs::write(&file, script).unwrap();
            let argv = format!("[/bin/sh, {}]", file.display());
            let header = "module: command\ninterval: 7d\ntimeout: 1s";
            host.collector(name, &format!("{header}\ncommand: {{argv: {argv}}}\n"));
        }

        // To a file: at a pipe, the test would wait for every process that has inherited it.
        let stderr = host.path("stderr");
        let mut run = host.run().stderr(fs::File::create(&stderr).unwrap()).spawn().unwrap();
        let status =
            wait_for(IN_TIME, "promdrop has ended", || run.try_wait().unwrap().ok_or_else(processes::here));
        processes::await_none(Duration::from_millis(500));
        let said = fs::read_to_string(stderr).unwrap();
        assert_eq!(status.code(), Some(1), "{said}");

        let runs = |stem, result| {
            let labels = [("collector", stem), ("result", result)];
            host.published(stem).value("promdrop_collector_runs_total", &labels)
        };
        for (stem, _, result) in FAILING {
            let health = host.published(stem);
            assert_eq!(
                health.value("promdrop_collector_success", &[("collector", stem)]),
                0.0,
                "{stem}\n{said}"
            );
            assert_eq!(runs(stem, result), 1.0, "{stem} {result}\n{said}");
            assert_eq!(runs(stem, "success"), 0.0, "{stem}");
            assert!(said.lines().any(|line| line.contains(stem)), "nothing said of {stem}:\n{said}");
        }
        assert!(!host.published("half-line").has("half_line"));
        for stem in ["netstat", "pipe", "daemon"] {
            let health = host.published(stem);
            assert_eq!(
                health.value("promdrop_collector_success", &[("collector", stem)]),
                1.0,
                "{stem}\n{said}"
            );
            assert_eq!(runs(stem, "success"), 1.0, "{stem}");
        }
        assert!(host.published("netstat").has("count_netstat_wait_connections"));
        for (stem, _) in LEAVING {
            assert_eq!(host.published(stem).value(&format!("{stem}_value"), &[]), 1.0);
            let told = |line: &str| line.contains(stem) && line.contains("left behind");
            assert!(said.lines().any(told), "not said that {stem} left a process behind:\n{said}");
        }
    });
}

#[test]
fn told_to_end_it_ends_its_commands_and_leaves_what_is_published() {
    in_fresh(|| {
        let host = Host::new();
        let (hold, names) = (host.path("hold"), ["one", "two"]);
        for name in names {
            // Fast, until the test says hold.
            let script = format!(
                "if [ -e {hold} ]; then echo '{name}_value 2'; touch {begun}; sleep 600; fi; echo '{name}_value 1'",
                hold = hold.display(),
                begun = host.path(name).display(),
            );
            host.collector(name, &format!("module: command\ncommand:\n  shell: |\n    {script}\n"));
        }
        host.run_well(&names);
        let before = contents(&host);
        assert!(before.contains_key("one.prom") && before.contains_key("two.prom"), "{:?}", before.keys());

        fs::write(&hold, "").unwrap();
        let mut run = host.run().args(names).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(Duration::from_secs(20), "both commands run", || {
            let waiting: Vec<_> = names.iter().filter(|name| !host.path(name).exists()).collect();
            if waiting.is_empty() { Ok(()) } else { Err(waiting) }
        });
        kill(Pid::from_raw(run.id().cast_signed()), Signal::SIGTERM).unwrap();
        // Less than the commands' own timeout of 10 s, which would end them too.
        wait_for(Duration::from_secs(5), "promdrop has ended", || run.try_wait().unwrap().ok_or("it runs"));
        processes::await_none(Duration::from_secs(1));
        assert_eq!(contents(&host), before);
        let said = std::io::read_to_string(run.stderr.take().unwrap()).unwrap();
        assert_eq!(said, "promdrop: told to end: what ran was ended, what was published before stands\n");
    });
}

/// Every file of the textfile directory.
fn contents(host: &Host) -> BTreeMap<String, String> {
    let entries = fs::read_dir(host.textfile_dir()).unwrap().map(Result::unwrap);
    entries
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()))
        .collect()
}

#[test]
fn two_hundred_at_once_are_all_run_and_no_more_than_jobs_at_a_time() {
    const COMMANDS: usize = 200;
    const JOBS: usize = 8;
    let host = Host::new();
    let log = host.path("log");
    for n in 0..COMMANDS {
        // One write each to a file opened to append: the lines stand in the order of what happened.
        let script =
            format!("echo + >> {log}; echo 'a{{n=\"{n}\"}} 1'; echo - >> {log}", log = log.display());
        let yaml =
            format!("module: command\ninterval: 7d\ntimeout: 1m\ncommand:\n  shell: |\n    {script}\n");
        host.collector(&format!("c{n}"), &yaml);
    }
    let (status, _, stderr) = host.outcome(&["run", "--jobs", &JOBS.to_string()]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    for n in 0..COMMANDS {
        assert_eq!(host.published(&format!("c{n}")).value("a", &[("n", &n.to_string())]), 1.0);
    }
    let (mut running, mut most, mut ended) = (0_usize, 0, 0);
    for line in fs::read_to_string(&log).unwrap().lines() {
        match line {
            "+" => running += 1,
            _ => (running, ended) = (running - 1, ended + 1),
        }
        most = most.max(running);
    }
    assert_eq!((running, ended), (0, COMMANDS));
    assert!((2..=JOBS).contains(&most), "{most} at a time");
}

/// Where a limit (`ulimit -u`, a container's pids) allows no thread more, all still runs, one after the other.
#[test]
fn without_threads_everything_runs_in_turn() {
    let host = Host::new();
    // Labels tell the series of the two apart.
    host.collector("a", "module: netstat\n").collector("b", "module: netstat\nlabels: {again: yes-it-is}\n");
    // Nobody else on this host has that id: the process itself is all that the limit allows.
    let output = host.run_by(4_000_002, "--nproc=1");
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
    for file in ["a.prom", "b.prom"] {
        assert!(host.text(file).contains("\npromdrop_collector_success{"), "{file}");
    }
}
