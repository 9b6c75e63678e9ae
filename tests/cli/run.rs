//! `promdrop run` and `test`: what is run, what is published, what is said, the exit status.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use promdrop::collect::machine::Machine;
use promdrop::collect::runner::{Runner, now};
use promdrop::collect::stop::Stop;
use promdrop::collect::{Outcome, read_module};
use promdrop::config::load::load_directory;
use promdrop::textfile::{Claims, Directory};

use crate::support;
use crate::support::host::Host;

/// A host with the collectors `files`: stems and contents.
fn host(files: &[(&str, &str)]) -> Host {
    let host = Host::new();
    for (stem, yaml) in files {
        host.collector(stem, yaml);
    }
    host
}

/// Runs promdrop and expects it to be silent and good.
#[track_caller]
pub fn run_well(host: &Host, arguments: &[&str]) {
    assert_eq!(host.outcome(arguments), (0, String::new(), String::new()));
}

/// The values of the series that begin with `start` in `file`.
#[track_caller]
pub fn values(host: &Host, file: &str, start: &str) -> Vec<f64> {
    let text = host.text(file);
    let lines = text.lines().filter(|line| line.starts_with(start));
    lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
}

/// What stands in the textfile directory.
pub fn names(host: &Host) -> Vec<String> {
    support::names(&host.textfile_dir())
}

/// A published file with the header line `key` set to what `change` makes of its number.
pub fn rewrite(host: &Host, file: &str, key: &str, change: impl Fn(u64) -> u64) {
    let text = host.text(file);
    let key = format!("# promdrop-{key}: ");
    let line = text.lines().find(|line| line.starts_with(&key)).unwrap();
    let number = change(line[key.len()..].parse().unwrap());
    fs::write(host.textfile_dir().join(file), text.replace(line, &format!("{key}{number}"))).unwrap();
}

/// A command that prints what the file `answer` of the host holds, and exits 3 where it is missing.
fn told_by(host: &Host, more: &str) -> String {
    let answer = host.path("answer");
    let answer = answer.display();
    format!("module: command\n{more}command:\n  shell: 'cat {answer} || exit 3'\n")
}

fn answer(host: &Host, text: &str) {
    fs::write(host.path("answer"), text).unwrap();
}

fn stop_answering(host: &Host) {
    fs::remove_file(host.path("answer")).unwrap();
}

#[test]
fn a_slot_is_served_once_and_a_name_asks_for_more() {
    let host = host(&[("netstat", "module: netstat\ninterval: 7d\n")]);
    run_well(&host, &["run"]);
    assert_eq!(names(&host), [".promdrop.lock", "netstat.prom", "promdrop.prom"]);
    assert_eq!(values(&host, "netstat.prom", "netstat_tcp_connections{").len(), 22);
    let runs = "promdrop_collector_runs_total{collector=\"netstat\",result=\"success\"}";
    let before = host.text("netstat.prom");
    run_well(&host, &["run"]);
    assert_eq!(host.text("netstat.prom"), before, "run twice in a slot");
    run_well(&host, &["run", "netstat"]);
    assert_eq!(values(&host, "netstat.prom", runs), [2.0]);
}

#[test]
fn a_slot_that_another_served_meanwhile_is_not_served_again() {
    let host = host(&[("netstat", "module: netstat\n")]);
    let loaded = load_directory(&host.collectors_dir(), &read_module).unwrap();
    let definition = &loaded.definitions[0];
    let directory = Directory::open(&host.textfile_dir()).unwrap();
    let stop = Stop::listen().unwrap();
    let source = host.collectors_dir().display().to_string();
    let claims = Claims { source, ..Claims::default() };
    let runner = Runner { directory: &directory, stop: &stop, claims, machine: &Machine::default() };
    let at = now();
    assert!(runner.due(&definition.stem, &definition.header, at).is_some());
    assert!(runner.run_due(definition, at).is_some());
    // Two found it due; the second comes to the lock once the first has given it back.
    assert!(runner.run_due(definition, at).is_none());
    assert_eq!(runner.run(definition, at).outcome, Outcome::Success);
    assert!(runner.run_due(definition, at + 60_000).is_some());
}

#[test]
fn what_still_runs_is_passed_by_in_silence() {
    let host = host(&[("netstat", "module: netstat\n")]);
    let directory = Directory::open(&host.textfile_dir()).unwrap();
    let other = directory.lock_collector("netstat").unwrap();
    run_well(&host, &["run"]);
    let said = "promdrop: netstat: skipped: it still runs, started by another promdrop\n";
    assert_eq!(host.outcome(&["run", "netstat"]), (0, String::new(), said.to_owned()));
    assert!(!names(&host).contains(&"netstat.prom".to_owned()));
    drop(other);
}

#[test]
fn on_failure_drop_removes_the_numbers_and_keeps_the_health() {
    let host = Host::new();
    host.collector("x", &told_by(&host, ""));
    answer(&host, "mail 7\n");
    run_well(&host, &["run", "x"]);
    assert_eq!(values(&host, "x.prom", "mail"), [7.0]);
    assert_eq!(values(&host, "x.prom", "promdrop_collector_series"), [1.0]);
    let success = values(&host, "x.prom", "promdrop_collector_last_success_timestamp_seconds");

    stop_answering(&host);
    let (status, _, stderr) = host.outcome(&["run", "x"]);
    assert_eq!(status, 1);
    assert!(stderr.starts_with("promdrop: x: exit: it exited with status 3\n  stderr: cat: "), "{stderr}");
    assert_eq!(values(&host, "x.prom", "mail"), Vec::<f64>::new());
    assert_eq!(values(&host, "x.prom", "promdrop_collector_success"), [0.0]);
    assert_eq!(values(&host, "x.prom", "promdrop_collector_series"), [0.0]);
    assert_eq!(values(&host, "x.prom", "promdrop_collector_last_success_timestamp_seconds"), success);
    assert!(host.text("x.prom").contains("\n# promdrop-failure: exit: it exited with status 3\n"));
    let exits = "promdrop_collector_runs_total{collector=\"x\",result=\"exit\"}";
    assert_eq!(values(&host, "x.prom", exits), [1.0]);
}

#[test]
fn runs_go_on_being_counted_unless_the_file_is_in_doubt() {
    let host = Host::new();
    host.collector("x", &told_by(&host, ""));
    answer(&host, "mail 7\n");
    let runs = |result: &str| {
        let series = format!("promdrop_collector_runs_total{{collector=\"x\",result=\"{result}\"}}");
        values(&host, "x.prom", &series)[0]
    };
    let state = |change: fn(&str) -> String| {
        let text = host.text("x.prom");
        let line = text.lines().find(|line| line.starts_with("# promdrop-state: ")).unwrap();
        fs::write(host.textfile_dir().join("x.prom"), text.replace(line, &change(line))).unwrap();
    };
    let run = || host.outcome(&["run", "x"]).0;
    assert_eq!([run(), run(), run()], [0; 3]);
    stop_answering(&host);
    assert_eq!([run(), run()], [1; 2]);
    assert_eq!([runs("success"), runs("exit")], [3.0, 2.0]);
    answer(&host, "mail 7\n");
    state(|line| line.replace("success=3", "success=2"));
    assert_eq!(run(), 0);
    assert_eq!([runs("success"), runs("exit")], [1.0, 0.0], "edited: all of it begins at 0");
    state(|line| line.replace("# promdrop-state", "# promdrop-stat"));
    assert_eq!(run(), 0);
    assert_eq!(runs("success"), 1.0, "damaged");
    assert_eq!(run(), 0);
    fs::remove_file(host.textfile_dir().join("x.prom")).unwrap();
    assert_eq!(run(), 0);
    assert_eq!(runs("success"), 1.0, "removed");
    fs::write(host.textfile_dir().join("x.prom"), "theirs 1\n").unwrap();
    assert_eq!(run(), 1);
    fs::remove_file(host.textfile_dir().join("x.prom")).unwrap();
    assert_eq!([run(), run()], [0; 2]);
    assert_eq!(runs("success"), 2.0, "somebody else's was there");
}

#[test]
fn on_failure_keep_keeps_the_numbers() {
    let host = Host::new();
    host.collector("x", &told_by(&host, "on_failure: keep\n"));
    answer(&host, "# HELP mail M.\n# TYPE mail gauge\nmail{a=\"b\"} 7\n");
    run_well(&host, &["run", "x"]);
    stop_answering(&host);
    assert_eq!(host.outcome(&["run", "x"]).0, 1);
    assert_eq!(host.outcome(&["run", "x"]).0, 1);
    let text = host.text("x.prom");
    assert!(text.contains("# HELP mail M.\n# TYPE mail gauge\nmail{a=\"b\"} 7\n"), "{text}");
    assert_eq!(values(&host, "x.prom", "promdrop_collector_success"), [0.0]);
    assert_eq!(values(&host, "x.prom", "promdrop_collector_series"), [1.0]);
}

#[test]
fn kept_numbers_go_at_their_age() {
    let host = Host::new();
    host.collector("x", &told_by(&host, "on_failure: keep\nmax_age: 2m\n"));
    answer(&host, "mail 7\n");
    run_well(&host, &["run", "x"]);
    for ago in [180_000, -180_000] {
        answer(&host, "mail 7\n");
        assert_eq!(host.outcome(&["run", "x"]).0, 0);
        stop_answering(&host);
        rewrite(&host, "x.prom", "last-success-ms", |at| at.wrapping_add_signed(-ago));
        assert_eq!(host.outcome(&["run", "x"]).0, 1);
        assert_eq!(values(&host, "x.prom", "mail"), Vec::<f64>::new(), "{ago} ms ago");
    }
}

#[test]
fn the_definitions_labels_are_on_its_samples_only() {
    let host = Host::new();
    host.collector("x", &told_by(&host, "labels: {team: mail}\n"));
    answer(&host, "mail 7\nqueue{a=\"b\"} 8\n");
    run_well(&host, &["run", "x"]);
    let text = host.text("x.prom");
    assert!(text.contains("\nmail{team=\"mail\"} 7\nqueue{a=\"b\",team=\"mail\"} 8\n"), "{text}");
    assert_eq!(text.matches("team=").count(), 2, "{text}");

    answer(&host, "mail{team=\"other\"} 7\n");
    let (status, _, stderr) = host.outcome(&["run", "x"]);
    assert_eq!(status, 1);
    let expected =
        "promdrop: x: invalid: the definition's label `team` is already on a sample of the output\n";
    assert_eq!(stderr, expected);
}

#[test]
fn promdrops_own_names_are_refused() {
    let host = Host::new();
    host.collector("x", &told_by(&host, ""));
    answer(&host, "promdrop_collector_success{collector=\"netstat\"} 1\n");
    let (status, _, stderr) = host.outcome(&["run", "x"]);
    assert_eq!(status, 1);
    assert!(stderr.starts_with("promdrop: x: invalid: names that begin with `promdrop_`"), "{stderr}");
    assert_eq!(values(&host, "x.prom", "promdrop_collector_success"), [0.0]);
}

#[test]
fn a_bad_definition_stops_itself_only_and_its_health_says_config() {
    let host = host(&[("netstat", "module: netstat\n"), ("x", "module: netstat\nintervall: 1m\n")]);
    let (status, _, stderr) = host.outcome(&["run"]);
    assert_eq!(status, 1);
    let path = host.collectors_dir().join("x.yaml");
    let expected = format!(
        "{}:2:1: unknown key `intervall` in `file`\n 2 | intervall: 1m\n   | ^\n   = did you mean `interval`?\n",
        path.display()
    );
    assert_eq!(stderr, expected);
    assert_eq!(values(&host, "netstat.prom", "promdrop_collector_success"), [1.0]);
    assert_eq!(values(&host, "x.prom", "promdrop_collector_success"), [0.0]);
    let config = "promdrop_collector_runs_total{collector=\"x\",result=\"config\"}";
    assert_eq!(values(&host, "x.prom", config), [1.0]);
    assert_eq!(values(&host, "promdrop.prom", "promdrop_definitions"), [1.0, 0.0, 1.0]);
}

#[test]
fn a_definition_that_breaks_leaves_its_last_numbers_until_their_age() {
    let host = Host::new();
    host.collector("x", &told_by(&host, ""));
    answer(&host, "mail 7\n");
    run_well(&host, &["run", "x"]);
    host.collector("x", "module: comand\n");
    assert_eq!(host.outcome(&["run", "x"]).0, 1);
    rewrite(&host, "x.prom", "slot-ms", |_| 0);
    assert_eq!(host.outcome(&["run"]).0, 1);
    assert_eq!(values(&host, "x.prom", "mail"), [7.0]);
    assert_eq!(values(&host, "x.prom", "promdrop_collector_success"), [0.0]);
}

#[test]
fn a_failure_is_said_once_and_then_hourly_and_the_status_always() {
    let host = host(&[("x", "module: command\ncommand:\n  argv: ['false']\n")]);
    let said = (1, String::new(), "promdrop: x: exit: it exited with status 1\n".to_owned());
    let quiet = (1, String::new(), String::new());
    assert_eq!(host.outcome(&["run"]), said);
    // The same hour, another slot; where the hour is a minute old or less there is no such slot before this one.
    let hour = 3_600_000;
    let mut same_hour = false;
    rewrite_slot(
        &host,
        |slot| if slot % hour == 0 { slot - 60_000 } else { slot - slot % hour },
        &mut same_hour,
    );
    assert_eq!(host.outcome(&["run"]), if same_hour { quiet } else { said.clone() });
    rewrite(&host, "x.prom", "slot-ms", |slot| slot - hour);
    assert_eq!(host.outcome(&["run"]), said);
    host.collector("x", "module: netstat\n");
    rewrite(&host, "x.prom", "slot-ms", |_| 0);
    let again = "promdrop: x: it succeeds again\n".to_owned();
    assert_eq!(host.outcome(&["run"]), (0, String::new(), again));
    rewrite(&host, "x.prom", "slot-ms", |_| 0);
    run_well(&host, &["run"]);
}

/// Rewrites the slot of x.prom and tells whether it stayed in its hour.
fn rewrite_slot(host: &Host, change: impl Fn(u64) -> u64, same_hour: &mut bool) {
    let hours = std::cell::Cell::new((0, 0));
    rewrite(host, "x.prom", "slot-ms", |slot| {
        hours.set((slot / 3_600_000, change(slot) / 3_600_000));
        change(slot)
    });
    *same_hour = hours.get().0 == hours.get().1;
}

#[test]
fn what_is_not_there_or_disabled_is_usage() {
    let host = host(&[("a", "module: netstat\n"), ("b", "module: netstat\nenabled: false\n")]);
    let dir = host.collectors_dir();
    let (status, _, stderr) = host.outcome(&["run", "c"]);
    assert_eq!(status, 2);
    assert_eq!(stderr, format!("promdrop: there is no collector c in {}; there are: a, b\n", dir.display()));
    let (status, _, stderr) = host.outcome(&["run", "b"]);
    assert_eq!(status, 2);
    assert_eq!(stderr, "promdrop: collector b is disabled: its file says `enabled: false`\n");
    assert_eq!(host.outcome(&["test", "c"]).2, host.outcome(&["run", "c"]).2);
    let (status, stdout, _) = host.outcome(&["test", "b"]);
    assert_eq!(status, 0);
    assert!(stdout.contains("\nnote       it is disabled: `run` passes it by\n"), "{stdout}");
    run_well(&host, &["run"]);
    assert_eq!(names(&host), [".promdrop.lock", "a.prom", "promdrop.prom"]);
    assert_eq!(host.outcome(&["frobnicate"]).0, 2);
    assert_eq!(host.outcome(&["--version"]), (0, "promdrop 0.1.0\n".into(), String::new()));
}

#[test]
fn directories_that_are_missing_are_named_with_the_cure() {
    let host = host(&[("a", "module: netstat\n")]);
    fs::remove_dir(host.textfile_dir()).unwrap();
    let (status, _, stderr) = host.outcome(&["run"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("the textfile directory does not exist"), "{stderr}");
    assert!(stderr.contains("PROMDROP_TEXTFILE_DIR"), "{stderr}");
    assert!(!host.textfile_dir().exists(), "it was created");
    fs::create_dir(host.textfile_dir()).unwrap();
    fs::remove_dir_all(host.collectors_dir()).unwrap();
    let (status, _, stderr) = host.outcome(&["run"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("PROMDROP_COLLECTORS_DIR"), "{stderr}");
}

#[test]
fn someone_elses_file_is_not_replaced() {
    let host = host(&[("a", "module: netstat\n"), ("b", "module: netstat\n")]);
    fs::write(host.textfile_dir().join("a.prom"), "theirs 1\n").unwrap();
    fs::write(host.path("target"), "untouched").unwrap();
    symlink(host.path("target"), host.textfile_dir().join("b.prom")).unwrap();
    let (status, _, stderr) = host.outcome(&["run"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("promdrop: a: conflict: this file is somebody else's"), "{stderr}");
    assert!(stderr.contains("promdrop: b: conflict: this is a symbolic link"), "{stderr}");
    assert_eq!(host.text("a.prom"), "theirs 1\n");
    assert_eq!(fs::read_to_string(host.path("target")).unwrap(), "untouched");
}

#[test]
fn test_shows_and_publishes_nothing() {
    let host = Host::new();
    host.collector("x", &told_by(&host, ""));
    answer(&host, "mail 7\n");
    let (status, stdout, stderr) = host.outcome(&["test", "x"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with("collector  x, module command\n"), "{stdout}");
    assert!(
        stdout.ends_with("\nverdict    good: 1 series, which `run` would publish in x.prom\n"),
        "{stdout}"
    );
    assert!(stdout.contains("\noutput     mail 7\nsamples    mail 7\npublished  nothing yet\n"), "{stdout}");
    assert_eq!(names(&host), Vec::<String>::new());

    answer(&host, "mail 7\nmail 8");
    let (status, stdout, _) = host.outcome(&["test", "x"]);
    assert_eq!(status, 1);
    assert!(stdout.contains("\nverdict    output: line 2, column 6 of its output"), "{stdout}");
    assert!(stdout.contains("output:2:6: the last line has no end: was the output cut?"), "{stdout}");
    assert_eq!(names(&host), Vec::<String>::new());
}

#[test]
fn test_tells_how_a_command_is_started_and_what_a_run_would_change() {
    let host = Host::new();
    let more = "  environment: {COLOUR: green}\n  umask: '027'\n  directory: /tmp\n";
    host.collector("x", &(told_by(&host, "") + more));
    answer(&host, "a 1\nb 2\nc 3\n");
    host.run_well(&["x"]);
    let published = host.text("x.prom");
    answer(&host, "a 1\nb 5\nd \u{1b}[2J\n");
    let (_, stdout, _) = host.outcome(&["test", "x"]);
    assert!(!stdout.contains('\u{1b}') && stdout.contains("\\x1b[2J"), "{stdout}");
    answer(&host, "a 1\nb 5\nd 4\n");
    let mut test = host.promdrop();
    let output =
        test.args(["test", "x"]).env("ONLY_YOURS", "SECRET").env("PATH", "/opt/mine:/bin").output().unwrap();
    let stdout = String::from_utf8(output.stdout).unwrap();
    for wanted in [
        "\ndirectory  /tmp\n",
        "\nlimits     umask 027\n",
        "\n           COLOUR=green\n",
        "\n           only your PATH has /opt/mine\n",
        "\nended      exited with status 0\n",
        "\npublished  1 series new, 1 gone, 1 of another value, 1 the same\n           ~ b 2 -> 5\n           + d 4\n           - c 3\n",
    ] {
        assert!(stdout.contains(wanted), "no {wanted} in\n{stdout}");
    }
    let only_yours = stdout.lines().find(|line| line.contains("only you have the variables")).unwrap();
    assert!(only_yours.contains("ONLY_YOURS"), "{only_yours}");
    assert!(!stdout.contains("SECRET"), "{stdout}");
    assert_eq!(host.text("x.prom"), published);
}

#[test]
fn published_files_can_be_read_by_all_whatever_the_umask() {
    let host = host(&[("a", "module: netstat\n")]);
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", "umask 077; exec \"$0\" --collectors-dir \"$1\" --textfile-dir \"$2\" run"])
        .arg(env!("CARGO_BIN_EXE_promdrop"))
        .args([host.collectors_dir(), host.textfile_dir()])
        .status()
        .unwrap();
    assert!(status.success());
    let mode =
        |file: &str| fs::metadata(host.textfile_dir().join(file)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("a.prom"), mode("promdrop.prom"), mode(".promdrop.lock")), (0o644, 0o644, 0o600));
}
