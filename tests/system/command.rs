//! Commands that behave as badly as commands do. After each, no process of it is left.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use promdrop::collect::account::Identity;
use promdrop::collect::command::limits::Limits;
use promdrop::collect::command::process::{self, Fault};
use promdrop::collect::command::protocol::{
    End, GRACE, Report, STDERR_LIMIT, STDOUT_LIMIT, Specification, Step,
};
use promdrop::collect::command::{Command, read};
use promdrop::collect::stop::Stop;
use promdrop::collect::trace::Trace;
use promdrop::collect::{Collection, Failure, Outcome, Run, State};
use promdrop::config::Header;
use promdrop::config::yaml::{Section, decode};

use crate::support;

const PROMDROP: &str = env!("CARGO_BIN_EXE_promdrop");

/// Longer than anything here takes, shorter than patience.
const LONG: Duration = Duration::from_secs(30);

/// Marks every process of one test by a variable of its own.
struct Mark(String);

impl Mark {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        Self(format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)))
    }

    fn variable(&self) -> (String, String) {
        ("PROMDROP_TEST_MARK".into(), self.0.clone())
    }

    /// Those of its processes that live.
    fn processes(&self) -> Vec<i32> {
        let wanted = format!("PROMDROP_TEST_MARK={}", self.0);
        let has = |pid: &i32| {
            let environ = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environ.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes())
        };
        let entries = fs::read_dir("/proc").unwrap().flatten();
        entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(has).collect()
    }

    fn assert_gone(&self) {
        assert_eq!(self.processes(), [0; 0], "processes are left");
    }
}

fn shell(mark: &Mark, script: &str) -> Specification {
    argv(mark, &["/bin/sh", "-c", script])
}

fn argv(mark: &Mark, argv: &[&str]) -> Specification {
    Specification {
        program: argv[0].into(),
        argv: argv.iter().map(|word| (*word).to_owned()).collect(),
        environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into()), mark.variable()],
        directory: "/".into(),
        identity: None,
        secrets: Vec::new(),
        umask: 0o022,
        nice: None,
        no_new_privileges: false,
        limits: Limits::default(),
        timeout: LONG,
    }
}

fn run(specification: &Specification) -> Report {
    let (never, _held) = nix::unistd::pipe().unwrap();
    process::run(Path::new(PROMDROP), specification, never.as_fd()).unwrap()
}

/// Runs a script to its end; nothing of it may be left.
fn run_script(script: &str) -> Report {
    let mark = Mark::new();
    let report = run(&shell(&mark, script));
    mark.assert_gone();
    assert_eq!(report.survivors, 0, "{report:?}");
    report
}

fn run_script_for(timeout: Duration, script: &str) -> Report {
    let mark = Mark::new();
    let report = run(&Specification { timeout, ..shell(&mark, script) });
    mark.assert_gone();
    assert_eq!(report.survivors, 0, "{report:?}");
    report
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A FIFO by which a command tells that it has come to a point.
struct Fifo {
    _dir: tempfile::TempDir,
    path: PathBuf,
}

impl Fifo {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
        Self { _dir: dir, path }
    }

    /// The numbers on the line that is written to it.
    fn numbers(&self) -> Vec<i32> {
        use std::os::unix::fs::OpenOptionsExt;
        let mut file = fs::OpenOptions::new()
            .read(true)
            .custom_flags(nix::fcntl::OFlag::O_NONBLOCK.bits())
            .open(&self.path)
            .unwrap();
        await_event(file.as_fd(), "a line in the FIFO");
        let mut line = [0; 100];
        let count = file.read(&mut line).unwrap();
        text(&line[..count]).split_ascii_whitespace().map(|word| word.parse().unwrap()).collect()
    }

    /// Both ends at once, so that opening it waits for nobody.
    fn hold(&self) -> fs::File {
        fs::OpenOptions::new().read(true).write(true).open(&self.path).unwrap()
    }
}

fn await_event(fd: std::os::fd::BorrowedFd<'_>, what: &str) {
    let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
    let count = poll(&mut fds, PollTimeout::try_from(LONG).unwrap()).unwrap();
    assert_eq!(count, 1, "waited in vain for {what}");
}

fn pidfd(pid: i32) -> OwnedFd {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::pidfd_open(pid, rustix::process::PidfdFlags::empty()).unwrap()
}

#[test]
fn output_status_and_time_are_reported() {
    let report = run_script("echo out; echo err >&2; sleep 0.2; exit 3");
    assert_eq!(report.end, End::Exited(3));
    assert_eq!(text(&report.stdout.bytes), "out\n");
    assert_eq!(text(&report.stderr.bytes), "err\n");
    assert!(!report.stdout.truncated && !report.stderr.truncated && !report.undrained);
    assert_eq!(report.leftovers, 0);
    assert!(report.duration >= Duration::from_millis(200), "{:?}", report.duration);
}

#[test]
fn what_all_its_processes_used_is_reported_though_it_fails() {
    support::need("python3");
    let burn = "python3 -c 'import time
x = bytearray(100 << 20)
while time.process_time() < 0.3: pass'";
    let report = run_script(&format!("{burn}; {burn}; exit 3"));
    assert_eq!(report.end, End::Exited(3));
    assert!(report.usage.cpu >= Duration::from_millis(600), "{:?}", report.usage);
    assert!(report.usage.cpu < Duration::from_secs(10), "{:?}", report.usage);
    assert!((100 << 20..200 << 20).contains(&report.usage.memory_peak), "{:?}", report.usage);
}

#[test]
fn the_last_output_before_the_end_is_not_lost() {
    let mark = Mark::new();
    let script = "for i in 1 2 3 4 5 6 7 8 9; do echo $i; done; kill -KILL $$";
    for _ in 0..30 {
        let report = run(&shell(&mark, script));
        assert_eq!(text(&report.stdout.bytes), "1\n2\n3\n4\n5\n6\n7\n8\n9\n");
    }
}

#[test]
fn half_a_line_arrives_as_it_is() {
    assert_eq!(run_script("printf 'a 1\\nb 2'").stdout.bytes, b"a 1\nb 2");
}

#[test]
fn one_that_hangs_is_ended_at_its_timeout() {
    let report = run_script_for(Duration::from_secs(1), "echo before; sleep 1000 | sleep 1000");
    assert_eq!(report.end, End::TimedOut);
    assert!(
        report.duration >= Duration::from_millis(300) && report.duration < GRACE,
        "{:?}",
        report.duration
    );
    assert_eq!(text(&report.stdout.bytes), "before\n");
}

#[test]
fn one_that_ignores_term_is_killed_after_its_grace() {
    let started = Instant::now();
    let report = run_script_for(Duration::from_millis(100), "trap '' TERM; while :; do sleep 1000; done");
    assert_eq!(report.end, End::TimedOut);
    assert!(started.elapsed() >= GRACE, "KILL came too early");
}

/// Runs a script that is told to end, by TERM, once it has written to `told`.
fn run_and_stop(told: &Fifo, script: &str) -> Report {
    let mark = Mark::new();
    let specification = shell(&mark, script);
    let (stop, raise) = nix::unistd::pipe().unwrap();
    let running = thread::spawn(move || process::run(Path::new(PROMDROP), &specification, stop.as_fd()));
    told.numbers();
    drop(raise);
    let report = running.join().unwrap().unwrap();
    mark.assert_gone();
    report
}

#[test]
fn one_that_cleans_up_on_term_can_do_so() {
    let told = Fifo::new();
    let script = "trap 'sleep 0.3; echo cleaned; exit 0' TERM; sleep 1000 & echo 1 >";
    let report = run_and_stop(&told, &format!("{script} {}; wait", told.path.display()));
    assert_eq!(report.end, End::Stopped);
    assert_eq!(text(&report.stdout.bytes), "cleaned\n");
}

#[test]
fn what_left_its_session_gets_its_term_and_grace_too() {
    let told = Fifo::new();
    let script = "trap \"sleep 0.3; echo cleaned; exit 0\" TERM; sleep 1000 & echo 1 >";
    let report =
        run_and_stop(&told, &format!("setsid sh -c '{script} {}; wait' & wait", told.path.display()));
    assert_eq!(report.end, End::Stopped);
    assert_eq!(text(&report.stdout.bytes), "cleaned\n");
}

#[test]
fn a_crash_tells_its_signal_a_real_time_one_too() {
    assert_eq!(run_script("kill -SEGV $$").end, End::Signalled(11));
    assert_eq!(run_script("kill -40 $$").end, End::Signalled(40));
}

#[test]
fn a_flood_of_output_ends_early_and_is_cut() {
    let started = Instant::now();
    let report = run_script("yes; exec sleep 1000");
    assert_eq!(report.end, End::OverLimit);
    assert_eq!(report.stdout.bytes.len(), STDOUT_LIMIT);
    assert!(report.stdout.truncated);
    assert!(started.elapsed() < LONG);
}

#[test]
fn exactly_the_limit_is_not_too_much() {
    let report = run_script(&format!("head -c {STDOUT_LIMIT} /dev/zero"));
    assert_eq!((report.end, report.stdout.bytes.len()), (End::Exited(0), STDOUT_LIMIT));
    assert!(!report.stdout.truncated);
}

#[test]
fn of_a_flood_of_errors_the_end_is_kept() {
    let report = run_script("head -c 3000000 /dev/zero | tr '\\0' x >&2; echo the end >&2; echo ok");
    assert_eq!(report.end, End::Exited(0));
    assert_eq!(text(&report.stdout.bytes), "ok\n");
    assert_eq!(report.stderr.bytes.len(), STDERR_LIMIT);
    assert!(report.stderr.truncated);
    assert!(text(&report.stderr.bytes).ends_with("xxthe end\n"));
}

#[test]
fn a_flood_of_errors_that_does_not_end_is_ended() {
    let report = run_script("echo ok; exec yes >&2");
    assert_eq!(report.end, End::Flooding);
    assert_eq!(report.stderr.bytes.len(), STDERR_LIMIT);
}

#[test]
fn a_child_that_keeps_the_pipe_open_is_ended_and_told() {
    let report = run_script("sleep 1000 & echo done");
    assert_eq!((report.end, report.leftovers), (End::Exited(0), 1));
    assert_eq!(text(&report.stdout.bytes), "done\n");
    assert!(!report.undrained);
}

#[test]
fn what_is_left_but_ends_soon_may_write_to_its_end() {
    let (told, gate, mark) = (Fifo::new(), Fifo::new(), Mark::new());
    let mut open = gate.hold();
    let script = format!(
        "(read x < {}; echo late) & echo early; echo $$ > {}",
        gate.path.display(),
        told.path.display()
    );
    let specification = shell(&mark, &script);
    let running = thread::spawn(move || run(&specification));
    let command = rustix::process::Pid::from_raw(told.numbers()[0]).unwrap();
    // Where there is no such process any more, it has ended already.
    if let Ok(command) = rustix::process::pidfd_open(command, rustix::process::PidfdFlags::empty()) {
        await_event(command.as_fd(), "the command's end");
    }
    open.write_all(b"go\n").unwrap();
    let report = running.join().unwrap();
    mark.assert_gone();
    assert_eq!((report.end, report.leftovers), (End::Exited(0), 0));
    assert_eq!(text(&report.stdout.bytes), "early\nlate\n");
}

/// Forks twice, with a session of its own, and holds none of the pipes.
const DAEMON: &str = "
import os, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
for _ in range(2):
    if os.fork(): os._exit(0)
    os.setsid()
for fd in range(3): os.close(fd)
time.sleep(1000)
";

#[test]
fn a_daemon_is_found_and_ended_though_it_ignores_term() {
    support::need("python3");
    let mark = Mark::new();
    let started = Instant::now();
    let report = run(&argv(&mark, &["/usr/bin/python3", "-c", DAEMON]));
    mark.assert_gone();
    assert_eq!((report.end, report.leftovers), (End::Exited(0), 1));
    assert!(started.elapsed() >= GRACE);
}

#[test]
fn one_that_never_stops_forking_out_of_its_session_is_caught() {
    support::need("python3");
    let script = "
import os, time
end = time.time() + 60
while time.time() < end:
    if os.fork(): os._exit(0)
    os.setsid()
";
    let mark = Mark::new();
    let report = run(&argv(&mark, &["/usr/bin/python3", "-c", script]));
    // One look could miss what is another process a moment later.
    (0..50).for_each(|_| mark.assert_gone());
    assert_eq!((report.end, report.survivors), (End::Exited(0), 0));
}

#[test]
fn one_that_closes_its_output_is_still_waited_for() {
    let report = run_script("exec >&- 2>&-; sleep 0.3; exit 5");
    assert_eq!(report.end, End::Exited(5));
    assert!(report.duration >= Duration::from_millis(300));
}

#[test]
fn a_stranger_that_holds_the_pipe_does_not_hold_the_run() {
    let (told, gate, mark) = (Fifo::new(), Fifo::new(), Mark::new());
    let mut open = gate.hold();
    let script = format!("echo $$ > {}; read x < {}; echo done", told.path.display(), gate.path.display());
    let specification = shell(&mark, &script);
    let running = thread::spawn(move || run(&specification));
    let pid = told.numbers()[0];
    // Not its stdout, which the shell may have turned to the FIFO for its echo.
    let _held = fs::OpenOptions::new().write(true).open(format!("/proc/{pid}/fd/2")).unwrap();
    open.write_all(b"go\n").unwrap();
    let report = running.join().unwrap();
    mark.assert_gone();
    assert_eq!((report.end, report.leftovers), (End::Exited(0), 0));
    assert_eq!(text(&report.stdout.bytes), "done\n");
    assert!(report.undrained);
}

/// A script that tells the numbers of itself, its supervisor and a daemon, and hangs; all ignore TERM.
fn hangs_with_a_daemon(told: &Fifo) -> String {
    format!(
        "trap '' TERM HUP; setsid sleep 1000 & echo $$ $PPID $! > {}; sleep 1000; sleep 1000",
        told.path.display()
    )
}

#[test]
fn promdrop_told_to_end_takes_the_command_along() {
    let (told, mark) = (Fifo::new(), Mark::new());
    let specification = shell(&mark, &hangs_with_a_daemon(&told));
    let (stop, raise) = nix::unistd::pipe().unwrap();
    let running = thread::spawn(move || process::run(Path::new(PROMDROP), &specification, stop.as_fd()));
    let all: Vec<OwnedFd> = told.numbers().into_iter().map(pidfd).collect();
    drop(raise);
    assert_eq!(running.join().unwrap().unwrap().end, End::Stopped);
    mark.assert_gone();
    all.iter().for_each(|pid| await_event(pid.as_fd(), "an end"));
}

#[test]
fn a_supervisor_told_to_end_takes_the_command_along() {
    let (told, mark) = (Fifo::new(), Mark::new());
    let specification = shell(&mark, &hangs_with_a_daemon(&told));
    let running = thread::spawn(move || run(&specification));
    kill(Pid::from_raw(told.numbers()[1]), Signal::SIGTERM).unwrap();
    assert_eq!(running.join().unwrap().end, End::Stopped);
    mark.assert_gone();
}

#[test]
fn a_supervisor_killed_is_a_fault_and_its_session_ends() {
    let (told, mark) = (Fifo::new(), Mark::new());
    let specification =
        shell(&mark, &format!("echo $$ $PPID > {}; sleep 1000; sleep 1000", told.path.display()));
    let running = thread::spawn(move || {
        let (never, _held) = nix::unistd::pipe().unwrap();
        process::run(Path::new(PROMDROP), &specification, never.as_fd())
    });
    let numbers = told.numbers();
    let command = pidfd(numbers[0]);
    kill(Pid::from_raw(numbers[1]), Signal::SIGKILL).unwrap();
    let fault: Fault = running.join().unwrap().unwrap_err();
    assert!(fault.to_string().contains("without a report"), "{fault}");
    await_event(command.as_fd(), "the command's end");
}

#[test]
fn a_supervisor_that_hangs_is_killed_with_its_session() {
    let (told, mark) = (Fifo::new(), Mark::new());
    let script = format!("echo $$ $PPID > {}; sleep 1000; sleep 1000", told.path.display());
    let specification = Specification { timeout: Duration::from_secs(3), ..shell(&mark, &script) };
    let running = thread::spawn(move || {
        let (never, _held) = nix::unistd::pipe().unwrap();
        process::run(Path::new(PROMDROP), &specification, never.as_fd())
    });
    let numbers = told.numbers();
    let command = pidfd(numbers[0]);
    kill(Pid::from_raw(numbers[1]), Signal::SIGSTOP).unwrap();
    let fault: Fault = running.join().unwrap().unwrap_err();
    assert!(fault.to_string().contains("did not end in time"), "{fault}");
    await_event(command.as_fd(), "the command's end");
}

#[test]
fn what_is_no_supervisor_is_a_fault() {
    let mark = Mark::new();
    let (never, _held) = nix::unistd::pipe().unwrap();
    for (program, said) in [
        ("/no/such", "can't start"),
        ("/bin/true", "without a report"),
        ("/bin/echo", "without a report"),
        ("/usr/bin/yes", "without a report"),
    ] {
        let fault = process::run(Path::new(program), &shell(&mark, ":"), never.as_fd()).unwrap_err();
        assert!(fault.to_string().contains(said), "{program}: {fault}");
    }
}

#[test]
#[ignore = "not a test: what promdrop_killed_takes_the_command_along kills"]
fn stands_in_for_promdrop() {
    if let Ok(specification) = std::env::var("PROMDROP_TEST_SPECIFICATION") {
        run(&serde_json::from_str(&specification).unwrap());
    }
}

#[test]
fn promdrop_killed_takes_the_command_along() {
    let (told, mark) = (Fifo::new(), Mark::new());
    let specification = shell(&mark, &hangs_with_a_daemon(&told));
    let mut promdrop = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["command::stands_in_for_promdrop", "--exact", "--ignored"])
        .env("PROMDROP_TEST_SPECIFICATION", serde_json::to_string(&specification).unwrap())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let all: Vec<OwnedFd> = told.numbers().into_iter().map(pidfd).collect();
    assert_eq!(all.len(), 3);
    promdrop.kill().unwrap();
    promdrop.wait().unwrap();
    all.iter().for_each(|pid| await_event(pid.as_fd(), "the end of command, supervisor and daemon"));
    mark.assert_gone();
}

#[test]
fn a_specification_larger_than_a_pipe_arrives() {
    let report = run_script(&format!(": {}\necho whole", "x".repeat(100_000)));
    assert_eq!(text(&report.stdout.bytes), "whole\n");
}

#[test]
fn the_longest_time_there_is_breaks_nothing() {
    let mark = Mark::new();
    let report = run(&Specification { timeout: Duration::MAX, ..shell(&mark, "exit 0") });
    assert_eq!(report.end, End::Exited(0));
}

#[test]
fn no_signal_is_blocked_or_ignored() {
    let mark = Mark::new();
    let report = thread::spawn(move || {
        nix::sys::signal::SigSet::all().thread_block().unwrap();
        run(&argv(&mark, &["/bin/grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"]))
    });
    let report = report.join().unwrap();
    let sets: Vec<u64> = text(&report.stdout.bytes)
        .lines()
        .map(|line| u64::from_str_radix(line.split_once('\t').unwrap().1, 16).unwrap())
        .collect();
    // Signals 32 and 33 are libc's own, for threads: glibc's posix_spawn always leaves them ignored.
    let libc = 1 << 31 | 1 << 32;
    assert_eq!((sets[0], sets[1] & !libc), (0, 0), "{report:?}");
}

#[test]
fn three_descriptors_and_no_more() {
    // Inherited by whatever doesn't close it.
    let _leak = nix::unistd::pipe().unwrap();
    let mark = Mark::new();
    // The fourth is its own, to list them.
    assert_eq!(text(&run(&argv(&mark, &["/bin/ls", "/proc/self/fd"])).stdout.bytes), "0\n1\n2\n3\n");
    let report = run(&argv(&mark, &["/usr/bin/readlink", "/proc/self/fd/0"]));
    assert_eq!(text(&report.stdout.bytes), "/dev/null\n");
}

#[test]
fn own_group_own_session_no_terminal() {
    let mark = Mark::new();
    // Fields 1, 4, 5, 6, 7 of stat: process, parent, group, session, terminal.
    let report = run(&argv(&mark, &["/usr/bin/cut", "-d ", "-f1,4-7", "/proc/self/stat"]));
    let fields: Vec<i32> =
        text(&report.stdout.bytes).split_whitespace().map(|word| word.parse().unwrap()).collect();
    let [process, parent, group, session, terminal] = fields[..] else { panic!("{fields:?}") };
    assert_eq!(group, process, "it leads its group");
    assert_eq!(session, parent, "its supervisor leads the session");
    assert_eq!(terminal, 0);
}

#[test]
fn the_supervisor_shows_no_secret() {
    let mark = Mark::new();
    let script = "tr '\\0' ' ' < /proc/$PPID/cmdline; wc -c < /proc/$PPID/environ";
    let report = run(&shell(&mark, script));
    assert_eq!(text(&report.stdout.bytes), "promdrop-supervisor supervise 0\n");
}

#[test]
fn another_user_has_its_ids_groups_and_no_capability() {
    let mark = Mark::new();
    let mut specification =
        argv(&mark, &["/bin/grep", "-E", "^(Uid|Gid|Groups|Cap(Inh|Prm|Eff|Amb))", "/proc/self/status"]);
    specification.identity = Some(Identity { uid: 65534, gid: 65533, groups: vec![65533, 7, 9] });
    // In a thread, since capabilities are a thread's: promdrop with an ambient one, as systemd starts it.
    let report = thread::spawn(move || {
        use rustix::thread::{
            CapabilitySet, capabilities, configure_capability_in_ambient_set, set_capabilities,
        };
        let mut sets = capabilities(None).unwrap();
        sets.inheritable |= CapabilitySet::NET_RAW;
        set_capabilities(None, sets).unwrap();
        configure_capability_in_ambient_set(CapabilitySet::NET_RAW, true).unwrap();
        run(&specification)
    });
    let report = report.join().unwrap();
    let seen: Vec<String> = text(&report.stdout.bytes)
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        seen,
        [
            "Uid: 65534 65534 65534 65534",
            "Gid: 65533 65533 65533 65533",
            "Groups: 7 9 65533",
            "CapInh: 0000000000000000",
            "CapPrm: 0000000000000000",
            "CapEff: 0000000000000000",
            "CapAmb: 0000000000000000"
        ],
        "{report:?}"
    );
}

#[test]
fn the_supervisor_of_another_user_stays_who_it_is() {
    let mark = Mark::new();
    let script = "grep -hE '^(Uid|Gid|Groups):' /proc/$PPID/status; sleep 1000 &";
    let identity = Some(Identity { uid: 65534, gid: 65534, groups: vec![7] });
    let report = run(&Specification { identity, ..shell(&mark, script) });
    mark.assert_gone();
    assert_eq!(report.leftovers, 1);
    let own = fs::read_to_string("/proc/self/status").unwrap();
    let own: Vec<&str> = own
        .lines()
        .filter(|line| ["Uid:", "Gid:", "Groups:"].iter().any(|word| line.starts_with(word)))
        .collect();
    assert_eq!(text(&report.stdout.bytes).lines().collect::<Vec<_>>(), own);
}

#[test]
fn another_user_may_open_its_stderr_anew() {
    let mark = Mark::new();
    let script = "echo out >/dev/stdout; echo err >/dev/stderr; id -u > /dev/stdout";
    let identity = Some(Identity { uid: 65534, gid: 65534, groups: vec![] });
    let report = run(&Specification { identity, ..shell(&mark, script) });
    assert_eq!((text(&report.stdout.bytes), text(&report.stderr.bytes)), ("out\n65534\n", "err\n"));
}

#[test]
fn a_directory_is_entered_with_the_rights_of_the_user() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o700)).unwrap();
    let mark = Mark::new();
    let directory = dir.path().to_str().unwrap().to_owned();
    let specification = Specification { directory: directory.clone(), ..argv(&mark, &["/bin/pwd"]) };
    assert_eq!(text(&run(&specification).stdout.bytes), format!("{directory}\n"));
    let identity = Some(Identity { uid: 65534, gid: 65534, groups: vec![] });
    let report = run(&Specification { identity, ..specification });
    assert_eq!(report.end, End::NotStarted(Step::Directory, nix::errno::Errno::EACCES as i32));
}

// The module as a whole: from its section to families or a failure.

fn command(section: &str, user: Option<&str>) -> Command {
    let header = Header { timeout: LONG, user: user.map(str::to_owned), ..Header::new("command") };
    decode(section, |root, problems| read(&mut Section::open("command", root, problems)?, &header)).unwrap()
}

/// Collects in a thread of its own, where `Stop` blocks its signals.
fn trace_for(timeout: Duration, command: Command, raised: bool) -> (Result<Collection, Failure>, Trace) {
    let collecting = thread::spawn(move || {
        let stop = Stop::listen().unwrap();
        if raised {
            nix::sys::signal::raise(Signal::SIGTERM).unwrap();
        }
        let run = Run {
            collector: "test",
            deadline: Instant::now() + timeout,
            timeout,
            max_series: None,
            previous: &State::default(),
            stop: &stop,
        };
        let mut trace = Trace::default();
        (command.collect_by(Path::new(PROMDROP), &run, &mut trace), trace)
    });
    collecting.join().unwrap()
}

fn collect_for(timeout: Duration, command: Command, raised: bool) -> Result<Collection, Failure> {
    trace_for(timeout, command, raised).0
}

fn collect(section: &str) -> Result<Collection, Failure> {
    collect_for(LONG, command(section, None), false)
}

fn failure(section: &str) -> (Outcome, String) {
    let failure = collect(section).unwrap_err();
    assert!(!failure.stopped);
    (failure.outcome, failure.message)
}

#[test]
fn the_environment_is_the_documented_one_and_nothing_else() {
    support::need("env");
    let section =
        |output: &str| format!("shell: \"env >&2; echo 1\"\nenvironment: {{TOKEN: secret}}\n{output}");
    let section = section("output: {format: value, name: a}");
    let root = trace_for(LONG, command(&section, None), false).1.stderr;
    // What the shell sets itself.
    let lines = |stderr: &str| {
        let mut lines: Vec<String> = stderr.lines().map(str::to_owned).collect();
        lines.retain(|line| !line.starts_with("PWD=") && !line.starts_with("_=") && !line.starts_with("TZ="));
        lines.sort();
        lines
    };
    let expected = |home: &str, name: &str, shell: &str| {
        let mut lines = vec![
            format!("HOME={home}"),
            "LANG=C".into(),
            "LC_ALL=C".into(),
            format!("LOGNAME={name}"),
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into(),
            format!("SHELL={shell}"),
            "TOKEN=secret".into(),
            format!("USER={name}"),
        ];
        lines.sort();
        lines
    };
    assert_eq!(lines(&root), expected("/root", "root", "/bin/bash"));
    let nobody = trace_for(LONG, command(&section, Some("nobody")), false).1.stderr;
    assert_eq!(lines(&nobody), expected("/nonexistent", "nobody", "/usr/sbin/nologin"));
}

#[test]
fn a_number_becomes_a_family_and_a_leftover_a_note() {
    let section = "shell: echo 42; sleep 1000 &\noutput: {format: value, name: a_b, type: counter, help: It., labels: {x: y}}";
    let (collection, trace) = trace_for(LONG, command(section, None), false);
    let collection = collection.unwrap();
    assert_eq!(collection.families.len(), 1);
    let family = &collection.families[0];
    assert_eq!((family.name.as_ref(), family.help.as_deref()), ("a_b", Some("It.")));
    assert_eq!(family.samples[0].value, 42.0);
    assert_eq!(family.samples[0].labels, [("x".into(), "y".into())]);
    assert_eq!(trace.notes, ["ended 1 process that it left behind"]);
    assert_eq!(
        (trace.output.as_slice(), trace.ended.as_deref()),
        (&b"42\n"[..], Some("exited with status 0"))
    );
}

#[test]
fn exposition_text_becomes_families() {
    let collection = collect("argv: [printf, 'a 1\\nb 2\\n']").unwrap();
    let names: Vec<&str> = collection.families.iter().map(|family| family.name.as_ref()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn each_way_to_fail_has_its_class_and_words() {
    assert_eq!(failure("shell: exit 3"), (Outcome::Exit, "it exited with status 3".into()));
    assert_eq!(
        failure("shell: kill -SEGV $$"),
        (Outcome::Signal, "it was ended by signal 11 (SIGSEGV)".into())
    );
    assert_eq!(failure("shell: kill -40 $$"), (Outcome::Signal, "it was ended by signal 40".into()));
    assert_eq!(failure("argv: ['yes']"), (Outcome::Limit, "it wrote more than 4 MiB to its stdout".into()));
    assert_eq!(failure("argv: ['true']"), (Outcome::Output, "there is no sample in its output".into()));
    let late =
        collect_for(Duration::from_millis(200), command("argv: [sleep, '1000']", None), false).unwrap_err();
    assert_eq!((late.outcome, late.message.as_str()), (Outcome::Timeout, "it did not end within 200ms"));
}

#[test]
fn bytes_of_the_output_are_in_the_detail_only() {
    let section = "shell: echo SECRET; echo why >&2\noutput: {format: value, name: a}";
    let (failure, trace) = trace_for(LONG, command(section, None), false);
    let failure = failure.unwrap_err();
    assert_eq!(
        (failure.outcome, failure.message.as_str()),
        (Outcome::Output, "its output is not one number")
    );
    assert_eq!(failure.detail, "its output: \"SECRET\"");
    assert_eq!((trace.stderr.as_str(), trace.output.as_slice()), ("why\n", &b"SECRET\n"[..]));
}

#[test]
fn each_way_not_to_start_tells_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let script = |name: &str, text: &str, mode: u32| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path.display().to_string()
    };
    let spawn = |section: &str| {
        let (outcome, message) = failure(section);
        assert_eq!(outcome, Outcome::Spawn, "{message}");
        message
    };
    assert_eq!(spawn("argv: [/no/such]"), "there is no program `/no/such`");
    assert_eq!(
        spawn("argv: [no-such]"),
        "there is no program `no-such` in /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    );
    let path = script("plain", "#!/bin/sh\n", 0o644);
    assert_eq!(
        spawn(&format!("argv: [{path}]")),
        format!(
            "can't start `{path}`: user id 0 may not execute it; chmod +x, and see the directories above it"
        )
    );
    let path = script("orphan", "#!/no/interpreter\n", 0o755);
    assert_eq!(
        spawn(&format!("argv: [{path}]")),
        format!("can't start `{path}`: its interpreter is missing, see its first line")
    );
    let path = script("bare", "echo 1\n", 0o755);
    assert!(spawn(&format!("argv: [{path}]")).contains("whose first line is not `#!INTERPRETER`"));
    assert_eq!(
        spawn("argv: ['true']\ndirectory: /no/such"),
        "user id 0 can't enter its directory `/no/such`: No such file or directory"
    );
    let long = format!("argv: ['true', {}]", "x".repeat(200_000));
    assert!(spawn(&long).contains("too long"));
}

#[test]
#[ignore = "not a test: what without_root_it_runs_as_itself_only starts as another user"]
fn stands_in_for_promdrop_without_root() {
    let Ok(promdrop) = std::env::var("PROMDROP_TEST_PROGRAM") else { return };
    assert!(!nix::unistd::Uid::effective().is_root());
    let collect = |user: Option<&'static str>| {
        let stop = Stop::listen().unwrap();
        let deadline = Instant::now() + LONG;
        let run = Run {
            collector: "test",
            deadline,
            timeout: LONG,
            max_series: None,
            previous: &State::default(),
            stop: &stop,
        };
        let section = "shell: id -u; sleep 1000 &\noutput: {format: value, name: a}";
        let mut trace = Trace::default();
        let collection = command(section, user).collect_by(Path::new(&promdrop), &run, &mut trace)?;
        Ok::<_, Failure>((collection, trace))
    };
    for user in [None, Some("nobody")] {
        let (collection, trace) = collect(user).unwrap();
        assert_eq!(collection.families[0].samples[0].value, 65534.0);
        assert_eq!(trace.notes, ["ended 1 process that it left behind"]);
    }
    let failure = collect(Some("root")).unwrap_err();
    assert_eq!(failure.outcome, Outcome::Spawn);
    let said = "promdrop runs as nobody and can't become `root`: run it as root, or remove `user`";
    assert_eq!(failure.message, said);
}

#[test]
fn without_root_it_runs_as_itself_only() {
    use std::os::unix::process::CommandExt;
    // Where anybody may execute them.
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (test, promdrop) = (dir.path().join("test"), dir.path().join("promdrop"));
    fs::copy(std::env::current_exe().unwrap(), &test).unwrap();
    fs::copy(PROMDROP, &promdrop).unwrap();
    let output = std::process::Command::new(test)
        .args(["command::stands_in_for_promdrop_without_root", "--exact", "--ignored", "--nocapture"])
        .env("PROMDROP_TEST_PROGRAM", promdrop)
        .current_dir("/")
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

#[test]
fn a_raised_stop_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let trace = dir.path().join("ran");
    let failure =
        collect_for(LONG, command(&format!("argv: [touch, {}]", trace.display()), None), true).unwrap_err();
    assert!(failure.stopped);
    assert!(!trace.exists());
}

#[test]
fn the_examples_work_as_they_are() {
    support::need("netstat");
    support::need("python3");
    let example = |name: &str, user: Option<&str>| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("collectors.d/examples").join(name);
        let text = fs::read_to_string(path).unwrap();
        let section = text.split_once("\ncommand:\n").unwrap().1.to_owned();
        assert_eq!(user.is_some(), text.contains("\nuser: nobody\n"));
        collect_for(LONG, command(&section, user), false).unwrap().families
    };
    let families = example("netstat-wait-command.yaml", None);
    assert_eq!(families[0].name, "count_netstat_wait_connections");
    assert_eq!(families[0].samples.len(), 1);
    assert!(families[0].samples[0].value >= 0.0);
    let families = example("python-script.yaml", Some("nobody"));
    assert!(families.iter().all(|family| family.name.starts_with("host_threads")));
    let samples: Vec<f64> =
        families.iter().flat_map(|family| &family.samples).map(|sample| sample.value).collect();
    assert_eq!(samples.len(), 2);
    assert!(samples[0] >= 1.0 && samples[1] > samples[0], "{samples:?}");
}
