//! `--quiet-success`: what a job writes comes out only if it fails, all of it, in its order.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{FILE, LONG, NAME, await_end, silent, text};
use crate::support::host::Host;
use crate::support::mounts::{in_private, mount_tmpfs, unmount};
use crate::support::wait_for;

const QUIET: &[&str] = &["--quiet-success"];

#[test]
fn a_success_is_silent_and_a_failure_tells_all() {
    let host = Host::new();
    let script = "echo out; echo err >&2; ";
    silent(&host.exec_sh(QUIET, script));
    assert_eq!(host.runs("success"), 1.0);
    for (end, result) in [("exit 3", "exit"), ("kill -KILL $$", "signal")] {
        let (bare, exec) = (
            super::bare("sh").args(["-c", &format!("{script}{end}")]).output().unwrap(),
            host.exec_sh(QUIET, &format!("{script}{end}")),
        );
        assert_eq!(exec, bare);
        assert_eq!(host.runs(result), 1.0);
    }
    let output = host.exec_sh(&["--quiet-success", "--timeout", "300ms"], "echo out; sleep 60");
    assert_eq!((text(&output.stdout), output.status.code()), ("out\n".into(), Some(124)));
}

#[test]
fn where_both_go_to_one_place_they_keep_their_order() {
    let host = Host::new();
    let script = "for i in $(seq 2000); do echo o$i; echo e$i >&2; done; exit 1";
    let file = File::create(host.path("both")).unwrap();
    let mut exec = host.exec(QUIET);
    exec.args(["sh", "-c", script]).stdout(file.try_clone().unwrap()).stderr(file);
    assert_eq!(exec.status().unwrap().code(), Some(1));
    let expected: String = (1..=2000).map(|i| format!("o{i}\ne{i}\n")).collect();
    assert!(fs::read_to_string(host.path("both")).unwrap() == expected);
}

#[test]
fn much_of_it_is_held_back_without_much_memory() {
    let host = Host::new();
    let script = "head -c 50000000 /dev/zero | tr '\\0' x; echo end >&2; exit 1";
    let mut exec = host.exec(QUIET);
    exec.args(["sh", "-c", script]);
    let output = exec.output().unwrap();
    assert_eq!((output.stdout.len(), text(&output.stderr)), (50_000_000, "end\n".into()));
    assert!(output.stdout.iter().all(|byte| *byte == b'x'));
    silent(&host.exec_sh(QUIET, &script.replace("exit 1", "exit 0")));
}

#[test]
fn without_room_the_newest_comes_out_and_how_much_does_not() {
    in_private(|| {
        let host = Host::new();
        let place = host.path("tmp");
        fs::create_dir(&place).unwrap();
        mount_tmpfs("size=64k", &place);
        let script = "head -c 20000000 /dev/zero | tr '\\0' x; echo; echo the reason; exit 1";
        let output = host.exec(QUIET).env("TMPDIR", &place).args(["sh", "-c", script]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stdout).ends_with("x\nthe reason\n"));
        let stderr = text(&output.stderr);
        let told = stderr.strip_prefix(&format!("promdrop: exec {NAME}: ")).unwrap();
        let (count, told) = told.split_once(' ').unwrap();
        assert_eq!(
            output.stdout.len() + count.parse::<usize>().unwrap(),
            20_000_000 + "\nthe reason\n".len()
        );
        assert!(told.starts_with("bytes of its output are left out here: No space left on device"), "{told}");
        unmount(&place);
    });
}

#[test]
fn who_holds_the_pipe_after_the_job_is_not_waited_for() {
    let host = Host::new();
    let output =
        host.exec(QUIET).args(["sh", "-c", "sleep 60 & echo out; echo $! >&2; exit 1"]).output().unwrap();
    let sleeper: i32 = text(&output.stderr).trim().parse().unwrap();
    // It lives.
    kill(Pid::from_raw(sleeper), Signal::SIGKILL).unwrap();
    assert_eq!((text(&output.stdout), output.status.code()), ("out\n".into(), Some(1)));
}

#[test]
fn who_reads_no_further_disturbs_nothing() {
    let host = Host::new();
    let exec = host.exec(QUIET);
    let mut shell = super::bare("bash");
    shell
        .args(["-c", "\"$@\" | head -n1; echo ${PIPESTATUS[0]}", "-"])
        .arg(exec.get_program())
        .args(exec.get_args());
    let output = shell.args(["sh", "-c", "seq 1000000; exit 3"]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!((text(&output.stdout), text(&output.stderr)), ("1\n3\n".into(), String::new()));
}

/// Told to end while nobody reads what it releases, it does, and the job is told of.
#[test]
fn a_reader_that_does_not_read_keeps_nothing_from_ending() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let host = Host::new();
        let mut exec = host.exec(QUIET);
        exec.args(["sh", "-c", "head -c 3000000 /dev/zero; exit 3"]).stdout(Stdio::piped());
        let mut child = exec.spawn().unwrap();
        wait_for(LONG, "the end is told", || {
            let ended = host.textfile_dir().join(FILE).exists() && host.runs("exit") == 1.0;
            if ended { Ok(()) } else { Err("it is not") }
        });
        // By then it sleeps in its write to the pipe.
        let wchan = format!("/proc/{}/syscall", child.id());
        wait_for(LONG, "it writes", || match fs::read_to_string(&wchan) {
            Ok(call) if call.starts_with("1 ") => Ok(()),
            other => Err(other),
        });
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        assert_eq!(await_end(&mut child).signal(), Some(signal as i32));
        assert_eq!((host.told("exit_status"), host.told("running")), (3.0, 0.0));
    }
}
