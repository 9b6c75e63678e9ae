//! What is sent to promdrop is for the job; a job's time can be over.

use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::{LONG, await_end, await_file, text};
use crate::support::host::Host;
use crate::support::wait_for;

/// Starts a script that writes its number to the file `ready` once it is, without another process: bash takes
/// no notice of an interrupt while it waits for one that does not.
fn start(host: &Host, options: &[&str], script: &str) -> (Child, Pid) {
    let ready = host.path("ready");
    let script = script.replace("READY", &format!("echo $$ >{}", ready.display()));
    let mut exec = host.exec(options);
    let child =
        exec.args(["bash", "-c", &script]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let job = await_file(&ready).trim().parse().unwrap();
    (child, Pid::from_raw(job))
}

fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id() as i32)
}

/// The letter of its state in /proc.
fn state(pid: Pid) -> char {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
}

#[test]
fn each_is_passed_on_and_promdrop_dies_of_none() {
    use Signal::{SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGWINCH, SIGXCPU};
    let all = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGWINCH, SIGABRT, SIGXCPU];
    let host = Host::new();
    let log = host.path("log");
    let words: String = all.map(|signal| signal.as_str()[3..].to_owned()).join(" ");
    let script = format!(
        "for s in {words}; do trap \"echo $s >>{}\" $s; done; READY; \
         until [ -e {}/done ]; do sleep 0.05; done; exit 6",
        log.display(),
        host.path("").display()
    );
    let (mut child, _) = start(&host, &[], &script);
    for (count, signal) in all.iter().enumerate() {
        kill(pid(&child), *signal).unwrap();
        wait_for(LONG, "the job has it", || {
            let log = fs::read_to_string(&log).unwrap_or_default();
            if log.lines().count() == count + 1 { Ok(()) } else { Err(log) }
        });
    }
    fs::write(host.path("done"), "").unwrap();
    assert_eq!(await_end(&mut child).code(), Some(6));
    assert_eq!(fs::read_to_string(log).unwrap().split_whitespace().collect::<Vec<_>>().join(" "), words);
}

#[test]
fn the_job_ends_of_it_and_so_does_promdrop() {
    for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
        let host = Host::new();
        let (mut child, _) = start(&host, &[], "READY; exec sleep 60");
        kill(pid(&child), signal).unwrap();
        assert_eq!(await_end(&mut child).signal(), Some(signal as i32));
        assert_eq!((host.told("signal"), host.told("running")), (f64::from(signal as i32), 0.0));
    }
}

#[test]
fn what_the_job_does_to_its_own_group_comes_once() {
    let host = Host::new();
    // A group of their own, or the test would get it.
    let exec = host.exec(&[]);
    let mut setsid = super::bare("setsid");
    setsid.arg("--wait").arg(exec.get_program()).args(exec.get_args());
    let script = "n=0; trap 'n=$((n+1))' USR1; kill -USR1 0; sleep 0.3; echo $n; [ $n = 1 ]";
    let output = setsid.args(["bash", "-c", script]).output().unwrap();
    assert_eq!((text(&output.stdout), output.status.code()), ("1\n".into(), Some(0)), "{output:?}");
}

#[test]
fn a_stopped_job_goes_on_where_it_was() {
    let host = Host::new();
    let (mut child, job) = start(&host, &[], "READY; for i in 1 2 3 4 5; do sleep 0.1; done; exit 5");
    kill(job, Signal::SIGSTOP).unwrap();
    wait_for(LONG, "it is stopped", || if state(job) == 'T' { Ok(()) } else { Err(state(job)) });
    assert!(child.try_wait().unwrap().is_none());
    // To promdrop, which passes it on.
    kill(pid(&child), Signal::SIGCONT).unwrap();
    assert_eq!(await_end(&mut child).code(), Some(5));
}

#[test]
fn both_stop_and_go_on_with_their_group() {
    let host = Host::new();
    let exec = host.exec(&[]);
    let mut setsid = super::bare("setsid");
    let go = host.path("go");
    setsid.arg(exec.get_program()).args(exec.get_args());
    setsid.args(["sh", "-c", &format!("until [ -e {} ]; do sleep 0.05; done; exit 5", go.display())]);
    let mut child = setsid.spawn().unwrap();
    host.await_running(true);
    let leader = pid(&child);
    killpg(leader, Signal::SIGSTOP).unwrap();
    wait_for(LONG, "it is stopped", || if state(leader) == 'T' { Ok(()) } else { Err(state(leader)) });
    fs::write(&go, "").unwrap();
    killpg(leader, Signal::SIGCONT).unwrap();
    assert_eq!(await_end(&mut child).code(), Some(5));
}

#[test]
fn an_alarm_set_before_reaches_the_job() {
    let host = Host::new();
    let exec = host.exec(&[]);
    let script = "import os,signal,sys; signal.setitimer(signal.ITIMER_REAL, 0.3); os.execvp(sys.argv[1], sys.argv[1:])";
    let mut python = super::bare("python3");
    python.args(["-c", script]).arg(exec.get_program()).args(exec.get_args());
    let status = python.args(["sleep", "60"]).status().unwrap();
    assert_eq!(status.signal(), Some(Signal::SIGALRM as i32));
    assert_eq!((host.told("signal"), host.runs("signal")), (14.0, 1.0));
}

#[test]
fn after_its_time_it_is_ended_with_all_that_descends_from_it() {
    for script in [
        "READY; sleep 1000 & sleep 1001",
        // One that won't hear.
        "trap '' TERM; READY; (trap '' TERM; while :; do sleep 1000; done) & while :; do sleep 1001; done",
        // One that is stopped.
        "READY; kill -STOP $$; sleep 1000",
    ] {
        let host = Host::new();
        let (mut child, job) = start(&host, &["--timeout", "300ms"], script);
        assert_eq!(await_end(&mut child).code(), Some(124), "{script}");
        let mut stderr = String::new();
        std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut stderr).unwrap();
        // Read to the end of the pipe: nobody holds it any more.
        assert!(
            stderr.ends_with("promdrop: exec job: it took longer than 300ms and was ended\n"),
            "{stderr}"
        );
        assert_eq!(kill(job, None), Err(nix::errno::Errno::ESRCH));
        assert_eq!((host.runs("timeout"), host.told("success"), host.told("running")), (1.0, 0.0, 0.0));
    }
    // Told to end, one that is stopped goes on to do what it does then.
    let host = Host::new();
    let script = "trap 'echo told; exit 0' TERM; READY; kill -STOP $$; while :; do sleep 0.1; done";
    let (mut child, _) = start(&host, &["--timeout", "300ms"], script);
    assert_eq!(await_end(&mut child).code(), Some(124));
    assert_eq!(text(&child.wait_with_output().unwrap().stdout), "told\n");
    let host = Host::new();
    let output = host.exec_sh(&["--timeout", "1h"], "exit 3");
    assert_eq!((output.status.code(), host.runs("exit"), host.runs("timeout")), (Some(3), 1.0, 0.0));
}
