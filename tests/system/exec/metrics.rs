//! A job's own metrics, by the file named in PROMDROP_OUTPUT.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use super::{FILE, NAME, silent, text};
use crate::support::host::Host;
use crate::support::names;

/// Of a job that waits for what is told of it.
const BOUNDED: &[&str] = &["--timeout", "60s"];

/// A host whose jobs have a directory for temporary files of their own.
fn run(host: &Host, options: &[&str], script: &str) -> std::process::Output {
    let place = host.path("tmp");
    fs::create_dir_all(&place).unwrap();
    let output = host.exec(options).env("TMPDIR", &place).args(["sh", "-c", script]).output().unwrap();
    assert_eq!(names(&place), [""; 0], "something is left");
    output
}

#[test]
fn they_are_published_with_what_is_told_of_the_job() {
    let host = Host::new();
    let script = "stat -c '%a %F' $PROMDROP_OUTPUT; stat -c %a $(dirname $PROMDROP_OUTPUT); \
                  printf '# TYPE backup_files gauge\\nbackup_files{x=\"1\"} 5\\nbackup_bytes 7' >$PROMDROP_OUTPUT";
    let output = run(&host, &["--label", "team=a"], script);
    assert_eq!(text(&output.stdout), "600 regular empty file\n700\n");
    assert_eq!(text(&output.stderr), "");
    let series = host.series();
    assert_eq!(series.value("backup_files", &[("x", "1"), ("team", "a")]), 5.0);
    assert_eq!(series.value("backup_bytes", &[("team", "a")]), 7.0);
    let labels = [("name", NAME), ("team", "a")];
    for (what, value) in [("series", 2.0), ("output_accepted", 1.0), ("success", 1.0)] {
        assert_eq!(series.value(&format!("promdrop_exec_{what}"), &labels), value, "{what}");
    }
    // Of a failure too.
    assert_eq!(run(&host, &[], "echo backup_bytes 8 >$PROMDROP_OUTPUT; exit 3").status.code(), Some(3));
    assert_eq!(host.series().value("backup_bytes", &[]), 8.0);
    assert!(!host.series().has("backup_files"));
    // Those of the last run stay while the next one runs.
    let file = host.textfile_dir().join(FILE);
    let script = format!(
        "until grep -q 'exec_running.* 1$' {0}; do sleep 0.05; done; grep backup_bytes {0}",
        file.display()
    );
    assert_eq!(text(&run(&host, BOUNDED, &script).stdout), "backup_bytes 8\n");
    assert!(!host.series().has("backup_bytes"));
    assert_eq!((host.told("series"), host.told("output_accepted")), (0.0, 1.0));
}

#[test]
fn what_can_not_be_published_is_said_and_nothing_else_changes() {
    for (script, said) in [
        (
            "echo 'a_b 1\nc{ 2' >$PROMDROP_OUTPUT",
            "PROMDROP_OUTPUT:2:4: no label name at `2`\n 2 | c{ 2\n   |    ^\n   = ",
        ),
        ("echo 'promdrop_x 1' >$PROMDROP_OUTPUT", "PROMDROP_OUTPUT:1:1: `promdrop_x`: names that begin with"),
        (
            "echo 'a_b{team=\"x\"} 1' >$PROMDROP_OUTPUT",
            "PROMDROP_OUTPUT:1:5: the label `team`, which is to be added, is there already",
        ),
        ("truncate -s 17M $PROMDROP_OUTPUT", "PROMDROP_OUTPUT holds more than the 16777216 bytes allowed"),
        (
            "rm $PROMDROP_OUTPUT; mkfifo $PROMDROP_OUTPUT",
            "no regular file stands in the place of PROMDROP_OUTPUT",
        ),
        ("ln -sf /etc/passwd $PROMDROP_OUTPUT", "no regular file stands in the place of PROMDROP_OUTPUT"),
        (
            "echo a_b 1 >$PROMDROP_OUTPUT.x; chown 4321 $PROMDROP_OUTPUT.x; mv $PROMDROP_OUTPUT.x $PROMDROP_OUTPUT",
            "a file of user 4321 stands",
        ),
    ] {
        let host = Host::new();
        let output = run(&host, &["--label", "team=a"], &format!("echo out; {script}; exit 6"));
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(6), "out\n".into()), "{script}");
        let stderr = text(&output.stderr);
        assert!(stderr.starts_with("promdrop: exec job: its own metrics are not published\n"), "{stderr}");
        assert!(stderr.contains(said), "{script}: {stderr}");
        let labels = [("name", NAME), ("team", "a")];
        for (what, value) in [("series", 0.0), ("output_accepted", 0.0), ("exit_status", 6.0)] {
            assert_eq!(host.series().value(&format!("promdrop_exec_{what}"), &labels), value, "{script}");
        }
        assert!(!host.series().has("a_b"));
    }
}

#[test]
fn what_another_file_contradicts_is_left_out_and_the_job_told_of() {
    let host = Host::new();
    fs::write(host.textfile_dir().join("other.prom"), "# HELP a_b Theirs.\n# TYPE a_b counter\na_b 1\n")
        .unwrap();
    let output =
        run(&host, &[], "printf '# HELP a_b Ours.\\n# TYPE a_b gauge\\na_b 1\\n' >$PROMDROP_OUTPUT; exit 6");
    let stderr = text(&output.stderr);
    assert!(stderr.starts_with("promdrop: exec job: its own metrics are not published\n"), "{stderr}");
    assert!(stderr.contains("other.prom"), "{stderr}");
    assert_eq!(
        (output.status.code(), host.told("output_accepted"), host.told("exit_status")),
        (Some(6), 0.0, 6.0)
    );
    assert!(!host.series().has("a_b"));
}

/// Those of the last run, that another file has come to contradict since.
#[test]
fn what_is_contradicted_later_is_no_reason_to_tell_less_of_the_next_run() {
    let host = Host::new();
    silent(&run(&host, &[], "printf '# HELP a_b A.\n# TYPE a_b gauge\na_b 1\n' >$PROMDROP_OUTPUT"));
    fs::write(host.textfile_dir().join("other.prom"), "# HELP a_b A.\n# TYPE a_b counter\na_b 1\n").unwrap();
    let file = host.textfile_dir().join(FILE);
    let script = format!("until grep -q 'exec_running.* 1$' {0}; do sleep 0.05; done", file.display());
    silent(&run(&host, BOUNDED, &script));
    assert_eq!((host.runs("success"), host.series().has("a_b")), (2.0, false));
}

#[test]
fn one_that_is_replaced_by_a_rename_is_read_and_a_removed_one_is_none() {
    let host = Host::new();
    silent(&run(&host, &[], "echo a_b 1 >$PROMDROP_OUTPUT.new; mv $PROMDROP_OUTPUT.new $PROMDROP_OUTPUT"));
    assert_eq!(host.series().value("a_b", &[]), 1.0);
    silent(&run(&host, &[], "rm $PROMDROP_OUTPUT"));
    assert_eq!(host.told("output_accepted"), 1.0);
}

#[test]
fn without_a_place_for_it_the_job_runs() {
    let host = Host::new();
    let mut exec = host.exec(&[]);
    exec.env("TMPDIR", "/nonexistent").args([
        "sh",
        "-c",
        "echo $PROMDROP_OUTPUT; echo a 1 >$PROMDROP_OUTPUT; exit 4",
    ]);
    let output = exec.output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(4), "/dev/null\n".into()));
    assert!(text(&output.stderr).contains("the job had no PROMDROP_OUTPUT: "), "{output:?}");
    assert_eq!((host.told("exit_status"), host.told("output_accepted")), (4.0, 0.0));
    // A success is no reason for a mail.
    silent(&host.exec(&[]).env("TMPDIR", "/nonexistent").arg("true").output().unwrap());
    assert_eq!((host.told("success"), host.told("output_accepted")), (1.0, 1.0));
}

#[test]
fn an_empty_tmpdir_is_none() {
    let host = Host::new();
    let mut exec = host.exec(&[]);
    exec.env("TMPDIR", "").current_dir(host.textfile_dir());
    let output =
        exec.args(["sh", "-c", "echo $PROMDROP_OUTPUT; cd /; echo a_b 1 >$PROMDROP_OUTPUT"]).output();
    let output = output.unwrap();
    assert!(text(&output.stdout).starts_with("/tmp/promdrop-exec-"), "{output:?}");
    assert_eq!((host.series().value("a_b", &[]), text(&output.stderr)), (1.0, String::new()));
}

#[test]
fn what_is_published_can_be_read_by_all() {
    let host = Host::new();
    let mut sh = super::bare("sh");
    let exec = host.exec(&[]);
    sh.args(["-c", "umask 077; exec \"$@\"", "-"]).arg(exec.get_program()).args(exec.get_args()).arg("true");
    assert!(sh.status().unwrap().success());
    assert_eq!(host.textfile_dir().join(FILE).metadata().unwrap().permissions().mode() & 0o777, 0o644);
}
