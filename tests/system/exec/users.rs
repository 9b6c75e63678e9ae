//! Ordinary users publish in a directory that a group of theirs may write to, beside root and beside each
//! other.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::{FILE, LONG, text};
use crate::support::host::Host;
use crate::support::series::Series;
use crate::support::{copy_promdrop, names, need, wait_for};

/// Nobody else on this host has these.
const GROUP: u32 = 4_000_031;
const ONE: u32 = 4_000_032;
const TWO: u32 = 4_000_033;
const OUTSIDER: u32 = 4_000_034;

/// A host as promdrop(8) says: root's, with a sticky directory of the group.
fn host() -> Host {
    need("setpriv");
    let host = Host::new();
    copy_promdrop(&host.path("promdrop"));
    for path in [host.path(""), host.collectors_dir(), host.textfile_dir()] {
        fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
    }
    host
}

fn open_to_group(host: &Host) {
    chown(host.textfile_dir(), None, Some(GROUP)).unwrap();
    fs::set_permissions(host.textfile_dir(), Permissions::from_mode(0o1775)).unwrap();
}

/// promdrop by that user.
fn by(host: &Host, user: u32, arguments: &[&str]) -> Command {
    let group = if user == OUTSIDER { "--clear-groups".to_owned() } else { format!("--groups={GROUP}") };
    let mut setpriv = super::bare("setpriv");
    setpriv.args([format!("--reuid={user}"), format!("--regid={user}"), group]).arg(host.path("promdrop"));
    setpriv.args(host.promdrop().get_args()).args(arguments).env("TMPDIR", "/tmp");
    setpriv
}

fn run(mut command: Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

#[track_caller]
fn good(output: &Output) {
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), String::new()));
}

#[test]
fn they_publish_beside_root_and_nobody_replaces_anothers_file() {
    let host = host();
    // Root was first, before the directory was the group's.
    host.collector("c", "module: command\ninterval: 7d\ncommand: {argv: [printf, '# HELP c_a A.\\n# TYPE c_a gauge\\nc_a 1\\n']}\n").run_well(&["c"]);
    let lock = host.textfile_dir().join(".promdrop.lock");
    assert_eq!(lock.metadata().unwrap().mode() & 0o777, 0o600);
    open_to_group(&host);
    let denied = run(by(&host, ONE, &["exec", "one", "--", "true"]));
    assert_eq!(denied.status.code(), Some(0));
    assert!(text(&denied.stderr).contains("promdrop prune"), "{denied:?}");
    good(&run({
        let mut prune = host.promdrop();
        prune.arg("prune");
        prune
    }));
    let stat = lock.metadata().unwrap();
    assert_eq!((stat.mode() & 0o777, stat.gid(), stat.uid()), (0o660, GROUP, 0));

    good(&run(by(&host, ONE, &["exec", "one", "--", "true"])));
    good(&run(by(&host, TWO, &["exec", "--lock", "skip", "two", "--", "true"])));
    good(&run(by(&host, TWO, &["write", "written", "--allow-empty"])));
    good(&host.run().output().unwrap());
    assert_eq!(
        names(&host.textfile_dir()),
        [".promdrop.lock", "c.prom", "exec.one.prom", "exec.two.prom", "promdrop.prom", "written.prom"]
    );
    for (file, user) in [("exec.one.prom", ONE), ("exec.two.prom", TWO), ("written.prom", TWO), ("c.prom", 0)]
    {
        let stat = host.textfile_dir().join(file).metadata().unwrap();
        assert_eq!((stat.uid(), stat.mode() & 0o777), (user, 0o644), "{file}");
    }

    // One of the same name is another user's: neither of them, nor root, takes it over.
    for (command, whose) in
        [(by(&host, TWO, &["exec", "one", "--", "sh", "-c", "exit 6"]), TWO), (host.exec_named("one"), 0)]
    {
        let before = host.text("exec.one.prom");
        let output = run(command);
        assert_eq!(output.status.code(), Some(6));
        let said = format!("this is the file of user {ONE}, and not for user {whose} to replace");
        assert!(text(&output.stderr).contains(&said), "{output:?}");
        assert_eq!(host.text("exec.one.prom"), before);
    }
    let before = host.text("written.prom");
    let refused = run(by(&host, ONE, &["write", "written", "--allow-empty"]));
    assert_eq!(refused.status.code(), Some(1), "{refused:?}");
    assert_eq!(host.text("written.prom"), before);
    let denied = run(by(&host, OUTSIDER, &["exec", "out", "--", "true"]));
    assert!(text(&denied.stderr).contains("put them into a group"), "{denied:?}");
    assert_eq!(denied.status.code(), Some(0));
    let lint = host.promdrop().arg("lint").output().unwrap();
    assert_eq!((text(&lint.stdout), lint.status.code()), (String::new(), Some(0)));
}

impl Host {
    fn exec_named(&self, name: &str) -> Command {
        let mut command = self.promdrop();
        command.args(["exec", name, "--", "sh", "-c", "exit 6"]);
        command
    }
}

/// Two texts of HELP for one name.
#[test]
fn what_another_users_file_says_of_a_family_is_taken_over() {
    let host = host();
    open_to_group(&host);
    let job = |help: &str| {
        format!("printf '# HELP a_b {help}.\\n# TYPE a_b gauge\\na_b{{x=\"{help}\"}} 1\\n' >$PROMDROP_OUTPUT")
    };
    good(&run(by(&host, ONE, &["exec", "one", "--", "sh", "-c", &job("One")])));
    let before = host.text("exec.one.prom");
    let output = run(by(&host, TWO, &["exec", "job", "--", "sh", "-c", &(job("Two") + "; exit 6")]));
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(6), String::new()));
    assert_eq!((host.runs("exit"), host.told("output_accepted")), (1.0, 1.0));
    let own = host.text(FILE);
    assert!(own.contains("# HELP a_b One.\n") && own.contains("\na_b{x=\"Two\""), "{own}");
    assert_eq!(host.text("exec.one.prom"), before);
}

/// A user's run that was lost: another user leaves it, root's run says so and leaves the file the user's.
#[test]
fn roots_sweep_mends_what_another_user_may_not() {
    let host = host();
    open_to_group(&host);
    let mut exec = by(&host, ONE, &["exec", "job", "--", "sleep", "60"]);
    let mut promdrop = exec.stdin(Stdio::null()).spawn().unwrap();
    host.await_running(true);
    let record = host.text(FILE);
    let record = record.lines().find_map(|line| line.strip_prefix("# promdrop-running: ")).unwrap();
    let job: i32 = record.split(' ').next().unwrap().parse().unwrap();
    kill(Pid::from_raw(promdrop.id() as i32), Signal::SIGKILL).unwrap();
    promdrop.wait().unwrap();
    kill(Pid::from_raw(job), Signal::SIGKILL).unwrap();
    wait_for(LONG, "the job is gone", || match kill(Pid::from_raw(job), None) {
        Err(nix::errno::Errno::ESRCH) => Ok(()),
        other => Err(other),
    });
    let before = host.text(FILE);
    good(&run(by(&host, TWO, &["exec", "two", "--", "true"])));
    good(&run(by(&host, TWO, &["write", "w", "--allow-empty"])));
    let prune = run(by(&host, TWO, &["prune"]));
    good(&prune);
    assert_eq!((text(&prune.stdout), host.text(FILE)), (String::new(), before.clone()));
    // Nor root, where it could not leave it the user's: as the service, without CAP_CHOWN.
    for mode in [0o775, 0o1775] {
        fs::set_permissions(host.textfile_dir(), Permissions::from_mode(mode)).unwrap();
        let mut confined = super::bare("setpriv");
        confined.args(["--bounding-set=-chown", "--inh-caps=-chown"]).arg(host.path("promdrop"));
        confined.args(host.promdrop().get_args()).arg("prune");
        let confined = run(confined);
        good(&confined);
        assert_eq!((text(&confined.stdout), host.text(FILE)), (String::new(), before.clone()));
    }
    assert_eq!(host.textfile_dir().join(FILE).metadata().unwrap().uid(), ONE);
    assert!(host.sweep().contains("its job is gone without a word"));
    let series = Series::parse(&host.text(FILE));
    assert_eq!(series.value("promdrop_exec_running", &[("name", "job")]), 0.0);
    assert_eq!(host.textfile_dir().join(FILE).metadata().unwrap().uid(), ONE);
    // Its user goes on with it.
    good(&run(by(&host, ONE, &["exec", "job", "--", "true"])));
    assert_eq!((host.runs("lost"), host.runs("success")), (1.0, 1.0));
}

/// Whoever is in the group can write a file that says it is another's, whose job runs.
#[test]
fn a_file_that_another_user_made_up_holds_no_job_back() {
    let host = host();
    open_to_group(&host);
    let mut job = by(&host, ONE, &["exec", "job", "--", "sleep", "60"]).stdin(Stdio::null()).spawn().unwrap();
    host.await_running(true);
    let file = host.textfile_dir().join(FILE);
    let made_up = host.text(FILE);
    chown(&file, Some(TWO), None).unwrap();
    for options in [&[][..], &["--lock", "skip"]] {
        let command = [&["exec"], options, &["job", "--", "sh", "-c", "echo ran; exit 6"]].concat();
        let output = run(by(&host, ONE, &command));
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(6), "ran\n".into()), "{output:?}");
        let said = format!("this is the file of user {TWO}, and not for user {ONE} to replace");
        assert!(text(&output.stderr).contains(&said), "{output:?}");
        assert_eq!(host.text(FILE), made_up);
    }
    kill(Pid::from_raw(job.id() as i32), Signal::SIGTERM).unwrap();
    job.wait().unwrap();
}

#[test]
fn jobs_of_one_name_of_two_users_do_not_exclude_each_other() {
    let host = host();
    open_to_group(&host);
    let mut first = by(&host, ONE, &["exec", "--lock", "skip", "job", "--", "sleep", "60"]);
    let mut first = first.stdin(Stdio::null()).spawn().unwrap();
    host.await_running(true);
    for (user, status) in [(ONE, 75), (TWO, 6)] {
        let second = ["exec", "--lock", "skip", "job", "--", "sh", "-c", "exit 6"];
        assert_eq!(run(by(&host, user, &second)).status.code(), Some(status));
    }
    kill(Pid::from_raw(first.id() as i32), Signal::SIGTERM).unwrap();
    first.wait().unwrap();
}
