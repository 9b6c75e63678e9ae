//! `promdrop status`: the rows, the document, the exit status, the terminal.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use promdrop::textfile::Directory;
use serde_json::Value;

use super::run::{names, rewrite, run_well};
use crate::support::host::Host;
use crate::support::need;

const NETSTAT: &str = "module: netstat\n";
const FALSE: &str = "module: command\ncommand: {argv: ['false']}\n";

/// The document, and the exit status.
#[track_caller]
fn document(host: &Host) -> (i32, Value) {
    let (status, stdout, stderr) = host.outcome(&["status", "--json"]);
    assert_eq!(stderr, "");
    (status, serde_json::from_str(&stdout).unwrap())
}

/// The document's row `name`, and the exit status.
#[track_caller]
fn row(host: &Host, name: &str) -> (i32, Value) {
    let (status, mut document) = document(host);
    let rows = document["collectors"].as_array_mut().unwrap();
    let mut found: Vec<Value> = rows.drain(..).filter(|row| row["name"] == name).collect();
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    assert_eq!(status == 1, document["failures"] != 0, "{document}");
    (status, found.remove(0))
}

/// The words of the table's line for `name`; two blanks part them.
#[track_caller]
fn cells(host: &Host, name: &str) -> Vec<String> {
    let (_, stdout, stderr) = host.outcome(&["status"]);
    assert_eq!(stderr, "");
    let line = stdout.lines().find(|line| line.split("  ").next() == Some(name));
    let line = line.unwrap_or_else(|| panic!("no {name} in\n{stdout}"));
    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).map(str::to_owned).collect()
}

fn serve(host: &Host, yaml: &str) {
    host.collector("x", yaml);
    host.outcome(&["run", "x"]);
}

#[test]
fn what_succeeded_says_when_and_how_much() {
    let host = Host::new();
    host.collector("x", "module: netstat\ninterval: 7d\n");
    run_well(&host, &["run"]);
    let before = fs::read_dir(host.textfile_dir()).unwrap().count();
    let (status, row) = row(&host, "x");
    assert_eq!(status, 0, "{row}");
    assert_eq!(fs::read_dir(host.textfile_dir()).unwrap().count(), before);
    let source = host.collectors_dir().canonicalize().unwrap();
    for (key, value) in [
        ("state", Value::from("success")),
        ("failed", Value::from(false)),
        ("running", Value::from(false)),
        ("result", Value::from("success")),
        ("reason", Value::Null),
        ("kind", Value::from("collector")),
        ("module", Value::from("netstat")),
        ("source", Value::from(source.to_str().unwrap())),
        ("file", Value::from("x.prom")),
        ("interval_seconds", Value::from(604_800.0)),
        ("max_age_seconds", Value::from(3_024_000.0)),
        ("offset_seconds", Value::from(0.0)),
    ] {
        assert_eq!(row[key], value, "{key}");
    }
    let published = host.published("x");
    let told = |family: &str| published.value(family, &[("collector", "x")]);
    for (key, family) in [
        ("series", "promdrop_collector_series"),
        ("duration_seconds", "promdrop_collector_duration_seconds"),
        ("last_run_timestamp_seconds", "promdrop_collector_last_run_timestamp_seconds"),
        ("last_success_timestamp_seconds", "promdrop_collector_last_success_timestamp_seconds"),
    ] {
        assert_eq!(row[key].as_f64(), Some(told(family)), "{key}");
    }
    let cells = cells(&host, "x");
    assert_eq!(cells[..4], ["x", "netstat", "7d", "success"], "{cells:?}");
    let (_, stdout, _) = host.outcome(&["status"]);
    assert!(stdout.contains("\npromdrop last ran "), "{stdout}");
}

#[test]
fn what_failed_says_why_until_it_succeeds() {
    let host = Host::new();
    serve(&host, FALSE);
    let (status, row_) = row(&host, "x");
    assert_eq!((status, &row_["state"], &row_["result"]), (1, &"failed".into(), &"exit".into()));
    assert_eq!(row_["reason"], "it exited with status 1");
    assert_eq!(row_["last_success_timestamp_seconds"], Value::Null);
    let cells = cells(&host, "x");
    assert_eq!(
        (&*cells[3], &*cells[5], &**cells.last().unwrap()),
        ("exit", "never", "it exited with status 1")
    );
    serve(&host, NETSTAT);
    assert_eq!(row(&host, "x").0, 0);
}

#[test]
fn what_is_past_its_age_is_stale_swept_or_not() {
    let host = Host::new();
    serve(&host, "module: netstat\nmax_age: 2m\n");
    rewrite(&host, "x.prom", "last-success-ms", |at| at - 130_000);
    let (status, row_) = row(&host, "x");
    assert_eq!((status, &row_["state"], &row_["result"]), (1, &"stale".into(), &"success".into()));
    let line = cells(&host, "x");
    assert_eq!((&*line[3], &*line[5], &**line.last().unwrap()), ("stale", "2m", "past its max_age of 2m"));
    host.outcome(&["prune"]);
    assert!(host.text("x.prom").contains("\n# promdrop-stale: 1\n"));
    let (status, row) = row(&host, "x");
    assert_eq!((status, &row["state"], &row["series"]), (1, &"stale".into(), &0.into()));
}

#[test]
fn what_never_ran_fails_only_where_promdrop_did() {
    let host = Host::new();
    host.collector("x", "module: netstat\ninterval: 1s\n").collector("y", NETSTAT);
    let (status, never) = row(&host, "x");
    assert_eq!((status, &never["state"], &never["file"]), (0, &"never".into(), &"x.prom".into()));
    assert_eq!(cells(&host, "x"), ["x", "netstat", "1s", "never run", "-", "-", "now", "-", "-", "x.prom"]);
    assert!(host.outcome(&["status"]).1.contains("\npromdrop has never run here\n"));
    run_well(&host, &["run", "y"]);
    rewrite(&host, "promdrop.prom", "last-success-ms", |at| at + 60_000);
    let (status, overdue) = row(&host, "x");
    assert_eq!((status, &overdue["state"]), (1, &"overdue".into()));
    assert_eq!(cells(&host, "x").last().unwrap(), "promdrop has run since it was due");
    assert_eq!(row(&host, "y").1["state"], "success");
}

#[test]
fn what_is_disabled_is_no_failure() {
    let host = Host::new();
    serve(&host, FALSE);
    host.collector("x", &format!("enabled: false\n{FALSE}"));
    let (status, row) = row(&host, "x");
    assert_eq!((status, &row["state"], &row["result"]), (0, &"disabled".into(), &"exit".into()));
    assert_eq!(row["next_due_timestamp_seconds"], Value::Null);
}

#[test]
fn a_definition_that_can_not_be_loaded_says_where() {
    let host = Host::new();
    host.collector("x", "module: netstat\nintervall: 1m\n").collector("Bad", NETSTAT);
    let (status, row_) = row(&host, "x");
    assert_eq!((status, &row_["state"], &row_["module"]), (1, &"config".into(), &Value::Null));
    assert_eq!(row_["reason"], "2:1: unknown key `intervall` in `file`");
    let bad = row(&host, "Bad.yaml").1;
    assert_eq!((&bad["state"], &bad["file"]), (&"config".into(), &Value::Null));
    assert_eq!(cells(&host, "x")[3], "config");
}

#[test]
fn what_runs_is_told_by_its_lock() {
    let host = Host::new();
    serve(&host, NETSTAT);
    let directory = Directory::open(&host.textfile_dir()).unwrap();
    let lock = directory.lock_collector("x").unwrap().unwrap();
    let (status, row_) = row(&host, "x");
    assert_eq!((status, &row_["running"], &row_["state"]), (0, &true.into(), &"success".into()));
    assert_eq!(cells(&host, "x")[3], "running");
    host.collector("x", "module: nonsense\n");
    assert_eq!(cells(&host, "x")[3], "config, running");
    host.collector("x", NETSTAT);
    drop(lock);
    assert_eq!(cells(&host, "x")[3], "success");
    let file = host.textfile_dir().join(".promdrop.lock");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    assert_eq!(row(&host, "x").1["running"], Value::Null);
    fs::remove_file(file).unwrap();
    assert_eq!(row(&host, "x").1["running"], false);
    assert!(!names(&host).contains(&".promdrop.lock".to_owned()));
}

#[test]
fn what_stands_in_the_way_is_named() {
    let host = Host::new();
    for name in ["copy", "foreign", "link", "written", "y"] {
        host.collector(name, NETSTAT);
    }
    run_well(&host, &["run", "y"]);
    let dir = host.textfile_dir();
    fs::copy(dir.join("y.prom"), dir.join("copy.prom")).unwrap();
    fs::write(dir.join("foreign.prom"), "theirs 1\n").unwrap();
    symlink("y.prom", dir.join("link.prom")).unwrap();
    // Neither has a definition: that is for lint.
    fs::write(dir.join("other.prom"), "others 1\n").unwrap();
    symlink("nowhere", dir.join("broken.prom")).unwrap();
    write(&host, "written", &[]);
    for (name, reason) in [
        ("copy", "this file is somebody else's: it is a copy of a file of promdrop's with another name"),
        ("foreign", "this file is somebody else's: it does not begin with promdrop's header"),
        ("link", "this is a symbolic link"),
        ("written", "its file is that of a write"),
    ] {
        let (status, row) = row(&host, name);
        assert_eq!(
            (status, &row["state"], &row["reason"]),
            (1, &"conflict".into(), &reason.into()),
            "{name}"
        );
    }
    let (_, document) = document(&host);
    assert_eq!((&document["foreign_files"], &document["failures"]), (&2.into(), &4.into()));
    assert!(host.outcome(&["status"]).1.ends_with("\n2 files of others: see promdrop lint\n"));
}

/// Publishes one series as `name`.
fn write(host: &Host, name: &str, arguments: &[&str]) {
    let input = host.path("input");
    fs::write(&input, format!("{name}_age 1\n")).unwrap();
    let mut command = host.promdrop();
    command.args(["write", name]).args(arguments).stdin(fs::File::open(input).unwrap());
    assert!(command.status().unwrap().success());
}

#[test]
fn files_that_no_definition_claims_are_there_too() {
    let host = Host::new();
    serve(&host, NETSTAT);
    fs::remove_file(host.collectors_dir().join("x.yaml")).unwrap();
    write(&host, "backup", &["--max-age", "25h"]);
    let backup = row(&host, "backup").1;
    assert_eq!((&backup["kind"], &backup["state"]), (&"write".into(), &"success".into()));
    assert_eq!((&backup["module"], &backup["series"]), (&Value::Null, &1.into()));
    assert_eq!(backup["max_age_seconds"], 90_000.0);
    let (status, left) = row(&host, "x");
    assert_eq!((status, &left["state"]), (0, &"left".into()));
    assert_eq!(cells(&host, "x")[3], "left over");
    rewrite(&host, "backup.prom", "last-success-ms", |at| at - 91_000_000);
    let (status, backup) = row(&host, "backup");
    assert_eq!((status, &backup["state"]), (1, &"stale".into()));
    // Another collectors directory's own.
    let text = host.text("x.prom");
    let source = host.collectors_dir().canonicalize().unwrap();
    let text = text.replace(&format!("source: {}\n", source.display()), "source: /elsewhere\n");
    fs::write(host.textfile_dir().join("x.prom"), text).unwrap();
    let other = row(&host, "x").1;
    assert_eq!((&other["state"], &other["source"]), (&"success".into(), &"/elsewhere".into()));
    assert_eq!(cells(&host, "x")[1..3], ["collector", "1m"]);
}

#[test]
fn the_splay_that_is_shown_is_where_it_runs() {
    let host = Host::new();
    serve(&host, "module: netstat\ninterval: 1h\nsplay: true\n");
    let (_, row) = row(&host, "x");
    let offset = row["offset_seconds"].as_f64().unwrap();
    let text = host.text("x.prom");
    let slot = text.lines().find_map(|line| line.strip_prefix("# promdrop-slot-ms: ")).unwrap();
    let slot = slot.parse::<f64>().unwrap() / 1000.0;
    assert!((slot % 3600.0 - offset).abs() < 0.001, "{slot} {offset}");
    assert!((row["next_due_timestamp_seconds"].as_f64().unwrap() - slot - 3600.0).abs() < 0.001);
    let shown = &cells(&host, "x")[2];
    let (interval, shown) = shown.split_once(" +").unwrap();
    let seconds = humantime::parse_duration(shown).unwrap().as_secs_f64();
    assert_eq!((interval, seconds), ("1h", offset.floor()));
}

#[test]
fn what_is_long_due_says_since_when() {
    let host = Host::new();
    serve(&host, "module: netstat\nmax_age: 7d\n");
    rewrite(&host, "x.prom", "slot-ms", |slot| slot - 3_600_000 * 3);
    let next = &cells(&host, "x")[6];
    assert!(["2h ago", "3h ago"].contains(&&**next), "{next}");
    assert_eq!(row(&host, "x").0, 0);
}

#[test]
fn directories_that_are_missing_are_named() {
    let host = Host::new();
    fs::remove_dir(host.collectors_dir()).unwrap();
    let (status, stdout, stderr) = host.outcome(&["status", "--json"]);
    assert_eq!((status, &*stdout), (2, ""));
    assert!(stderr.contains("PROMDROP_COLLECTORS_DIR"), "{stderr}");
    fs::create_dir(host.collectors_dir()).unwrap();
    fs::remove_dir(host.textfile_dir()).unwrap();
    let (status, stdout, stderr) = host.outcome(&["status"]);
    assert_eq!((status, &*stdout), (2, ""));
    assert!(stderr.contains("PROMDROP_TEXTFILE_DIR"), "{stderr}");
}

/// What `status` writes to a terminal of 50 columns, with its environment's `variables`.
fn on_a_terminal(host: &Host, variables: &[(&str, &str)]) -> String {
    need("script");
    let promdrop = env!("CARGO_BIN_EXE_promdrop");
    let (collectors, textfile) = (host.collectors_dir(), host.textfile_dir());
    let mut command = Command::new("script");
    command
        .args(["--quiet", "--return", "--command"])
        .arg(format!("stty cols 50 && '{promdrop}' status </dev/null"))
        .arg("/dev/null")
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .env("TERM", "xterm")
        .env("PROMDROP_COLLECTORS_DIR", collectors)
        .env("PROMDROP_TEXTFILE_DIR", textfile)
        .stdin(Stdio::null());
    let output = command.envs(variables.iter().copied()).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    String::from_utf8(output.stdout).unwrap().replace("\r\n", "\n")
}

#[test]
fn a_terminal_gets_colours_and_no_more_than_its_width() {
    let host = Host::new();
    serve(&host, FALSE);
    let coloured = on_a_terminal(&host, &[]);
    let mut lines = coloured.lines();
    assert!(lines.next().unwrap().starts_with("\x1b[1mCOLLECTOR  "), "{coloured}");
    assert!(lines.next().unwrap().contains("\x1b[31mexit\x1b[0m"), "{coloured}");
    for variable in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = on_a_terminal(&host, &[variable]);
        assert!(!plain.contains('\x1b'), "{plain:?}");
        let longest = plain.lines().map(|line| line.chars().count()).max().unwrap();
        assert!((40..=50).contains(&longest), "{plain}");
    }
    assert!(on_a_terminal(&host, &[("NO_COLOR", "")]).contains('\x1b'));
    assert!(!host.outcome(&["status"]).1.contains('\x1b'));
}

#[test]
fn no_file_writes_to_the_terminal() {
    let host = Host::new();
    serve(&host, FALSE);
    let said = "# promdrop-failure: exit: it exited with status 1\n";
    let text = host.text("x.prom");
    assert!(text.contains(said));
    let hostile = "# promdrop-failure: exit: \\u{1b}]0;owned\\u{7}\\n\\u{9b}31m\\u{202e}\t end\n";
    fs::write(host.textfile_dir().join("x.prom"), text.replace(said, hostile)).unwrap();
    // Raw, it is not as promdrop writes it.
    let raw =
        text.replace(said, "# promdrop-failure: exit: \x1b[2J\n").replace("file: x.prom", "file: y.prom");
    fs::write(host.textfile_dir().join("y.prom"), raw).unwrap();
    fs::write(host.textfile_dir().join("\x1b[2J.prom"), "# promdrop-format: 9\n").unwrap();
    for arguments in [&["status"][..], &["status", "--json"]] {
        let (status, stdout, stderr) = host.outcome(arguments);
        assert_eq!((status, &*stderr), (1, ""));
        assert!(!stdout.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'), "{stdout:?}");
        assert!(stdout.contains("x1b]0;owned") && stdout.contains("x1b[2J"), "{stdout}");
    }
}

/// As nobody, where it can be.
#[test]
fn any_user_may_look() {
    let host = Host::new();
    serve(&host, NETSTAT);
    let lock = Directory::open(&host.textfile_dir()).unwrap().lock_collector("x").unwrap().unwrap();
    let set = |path: PathBuf, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    set(host.path(""), 0o755);
    set(host.collectors_dir().join("x.yaml"), 0o000);
    set(host.textfile_dir().join(".promdrop.lock"), 0o000);
    // The way to the program may not be for nobody to go; what is open already can be run.
    let program = fs::File::open(env!("CARGO_BIN_EXE_promdrop")).unwrap();
    let mut command = Command::new("/proc/self/fd/0");
    command.args(["status", "--json"]).stdin(program);
    command.env("PROMDROP_COLLECTORS_DIR", host.collectors_dir());
    command.env("PROMDROP_TEXTFILE_DIR", host.textfile_dir());
    if nix::unistd::geteuid().is_root() {
        command.uid(65_534).gid(65_534);
    }
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let row = &document["collectors"][0];
    assert_eq!((&row["name"], &row["state"]), (&"x".into(), &"success".into()), "{document}");
    assert_eq!((&row["running"], &row["module"]), (&Value::Null, &Value::Null));
    assert_eq!(row["interval_seconds"], 60.0);
    assert_eq!(output.status.code(), Some(0));
    drop(lock);
}
