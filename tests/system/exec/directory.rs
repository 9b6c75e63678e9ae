//! A directory that refuses: the job runs as ever, and one message says so.

use std::fs::{self, File, Permissions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use super::{FILE, NAME, text};
use crate::support::host::Host;
use crate::support::mounts::{in_private, mount, mount_tmpfs, unmount};
use crate::support::{copy_promdrop, names, need};

/// Two seconds are the bound; a busy machine adds some.
const BOUND: Duration = Duration::from_secs(10);

/// The job ends as it should, and promdrop says `said` once.
#[track_caller]
fn runs_all_the_same(mut exec: Command, said: &str) {
    let began = Instant::now();
    let output = exec.args(["sh", "-c", "echo out; echo err >&2; exit 6"]).output().unwrap();
    assert!(began.elapsed() < BOUND, "{:?}", began.elapsed());
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(6), "out\n".into()));
    let stderr = text(&output.stderr);
    let stderr = stderr.strip_prefix("err\n").unwrap();
    assert!(
        stderr.starts_with(&format!("promdrop: exec {NAME}: nothing is published of this run\n")),
        "{stderr}"
    );
    assert!(stderr.contains(said), "{stderr}");
    assert_eq!(stderr.matches("promdrop: ").count(), 1, "{stderr}");
}

#[test]
fn one_that_is_missing() {
    let host = Host::new();
    fs::remove_dir(host.textfile_dir()).unwrap();
    runs_all_the_same(host.exec(&[]), "the textfile directory does not exist");
    fs::write(host.textfile_dir(), "").unwrap();
    runs_all_the_same(host.exec(&[]), "this is not a directory");
    // Asked for before the job.
    let output = host.exec_sh(&["--lock", "skip"], "echo ran; exit 4");
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(4), "ran\n".into()));
    let stderr = text(&output.stderr);
    assert!(stderr.contains("it runs without --lock skip: "), "{stderr}");
    // It says the same of the end, and once is enough.
    assert_eq!(stderr.matches("promdrop: ").count(), 1, "{stderr}");
}

#[test]
fn one_that_is_full() {
    in_private(|| {
        let host = Host::new();
        mount_tmpfs("size=16k", &host.textfile_dir());
        let mut filler = File::create(host.textfile_dir().join("filler")).unwrap();
        while filler.write_all(&[0; 512]).is_ok() {}
        drop(filler);
        runs_all_the_same(host.exec(&[]), "no space left on device");
        assert_eq!(names(&host.textfile_dir()), [".promdrop.lock", "filler"]);
        fs::remove_file(host.textfile_dir().join("filler")).unwrap();
        host.exec_sh(&[], "true");
        assert_eq!(host.runs("success"), 1.0);
        mount(&["-o", "remount,ro"], &host.textfile_dir());
        runs_all_the_same(host.exec(&[]), "read-only file system");
        unmount(&host.textfile_dir());
    });
}

#[test]
fn one_that_is_not_for_this_user() {
    need("setpriv");
    let host = Host::new();
    copy_promdrop(&host.path("promdrop"));
    for path in [host.path(""), host.textfile_dir()] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    let by_nobody = || {
        let exec = host.plain_exec(&[]);
        let mut setpriv = super::bare("setpriv");
        setpriv.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(host.path("promdrop"));
        setpriv.args(exec.get_args());
        setpriv
    };
    let place = host.textfile_dir();
    let cure = format!(
        "as root: chgrp GROUP {0}; chmod 1775 {0}; promdrop prune. See JOBS OF ORDINARY USERS in promdrop(8)",
        place.display()
    );
    runs_all_the_same(by_nobody(), &cure);
    // Where root has published already, it is the lock file.
    host.exec_sh(&[], "true");
    runs_all_the_same(by_nobody(), &cure);
    assert_eq!((host.runs("success"), host.runs("exit")), (1.0, 0.0));
}

fn lock_all(lock: &File) {
    let all = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    fcntl(lock, FcntlArg::F_OFD_SETLK(&all)).unwrap();
}

/// Nearly all of the time that there is.
#[test]
fn one_that_is_locked_for_long_is_waited_for() {
    let host = Host::new();
    host.exec_sh(&[], "true");
    let lock = File::options().write(true).open(host.textfile_dir().join(".promdrop.lock")).unwrap();
    lock_all(&lock);
    let ended = host.path("ended");
    let script = format!("echo >{}; exit 6", ended.display());
    let mut exec = host.exec(&[]);
    let child = exec.args(["sh", "-c", &script]).stderr(Stdio::piped()).spawn().unwrap();
    super::await_file(&ended);
    std::thread::sleep(Duration::from_millis(1600));
    drop(lock);
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(6), String::new()));
    assert_eq!(host.runs("exit"), 1.0);
}

#[test]
fn one_where_files_may_not_be_so_large_is_as_good_as_full() {
    for options in [&[][..], &["--quiet-success"], &["--lock", "skip"]] {
        for (script, status, signal) in [
            ("echo out", Some(0), None),
            ("echo out; exit 6", Some(6), None),
            ("kill -XFSZ $$", None, Some(25)),
        ] {
            let host = Host::new();
            let exec = host.exec(options);
            let mut limited = super::bare("sh");
            limited.args(["-c", "ulimit -c 0; ulimit -f 1; exec \"$@\"", "-"]);
            limited.arg(exec.get_program()).args(exec.get_args());
            let output = limited.args(["sh", "-c", script]).output().unwrap();
            assert_eq!((output.status.code(), output.status.signal()), (status, signal), "{output:?}");
            let held_back = options == ["--quiet-success"] && status == Some(0) || signal.is_some();
            assert_eq!(text(&output.stdout), if held_back { "" } else { "out\n" });
            let stderr = text(&output.stderr);
            assert!(stderr.contains("file too large") && stderr.contains("ulimit -f"), "{stderr}");
            assert_eq!(stderr.matches("promdrop: ").count(), 1, "{stderr}");
        }
    }
}

/// It was told of in full, and the disk has room for less by now.
#[test]
fn one_that_fills_up_keeps_the_jobs_metrics() {
    in_private(|| {
        let host = Host::new();
        mount_tmpfs("size=64k", &host.textfile_dir());
        let script = "seq 300 | sed 's/.*/a_b{x=\"&\"} 1/' >$PROMDROP_OUTPUT";
        assert!(host.exec_sh(&[], script).status.success());
        // All but promdrop's own: a run that takes its time is told of while it goes on.
        let metrics = || {
            let text = host.text(FILE);
            text.lines().filter(|line| line.starts_with("a_b{")).map(str::to_owned).collect::<Vec<_>>()
        };
        let before = metrics();
        assert_eq!(before.len(), 300);
        let mut filler = File::create(host.textfile_dir().join("filler")).unwrap();
        while filler.write_all(&[0; 512]).is_ok() {}
        drop(filler);
        // There is room for a file without them, and none for one with them.
        File::options()
            .write(true)
            .open(host.textfile_dir().join("filler"))
            .unwrap()
            .set_len(36 << 10)
            .unwrap();
        let output = host.exec_sh(&[], &script.replace("300", "900"));
        let stderr = text(&output.stderr);
        assert!(
            stderr.starts_with(&format!("promdrop: exec {NAME}: nothing is published of this run\n")),
            "{stderr}"
        );
        assert!(stderr.contains("no space left on device"), "{stderr}");
        assert_eq!((output.status.code(), metrics() == before), (Some(0), true));
        unmount(&host.textfile_dir());
    });
}

#[test]
fn one_that_another_process_holds_locked() {
    let host = Host::new();
    host.exec_sh(&[], "true");
    let before = host.text(FILE);
    let lock = File::options().write(true).open(host.textfile_dir().join(".promdrop.lock")).unwrap();
    lock_all(&lock);
    runs_all_the_same(host.exec(&[]), "held the lock");
    assert_eq!(host.text(FILE), before);
    let skipped = host.exec_sh(&["--lock", "skip"], "echo ran");
    assert_eq!((skipped.status.code(), text(&skipped.stdout)), (Some(75), String::new()));
    drop(lock);
    host.exec_sh(&[], "exit 1");
    assert_eq!(host.runs("exit"), 1.0);
}

#[test]
fn a_file_of_somebody_elses_at_its_name() {
    let host = Host::new();
    fs::write(host.textfile_dir().join(FILE), "theirs 1\n").unwrap();
    runs_all_the_same(host.exec(&[]), "this file is somebody else's");
    assert_eq!(host.text(FILE), "theirs 1\n");
}

#[test]
fn one_that_goes_while_the_job_runs() {
    let host = Host::new();
    let place = host.textfile_dir();
    let script = format!("until [ -e {0}/{FILE} ]; do sleep 0.05; done; rm -r {0}; exit 6", place.display());
    let output = host.exec_sh(&["--timeout", "60s"], &script);
    assert_eq!(output.status.code(), Some(6));
    assert!(text(&output.stderr).contains("the textfile directory does not exist"), "{output:?}");
}
