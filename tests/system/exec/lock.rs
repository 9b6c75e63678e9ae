//! One run at a time, or several that know of each other; runs that nobody sees end.

use std::fs;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{FILE, LONG, await_end, await_file, silent, text};
use crate::support::host::Host;
use crate::support::wait_for;

/// Starts a job that runs until the file of this name is there, and waits until it does.
fn start(host: &Host, options: &[&str], until: &str) -> Child {
    let (begun, go) = (host.path(&format!("{until}-begun")), host.path(until));
    let script =
        format!("echo $$ >{}; until [ -e {} ]; do sleep 0.05; done; exit 3", begun.display(), go.display());
    let child = host.exec(options).args(["sh", "-c", &script]).spawn().unwrap();
    await_file(&begun);
    host.await_running(true);
    child
}

fn go(host: &Host, until: &str) {
    fs::write(host.path(until), "\n").unwrap();
}

fn kill_hard(child: &mut Child) {
    kill(Pid::from_raw(child.id() as i32), Signal::SIGKILL).unwrap();
    child.wait().unwrap();
}

/// How many runs the header names.
fn recorded(host: &Host) -> usize {
    host.text(FILE).lines().filter(|line| line.starts_with("# promdrop-running: ")).count()
}

#[test]
fn with_skip_there_is_no_second_one() {
    let host = Host::new();
    let mut first = start(&host, &["--lock", "skip"], "go");
    let output = host.exec_sh(&["--lock", "skip"], "echo ran");
    silent(&output);
    assert_eq!(output.status.code(), Some(75));
    assert_eq!((host.runs("skipped"), host.told("running"), recorded(&host)), (1.0, 1.0, 1));
    // One that asks for no lock isn't held.
    assert_eq!(text(&host.exec_sh(&[], "echo ran").stdout), "ran\n");
    go(&host, "go");
    assert_eq!(await_end(&mut first).code(), Some(3));
    assert_eq!(text(&host.exec_sh(&["--lock", "skip"], "echo ran").stdout), "ran\n");
    assert_eq!((host.runs("success"), host.runs("exit"), host.runs("skipped")), (2.0, 1.0, 1.0));
}

#[test]
fn with_wait_the_second_comes_after_the_first() {
    let host = Host::new();
    let mut first = start(&host, &["--lock", "skip"], "go");
    let mut second = host.exec(&["--lock", "wait"]);
    second.args(["sh", "-c", &format!("[ -e {} ] && echo after", host.path("go").display())]);
    let mut waiting = second.stdout(Stdio::piped()).spawn().unwrap();
    let mut third = host.exec(&["--lock", "wait"]);
    let mut interrupted = third.args(["sh", "-c", "echo never"]).stdout(Stdio::piped()).spawn().unwrap();
    // They wait once they have asked for the lock, each in a thread of its own.
    for child in [&waiting, &interrupted] {
        let tasks = format!("/proc/{}/task", child.id());
        wait_for(LONG, "it waits", || match fs::read_dir(&tasks).map(Iterator::count) {
            Ok(2..) => Ok(()),
            other => Err(other.ok()),
        });
    }
    kill(Pid::from_raw(interrupted.id() as i32), Signal::SIGTERM).unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&await_end(&mut interrupted)), Some(15));
    assert!(waiting.try_wait().unwrap().is_none());
    go(&host, "go");
    await_end(&mut first);
    assert!(await_end(&mut waiting).success());
    assert_eq!(text(&waiting.wait_with_output().unwrap().stdout), "after\n");
}

#[test]
fn a_job_that_outlived_its_promdrop_still_runs_for_the_lock_and_for_all() {
    let host = Host::new();
    let mut first = start(&host, &["--lock", "skip"], "go");
    let job: i32 = fs::read_to_string(host.path("go-begun")).unwrap().trim().parse().unwrap();
    kill_hard(&mut first);
    // It goes on, and says so.
    kill(Pid::from_raw(job), None).unwrap();
    assert_eq!(host.sweep(), "");
    assert_eq!((host.told("running"), host.runs("lost")), (1.0, 0.0));
    assert_eq!(host.exec_sh(&["--lock", "skip"], "echo ran").status.code(), Some(75));
    assert_eq!((host.told("running"), host.runs("skipped")), (1.0, 1.0));
    let mut second = host.exec(&["--lock", "wait"]).args(["sh", "-c", "exit 9"]).spawn().unwrap();
    assert!(second.try_wait().unwrap().is_none());
    go(&host, "go");
    assert_eq!(await_end(&mut second).code(), Some(9));
    assert_eq!(
        (host.told("running"), host.runs("lost"), host.runs("exit"), recorded(&host)),
        (0.0, 1.0, 1.0, 0)
    );
}

#[test]
fn runs_that_overlap_are_all_told_of() {
    let host = Host::new();
    let mut all: Vec<Child> =
        ["a", "b", "c", "d"].map(|until| start(&host, &[], until)).into_iter().collect();
    wait_for(LONG, "all are told of", || if recorded(&host) == 4 { Ok(()) } else { Err(recorded(&host)) });
    for (ended, until) in ["b", "a", "d", "c"].into_iter().enumerate() {
        assert_eq!(host.told("running"), 1.0);
        go(&host, until);
        wait_for(LONG, "it has ended", || {
            if recorded(&host) == 3 - ended { Ok(()) } else { Err(recorded(&host)) }
        });
    }
    all.iter_mut().for_each(|child| assert_eq!(await_end(child).code(), Some(3)));
    assert_eq!((host.told("running"), host.runs("exit"), host.runs("lost")), (0.0, 4.0, 0.0));
}

#[test]
fn of_many_that_end_at_once_none_is_lost() {
    let host = Host::new();
    let children: Vec<Child> =
        (0..12).map(|_| host.exec(&[]).args(["sh", "-c", "exit 3"]).spawn().unwrap()).collect();
    for mut child in children {
        assert_eq!(await_end(&mut child).code(), Some(3));
    }
    assert_eq!((host.runs("exit"), host.told("running"), recorded(&host)), (12.0, 0.0, 0));
}

#[test]
fn a_run_that_nobody_saw_end_is_lost_at_the_next_sweep() {
    for sweeper in ["prune", "write", "exec", "run"] {
        let host = Host::new();
        host.exec_sh(&["--expect-every", "1d"], "true");
        let mut promdrop = start(&host, &["--max-age", "1h"], "go");
        kill_hard(&mut promdrop);
        let modified = || host.textfile_dir().join(FILE).metadata().unwrap().modified().unwrap();
        let before = modified();
        go(&host, "go");
        let job: i32 = fs::read_to_string(host.path("go-begun")).unwrap().trim().parse().unwrap();
        wait_for(LONG, "the job is gone", || match kill(Pid::from_raw(job), None) {
            Err(nix::errno::Errno::ESRCH) => Ok(()),
            other => Err(other),
        });
        assert_eq!(host.told("running"), 1.0);
        let mut other = host.promdrop();
        match sweeper {
            "exec" => other.args(["exec", "other", "--", "true"]),
            "write" => other.args(["write", "w", "--allow-empty"]),
            word => other.arg(word),
        };
        let output = other.stdin(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{sweeper}: {output:?}");
        let said = text(&output.stdout) + &text(&output.stderr);
        let expected = "exec.job.prom: its job is gone without a word: the run is counted as lost\n";
        match sweeper {
            "prune" => assert_eq!(said, expected),
            "run" => assert_eq!(said, format!("promdrop: {expected}")),
            _ => assert_eq!(said, ""),
        }
        assert_eq!(
            (host.told("running"), host.told("success"), host.runs("lost")),
            (0.0, 0.0, 1.0),
            "{sweeper}"
        );
        assert_eq!((host.runs("success"), recorded(&host), modified()), (1.0, 0, before));
        // Once is enough.
        assert_eq!(host.sweep(), "");
        assert!(host.exec_sh(&[], "true").status.success());
        assert_eq!((host.told("success"), host.runs("lost"), host.runs("success")), (1.0, 1.0, 2.0));
    }
}

/// The header of another boot, with numbers that are in use now.
#[test]
fn after_a_reboot_nothing_runs_any_more() {
    let host = Host::new();
    let mut promdrop = start(&host, &[], "go");
    let text = host.text(FILE);
    let boot = text
        .lines()
        .find(|line| line.starts_with("# promdrop-running: "))
        .unwrap()
        .rsplit_once(' ')
        .unwrap()
        .1;
    let path = host.textfile_dir().join(FILE);
    fs::write(&path, text.replace(boot, &boot.chars().rev().collect::<String>())).unwrap();
    assert!(host.sweep().contains("is gone without a word"));
    assert_eq!((host.told("running"), host.runs("lost")), (0.0, 1.0));
    // Likewise of another namespace of this boot: that can't be told.
    let namespace = text.lines().find(|line| line.starts_with("# promdrop-running: ")).unwrap();
    let namespace = namespace.split(' ').nth(6).unwrap();
    fs::write(&path, text.replace(namespace, "1")).unwrap();
    assert_eq!(host.sweep(), "");
    assert_eq!(host.told("running"), 1.0);
    go(&host, "go");
    await_end(&mut promdrop);
}

/// How soon after its start a run is told of at best: should its promdrop be killed, the lock knows of it by
/// that.
#[test]
fn with_a_lock_the_beginning_is_told_at_once() {
    let soonest = |options: &[&str]| {
        let run = || {
            let host = Host::new();
            let file = host.textfile_dir().join(FILE);
            let script = format!("until [ -e {0} ]; do :; done; stat -c %.9Y {0}", file.display());
            let output = host.exec_sh(&[&["--timeout", "60s"], options].concat(), &script);
            let told: f64 = text(&output.stdout).trim().parse().unwrap();
            told - host.told("start_timestamp_seconds")
        };
        (0..10).map(|_| run()).fold(f64::INFINITY, f64::min)
    };
    let (with, without) = (soonest(&["--lock", "skip"]), soonest(&[]));
    assert!(with < without - 0.008, "{with} {without}");
}
