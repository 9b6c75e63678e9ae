//! Each limit bites, for real.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::host::Host;
use crate::support::netns::in_fresh;
use crate::support::single::{NAME, Single, shell};
use crate::support::users::{UID, USER, with_user};
use crate::support::{need, processes, promdrop, the_machine, wait_for};

#[test]
fn a_memory_hog_gets_no_more() {
    need("python3");
    let script = "python3 -c 'x = bytearray(300 << 20)' && echo a 1";
    let free = Single::run(&shell("user: nobody", script, ""));
    free.ended("success");
    assert!(free.health("promdrop_collector_memory_peak_bytes") >= f64::from(300 << 20));
    let hog = Single::run(&shell("user: nobody", script, "rlimits: {memory: 100MiB}"));
    hog.ended("exit").says("MemoryError");
    assert!(hog.health("promdrop_collector_memory_peak_bytes") <= f64::from(100 << 20));
    // Not even the program fits: that is no fault of promdrop's.
    let none = Single::run(&shell("", "echo a 1", "rlimits: {memory: 1MiB}"));
    let result = ["exit", "signal", "spawn"].map(|word| {
        let labels = [("collector", NAME), ("result", word)];
        none.host.published(NAME).value("promdrop_collector_runs_total", &labels)
    });
    assert_eq!(result.iter().sum::<f64>(), 1.0, "{}", none.said);
}

/// `run` with a limit on processes that its commands inherit; root itself is not held to it.
fn inheriting(processes: usize, run: &Command) -> Command {
    let mut limited = Command::new("prlimit");
    limited
        .arg(format!("--nproc={processes}"))
        .arg(run.get_program())
        .args(run.get_args())
        .env_clear()
        .envs(run.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited
}

#[test]
fn a_fork_bomb_stays_in_its_box() {
    const MOST: usize = 20;
    // Each goes on forking until it is refused, and stays.
    const BOMB: &str = "exec python3 -c '
import os, time
try:
    while True: os.fork()
except BlockingIOError:
    os.write(2, b\"refused\\n\")
    time.sleep(600)
'";
    need("python3");
    with_user(|| {
        in_fresh(|| {
            let _alone = the_machine();
            let yaml = shell(
                &format!("user: {USER}\ntimeout: 2s"),
                BOMB,
                &format!("rlimits: {{processes: {MOST}}}"),
            );
            let host = Host::new();
            host.collector(NAME, &yaml);
            let stderr = host.path("stderr");
            // Where promdrop sets no limit, its command inherits this one: the machine survives the failure.
            let mut run = inheriting(5 * MOST, &host.run());
            let mut run = run.stderr(fs::File::create(&stderr).unwrap()).spawn().unwrap();
            let mut most = 0;
            let status = loop {
                if let Some(status) = run.try_wait().unwrap() {
                    break status;
                }
                // promdrop and its supervisor are not of that user.
                most = most.max(processes::here().len().saturating_sub(2));
                thread::sleep(Duration::from_millis(5));
            };
            processes::await_none(Duration::from_millis(500));
            let said = fs::read_to_string(stderr).unwrap();
            assert_eq!(status.code(), Some(1), "{said}");
            assert!(said.contains("it: timeout: ") && said.contains("refused"), "{said}");
            assert_eq!(most, MOST, "{said}");
        });
    });
}

/// One whose first process is gone, and which fills the place of each that is killed.
#[test]
fn a_fork_bomb_that_outlives_its_command_is_ended_all_the_same() {
    need("python3");
    let script = "exec python3 -c '
import os, signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork():
    print(\"a 1\", flush=True)
    os._exit(0)
os.close(1)
while True:
    try:
        os.fork()
    except OSError:
        pass
'";
    with_user(|| {
        in_fresh(|| {
            let _alone = the_machine();
            let host = Host::new();
            host.collector(NAME, &shell(&format!("user: {USER}"), script, ""));
            let stderr = host.path("stderr");
            let mut run = inheriting(100, &host.run());
            let mut run = run.stderr(fs::File::create(&stderr).unwrap()).spawn().unwrap();
            let status =
                wait_for(Duration::from_secs(30), "promdrop has ended", || run.try_wait().unwrap().ok_or(()));
            let left = processes::here().len();
            // Whatever comes of this test, the machine is to be usable after it.
            let _ = Command::new("setpriv")
                .args([&format!("--reuid={UID}"), "--clear-groups", "/bin/bash", "-c", "kill -9 -1"])
                .status();
            let said = fs::read_to_string(stderr).unwrap();
            assert_eq!((status.code(), left), (Some(0), 0), "{said}");
            assert!(said.contains("that it left behind"), "{said}");
        });
    });
}

#[test]
fn cpu_time_ends() {
    need("python3");
    // On a busy machine, a second of it may take many.
    let header = "timeout: 1m";
    let rlimits = "rlimits: {cpu: 1s}";
    let said = "it used more than the 1 s of CPU time that `rlimits` allows";
    let busy = Single::run(&shell(header, "while :; do :; done", rlimits));
    busy.ended("limit").says(said);
    let used = busy.health("promdrop_collector_cpu_seconds");
    // Limits go by ticks of the clock.
    assert!((0.7..2.5).contains(&used), "{used}");
    let child = Single::run(&shell(header, "sh -c 'while :; do :; done'; exit $?", rlimits));
    child.ended("limit").says(said);
    let ignores = "exec python3 -c 'import signal
signal.signal(signal.SIGXCPU, signal.SIG_IGN)
while True: pass'";
    let killed = Single::run(&shell(header, ignores, rlimits));
    killed
        .ended("limit")
        .says("it was killed, likely for going on after the 1 s of CPU time that `rlimits` allows");
    // Killed by another, it is not.
    Single::run(&shell("", "kill -KILL $$", rlimits)).ended("signal").says("SIGKILL");
}

#[test]
fn a_file_grows_no_larger() {
    let host = Host::new();
    let file = host.path("file");
    let script = format!("head -c 1000000 /dev/zero > {}; exit $?", file.display());
    let run = Single::run_on(host, &shell("", &script, "rlimits: {file_size: 10KiB}"));
    run.ended("limit").says("it wrote a file longer than the 10240 bytes that `rlimits` allows");
    assert_eq!(fs::metadata(file).unwrap().len(), 10_240);
}

#[test]
fn no_more_files_are_opened() {
    need("python3");
    let script = "python3 -c 'all = [open(\"/dev/null\") for _ in range(100)]' && echo a 1";
    Single::run(&shell("", script, "")).ended("success");
    let run = Single::run(&shell("", script, "rlimits: {open_files: 50}"));
    run.ended("exit").says("Too many open files");
}

/// Of promdrop, its supervisor and what it starts, whichever needs most.
const MOST_MEMORY: u64 = 64 << 20;

/// Runs its arguments and prints the most memory, in KiB, that a process of it had.
const MEASURE: &str = "
import resource, subprocess, sys
subprocess.run(sys.argv[1:], timeout=60)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
";

#[test]
fn a_flood_ends_early_and_nobody_grows_by_it() {
    need("python3");
    for (flood, word) in [
        ("exec head -c 10G /dev/zero", "limit"),
        ("yes", "limit"),
        ("head -c 1G /dev/zero | tr '\\\\0' x", "limit"),
        ("exec head -c 10G /dev/zero >&2", "limit"),
    ] {
        let host = Host::new();
        host.collector(NAME, &shell("timeout: 30s", flood, ""));
        let run = host.run();
        let output = Command::new("python3")
            .args(["-c", MEASURE])
            .arg(run.get_program())
            .args(run.get_args())
            .env_clear()
            .envs(promdrop().get_envs().filter_map(|(name, value)| Some((name, value?))))
            .output()
            .unwrap();
        let (stdout, stderr) =
            (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
        let peak = stdout.trim().parse::<u64>().unwrap_or_else(|_| panic!("{stdout}{stderr}")) << 10;
        println!("{flood}: {} KiB at most", peak >> 10);
        let labels = [("collector", NAME), ("result", word)];
        assert_eq!(host.published(NAME).value("promdrop_collector_runs_total", &labels), 1.0, "{stderr}");
        assert!(peak < MOST_MEMORY, "{flood}: {peak} bytes");
        let took = host.published(NAME).value("promdrop_collector_duration_seconds", &[("collector", NAME)]);
        assert!(took < 20.0, "{flood}: {took} s");
    }
}
