//! `/etc/default/promdrop`, which every command of promdrop's on a host reads.

use std::fs;
use std::process::Output;

use crate::support::host::Host;
use crate::support::mounts::{in_private, mount_files};
use crate::support::promdrop;

/// What promdrop does with `arguments` and `variables` where the file holds `text`.
fn told(text: &str, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
    in_private(|| {
        mount_files("/etc/default", &[("promdrop", text)]);
        promdrop().envs(variables.iter().copied()).args(arguments).output().unwrap()
    })
}

#[test]
fn what_nobody_says_is_as_it_says() {
    let host = Host::new();
    let (textfile, collectors) = (host.textfile_dir(), host.collectors_dir());
    let text = format!(
        "# Where things are.\nPROMDROP_TEXTFILE_DIR={}\nPROMDROP_COLLECTORS_DIR='{}'\n",
        textfile.display(),
        collectors.display()
    );
    host.collector("a", "module: command\ncommand: {argv: [echo, a_b 1]}\n");
    let output = told(&text, &[], &["run"]);
    assert!(output.status.success(), "{output:?}");
    assert!(host.text("a.prom").contains("\na_b 1\n"));
    // The environment wins over it, an option over both.
    let named = |variables: &[(&str, &str)], arguments: &[&str]| {
        let output = told(&text, variables, &[&["status"], arguments].concat());
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap()
    };
    assert!(named(&[], &[]).contains("success"));
    let environment = [("PROMDROP_TEXTFILE_DIR", "/no/environment")];
    assert!(named(&environment, &[]).contains("/no/environment"));
    assert!(named(&environment, &["--textfile-dir", "/no/option"]).contains("/no/option"));
}

#[test]
fn where_it_is_wrong_nothing_is_done_but_a_job_runs() {
    let host = Host::new();
    let place = host.textfile_dir();
    let text = "PROMDROP_NODE_EXPORTER=http://[::1]:9100/metrics\nPROMDROP_TEXTFILE=/x\n";
    let variables = [("PROMDROP_TEXTFILE_DIR", place.to_str().unwrap())];
    let output = told(text, &variables, &["prune", "--all"]);
    let expected = "/etc/default/promdrop:2:1: there is no variable `PROMDROP_TEXTFILE` of promdrop's\n \
                    2 | PROMDROP_TEXTFILE=/x\n   | ^\n   = known here: PROMDROP_TEXTFILE_DIR, \
                    PROMDROP_COLLECTORS_DIR, PROMDROP_NODE_EXPORTER\n";
    assert_eq!((output.status.code(), &*String::from_utf8(output.stderr).unwrap()), (Some(2), expected));
    let output = told(text, &variables, &["exec", "job", "sh", "-c", "echo ran; exit 7"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(7), &b"ran\n"[..]));
    assert_eq!(String::from_utf8(output.stderr).unwrap(), expected);
    assert!(fs::exists(place.join("exec.job.prom")).unwrap());
    assert!(told(text, &[], &["--version"]).status.success());
}
