//! Groups of several users in a sticky directory of their group's.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, Stdio};

use crate::support::copy_promdrop;
use crate::support::host::Host;
use crate::support::names;

const ALICE: u32 = 4_000_021;
const BOB: u32 = 4_000_022;
const GROUP: u32 = 4_000_023;

/// A directory that the group may publish in.
fn shared() -> Host {
    let host = Host::new();
    copy_promdrop(&host.path("promdrop"));
    let way = format!("chgrp {GROUP} \"$0\" && chmod 1775 \"$0\" && chmod 755 \"$0/..\"");
    assert!(Command::new("sh").args(["-c", &way]).arg(host.textfile_dir()).status().unwrap().success());
    host
}

/// Runs promdrop as `user` with `text` to read; whether it succeeded, and what it said.
fn by(user: u32, host: &Host, arguments: &[&str], text: &str) -> (bool, String) {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={user}"), &format!("--regid={GROUP}"), "--clear-groups"]);
    command.arg(host.path("promdrop")).arg("--textfile-dir").arg(host.textfile_dir()).args(arguments);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    (output.status.success(), said)
}

#[track_caller]
fn well(user: u32, host: &Host, arguments: &[&str], text: &str) {
    assert_eq!(by(user, host, arguments, text), (true, String::new()));
}

/// How many files hold `line`.
fn holding(host: &Host, line: &str) -> usize {
    let files = names(&host.textfile_dir()).into_iter().filter(|name| name.ends_with(".prom"));
    files.filter(|file| host.text(file).lines().any(|there| there == line)).count()
}

#[test]
fn what_one_user_says_of_a_family_takes_it_from_nobody() {
    let host = shared();
    let text = |help: &str| format!("# HELP t_a {help}\n# TYPE t_a gauge\nt_a 1\n");
    for (user, group) in [(ALICE, "job/a"), (ALICE, "job/b"), (BOB, "job/c"), (BOB, "job/d")] {
        well(user, &host, &["push", group], &text("one"));
    }
    well(BOB, &host, &["write", "w", "--label", "w=1"], &text("one"));
    well(ALICE, &host, &["push", "job/new"], &text("two"));
    // A write changes its own user's HELP, and where it may not, takes it.
    well(ALICE, &host, &["write", "v", "--label", "w=2"], &text("three"));
    well(BOB, &host, &["write", "w", "--label", "w=1"], &text("four"));
    assert_eq!(holding(&host, "# HELP t_a one"), 7, "{:?}", names(&host.textfile_dir()));
    // Nor between two writes alone, of which one would change both if it might.
    let text = |help: &str| format!("# HELP t_w {help}\n# TYPE t_w gauge\nt_w 1\n");
    well(BOB, &host, &["write", "bobs", "--label", "w=1"], &text("one"));
    well(BOB, &host, &["write", "bobs2", "--label", "w=2"], &text("two"));
    well(ALICE, &host, &["write", "alices", "--label", "w=3"], &text("three"));
    assert_eq!(holding(&host, "# HELP t_w two"), 3);
}

#[test]
fn a_group_stays_its_users_when_root_pushes_to_it() {
    let host = shared();
    well(ALICE, &host, &["push", "job/a"], "t_a 1\n");
    well(0, &host, &["push", "job/a"], "t_a 2\n");
    well(ALICE, &host, &["push", "job/a"], "t_a 3\n");
    assert_eq!(holding(&host, "t_a{job=\"a\"} 3"), 1);
    let file = names(&host.textfile_dir()).into_iter().find(|name| name.ends_with(".prom")).unwrap();
    assert_eq!(fs::metadata(host.textfile_dir().join(file)).unwrap().uid(), ALICE);
    // Another's is refused, and said whose it is.
    for arguments in [&["push", "job/a"][..], &["push", "job/a", "--delete"]] {
        let (done, said) = by(BOB, &host, arguments, "t_a 4\n");
        assert!(!done && said.contains(&format!("it belongs to user {ALICE}")), "{said}");
        assert!(!said.contains("chmod"), "{said}");
    }
    assert_eq!(holding(&host, "t_a{job=\"a\"} 3"), 1);
}
