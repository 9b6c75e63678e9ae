//! As whom a command runs, and what it starts with.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::host::Host;
use crate::support::single::{NAME, Single, shell};
use crate::support::users::{GID, GROUPS, OTHER, UID, USER, with_user};

/// Prints its ids as samples.
const IDS: &str = "echo uid $(id -u); echo gid $(id -g); echo groups $(id -G | tr -d ' ')";

/// The number that `IDS` prints for these groups, which id(1) prints in this order.
fn groups(all: &[u32]) -> f64 {
    all.iter().map(u32::to_string).collect::<String>().parse().unwrap()
}

#[test]
fn it_is_the_user_with_its_groups() {
    let nobody = Single::run(&shell("user: nobody", IDS, ""));
    nobody.ended("success");
    assert_eq!(["uid", "gid", "groups"].map(|name| nobody.value(name)), [65534.0; 3]);
    with_user(|| {
        let made = Single::run(&shell(&format!("user: {USER}"), IDS, ""));
        let [one, two] = GROUPS;
        made.ended("success");
        let ids = ["uid", "gid", "groups"].map(|name| made.value(name));
        assert_eq!(ids, [f64::from(UID), f64::from(GID), groups(&[GID, one, two])]);
    });
}

#[test]
fn a_group_takes_the_place_of_the_primary_one() {
    with_user(|| {
        let [one, two] = GROUPS;
        let made = Single::run(&shell(&format!("user: {USER}\ngroup: pd-other"), IDS, ""));
        made.ended("success");
        let ids = ["uid", "gid", "groups"].map(|name| made.value(name));
        assert_eq!(ids, [f64::from(UID), f64::from(OTHER), groups(&[OTHER, one, two])]);
        let root = Single::run(&shell("group: pd-other", IDS, ""));
        root.ended("success");
        assert_eq!(["uid", "gid"].map(|name| root.value(name)), [0.0, f64::from(OTHER)]);
    });
    let unknown = Single::run(&shell("group: pd-other", IDS, ""));
    unknown.ended("spawn").says("there is no group `pd-other` here: create it or change `group`");
}

/// Prints what it started with as samples.
const START: &str = "echo mask $(umask); echo nice $(nice); echo core $(ulimit -c)
echo no_new_privileges $(sed -n 's/^NoNewPrivs:.//p' /proc/self/status)";

#[test]
fn it_starts_as_the_definition_says() {
    let value = |run: &Single| ["mask", "nice", "core", "no_new_privileges"].map(|name| run.value(name));
    let plain = Single::run(&shell("", START, ""));
    plain.ended("success");
    assert_eq!(value(&plain), [22.0, 0.0, 0.0, 0.0]);
    let set = Single::run(&shell("user: nobody", START, "umask: \"027\"\nnice: 7\nno_new_privileges: true"));
    set.ended("success");
    assert_eq!(value(&set), [27.0, 7.0, 0.0, 1.0]);
    // The processor is shared between sessions first.
    if Path::new("/proc/self/autogroup").exists() {
        let script = "sed 's/.* nice /nice /' /proc/self/autogroup";
        assert_eq!(
            Single::run(&shell("user: nobody", script, "nice: 7")).ended("success").value("nice"),
            7.0
        );
    }
    let raised = Single::run(&shell("user: nobody", START, "nice: -3"));
    raised.ended("success");
    assert_eq!(value(&raised)[1], -3.0);
}

#[test]
fn without_new_privileges_a_setuid_program_gives_none() {
    let host = Host::new();
    let id = host.path("id");
    fs::copy("/usr/bin/id", &id).unwrap();
    fs::set_permissions(host.path(""), Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&id, Permissions::from_mode(0o4755)).unwrap();
    let script = format!("echo uid $({} -u)", id.display());
    let with = Single::run(&shell("user: nobody", &script, ""));
    assert_eq!(with.ended("success").value("uid"), 0.0);
    let without = Single::run(&shell("user: nobody", &script, "no_new_privileges: true"));
    assert_eq!(without.ended("success").value("uid"), 65534.0);
}

#[test]
fn other_exit_statuses_can_be_success() {
    let run = |status: &str, more: &str| Single::run(&shell("", &format!("echo a 1; exit {status}"), more));
    run("4", "exit_statuses: [0, 4]").ended("success");
    run("5", "exit_statuses: [0, 4]").ended("exit").says("it exited with status 5");
    run("0", "exit_statuses: [4]").ended("exit").says("it exited with status 0");
}

#[test]
fn what_needs_no_privilege_works_without_root() {
    let host = Host::new();
    let more = "umask: \"027\"\nnice: 7\nno_new_privileges: true\nrlimits: {open_files: 20, cpu: 5s, processes: 100}";
    let script = format!("{START}; echo open_files $(ulimit -n)");
    host.collector(NAME, &shell("group: nogroup", &script, more));
    host.collector("other-group", &shell("group: daemon", "echo a 1", ""));
    host.collector("raised", &shell("", "echo a 1", "nice: -1"));
    host.collector("more-files", &shell("", "echo a 1", "rlimits: {open_files: 100}"));
    let output = host.run_by(UID, "--nofile=64");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    let published = host.published(NAME);
    let values = ["mask", "nice", "core", "no_new_privileges", "open_files"];
    assert_eq!(values.map(|name| published.value(name, &[])), [27.0, 7.0, 0.0, 1.0, 20.0], "{said}");
    for line in [
        "promdrop: other-group: spawn: promdrop runs as 4000011 and can't take the group `daemon`: run it as root, or remove `group`",
        "promdrop: raised: spawn: can't set `nice`: to raise a priority takes the capability CAP_SYS_NICE; or a sandbox forbids it, see promdrop's unit",
        "promdrop: more-files: spawn: can't set `open_files` of `rlimits`: it is more than promdrop itself is allowed",
    ] {
        assert!(said.contains(line), "not said: {line}\n{said}");
    }
}
