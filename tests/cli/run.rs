//! `promdrop run` and `test`: what is run, what is published, what is said, the exit status.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::Output;

use tempfile::TempDir;

use crate::support::promdrop;

/// A host's two directories.
struct Host(TempDir);

impl Host {
    /// A host with the collectors `files`: names and contents.
    fn new(files: &[(&str, &str)]) -> Self {
        let host = Self(tempfile::tempdir().unwrap());
        fs::create_dir(host.collectors()).unwrap();
        fs::create_dir(host.textfiles()).unwrap();
        for (name, text) in files {
            host.define(name, text);
        }
        host
    }

    fn define(&self, name: &str, text: &str) {
        fs::write(self.collectors().join(name), text).unwrap();
    }

    fn collectors(&self) -> PathBuf {
        self.0.path().join("collectors.d")
    }

    fn textfiles(&self) -> PathBuf {
        self.0.path().join("textfiles")
    }

    fn promdrop(&self, arguments: &[&str]) -> (i32, String, String) {
        let Output { status, stdout, stderr } = promdrop()
            .arg("--collectors-dir")
            .arg(self.collectors())
            .arg("--textfile-dir")
            .arg(self.textfiles())
            .args(arguments)
            .output()
            .unwrap();
        (status.code().unwrap(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    }

    /// As [`promdrop`](Self::promdrop), for a run that is expected to be silent and good.
    fn run_well(&self, arguments: &[&str]) {
        assert_eq!(self.promdrop(arguments), (0, String::new(), String::new()));
    }

    fn published(&self, file: &str) -> String {
        fs::read_to_string(self.textfiles().join(file)).unwrap()
    }

    /// The values of the series that begin with `start` in `file`.
    fn values(&self, file: &str, start: &str) -> Vec<f64> {
        let text = self.published(file);
        let lines = text.lines().filter(|line| line.starts_with(start));
        lines.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect()
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.textfiles()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A command that prints what the file `answer` of the host holds, and exits 3 where it is missing.
fn told_by(host: &Host, more: &str) -> String {
    let answer = host.0.path().join("answer");
    let answer = answer.display();
    format!("module: command\n{more}command:\n  shell: 'cat {answer} || exit 3'\n")
}

fn answer(host: &Host, text: &str) {
    fs::write(host.0.path().join("answer"), text).unwrap();
}

fn stop_answering(host: &Host) {
    fs::remove_file(host.0.path().join("answer")).unwrap();
}

#[test]
fn a_slot_is_served_once_and_a_name_asks_for_more() {
    let host = Host::new(&[("netstat.yaml", "module: netstat\ninterval: 7d\n")]);
    host.run_well(&["run"]);
    assert_eq!(host.names(), [".promdrop.lock", "netstat.prom", "promdrop.prom"]);
    assert_eq!(host.values("netstat.prom", "netstat_tcp_connections{").len(), 22);
    let runs = "promdrop_collector_runs_total{collector=\"netstat\",result=\"success\"}";
    let before = host.published("netstat.prom");
    host.run_well(&["run"]);
    assert_eq!(host.published("netstat.prom"), before, "run twice in a slot");
    host.run_well(&["run", "netstat"]);
    assert_eq!(host.values("netstat.prom", runs), [2.0]);
}

#[test]
fn on_failure_drop_removes_the_numbers_and_keeps_the_health() {
    let host = Host::new(&[]);
    host.define("x.yaml", &told_by(&host, ""));
    answer(&host, "mail 7\n");
    host.run_well(&["run", "x"]);
    assert_eq!(host.values("x.prom", "mail"), [7.0]);
    assert_eq!(host.values("x.prom", "promdrop_collector_series"), [1.0]);
    let success = host.values("x.prom", "promdrop_collector_last_success_timestamp_seconds");

    stop_answering(&host);
    let (status, _, stderr) = host.promdrop(&["run", "x"]);
    assert_eq!(status, 1);
    assert!(stderr.starts_with("promdrop: x: exit: it exited with status 3\n  stderr: cat: "), "{stderr}");
    assert_eq!(host.values("x.prom", "mail"), Vec::<f64>::new());
    assert_eq!(host.values("x.prom", "promdrop_collector_success"), [0.0]);
    assert_eq!(host.values("x.prom", "promdrop_collector_series"), [0.0]);
    assert_eq!(host.values("x.prom", "promdrop_collector_last_success_timestamp_seconds"), success);
    assert!(host.published("x.prom").contains("\n# promdrop-failure: exit: it exited with status 3\n"));
    let exits = "promdrop_collector_runs_total{collector=\"x\",result=\"exit\"}";
    assert_eq!(host.values("x.prom", exits), [1.0]);
}

#[test]
fn on_failure_keep_keeps_the_numbers() {
    let host = Host::new(&[]);
    host.define("x.yaml", &told_by(&host, "on_failure: keep\n"));
    answer(&host, "# HELP mail M.\n# TYPE mail gauge\nmail{a=\"b\"} 7\n");
    host.run_well(&["run", "x"]);
    stop_answering(&host);
    assert_eq!(host.promdrop(&["run", "x"]).0, 1);
    assert_eq!(host.promdrop(&["run", "x"]).0, 1);
    let text = host.published("x.prom");
    assert!(text.contains("# HELP mail M.\n# TYPE mail gauge\nmail{a=\"b\"} 7\n"), "{text}");
    assert_eq!(host.values("x.prom", "promdrop_collector_success"), [0.0]);
    assert_eq!(host.values("x.prom", "promdrop_collector_series"), [1.0]);
}

#[test]
fn kept_numbers_go_at_their_age() {
    let host = Host::new(&[]);
    host.define("x.yaml", &told_by(&host, "on_failure: keep\nmax_age: 2m\n"));
    answer(&host, "mail 7\n");
    host.run_well(&["run", "x"]);
    stop_answering(&host);
    // The last success was three minutes ago.
    let text = host.published("x.prom");
    let line = text.lines().find(|line| line.starts_with("# promdrop-last-success-ms: ")).unwrap();
    let at: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
    let aged = text.replace(line, &format!("# promdrop-last-success-ms: {}", at - 180_000));
    fs::write(host.textfiles().join("x.prom"), aged).unwrap();
    assert_eq!(host.promdrop(&["run", "x"]).0, 1);
    assert_eq!(host.values("x.prom", "mail"), Vec::<f64>::new());
}

#[test]
fn the_definitions_labels_are_on_its_samples_only() {
    let host = Host::new(&[]);
    host.define("x.yaml", &told_by(&host, "labels: {team: mail}\n"));
    answer(&host, "mail 7\nqueue{a=\"b\"} 8\n");
    host.run_well(&["run", "x"]);
    let text = host.published("x.prom");
    assert!(text.contains("\nmail{team=\"mail\"} 7\nqueue{a=\"b\",team=\"mail\"} 8\n"), "{text}");
    assert_eq!(text.matches("team=").count(), 2, "{text}");

    answer(&host, "mail{team=\"other\"} 7\n");
    let (status, _, stderr) = host.promdrop(&["run", "x"]);
    assert_eq!(status, 1);
    let expected =
        "promdrop: x: invalid: the definition's label `team` is already on a sample of the output\n";
    assert_eq!(stderr, expected);
}

#[test]
fn promdrops_own_names_are_refused() {
    let host = Host::new(&[]);
    host.define("x.yaml", &told_by(&host, ""));
    answer(&host, "promdrop_collector_success{collector=\"netstat\"} 1\n");
    let (status, _, stderr) = host.promdrop(&["run", "x"]);
    assert_eq!(status, 1);
    assert!(stderr.starts_with("promdrop: x: invalid: names that begin with `promdrop_`"), "{stderr}");
    assert_eq!(host.values("x.prom", "promdrop_collector_success"), [0.0]);
}

#[test]
fn a_bad_definition_stops_itself_only_and_its_health_says_config() {
    let host =
        Host::new(&[("netstat.yaml", "module: netstat\n"), ("x.yaml", "module: netstat\nintervall: 1m\n")]);
    let (status, _, stderr) = host.promdrop(&["run"]);
    assert_eq!(status, 1);
    let path = host.collectors().join("x.yaml");
    let expected = format!(
        "{}:2:1: unknown key `intervall` in `file`\n 2 | intervall: 1m\n   | ^\n   = did you mean `interval`?\n",
        path.display()
    );
    assert_eq!(stderr, expected);
    assert_eq!(host.values("netstat.prom", "promdrop_collector_success"), [1.0]);
    assert_eq!(host.values("x.prom", "promdrop_collector_success"), [0.0]);
    let config = "promdrop_collector_runs_total{collector=\"x\",result=\"config\"}";
    assert_eq!(host.values("x.prom", config), [1.0]);
    assert_eq!(host.values("promdrop.prom", "promdrop_definitions"), [1.0, 0.0, 1.0]);
    // Its last good numbers stay: what `on_failure` says can't be read.
}

#[test]
fn a_definition_that_breaks_leaves_its_last_numbers_until_their_age() {
    let host = Host::new(&[]);
    host.define("x.yaml", &told_by(&host, ""));
    answer(&host, "mail 7\n");
    host.run_well(&["run", "x"]);
    host.define("x.yaml", "module: comand\n");
    assert_eq!(host.promdrop(&["run", "x"]).0, 1);
    // Within the slot that was served, nothing is published.
    let host_text = host.published("x.prom");
    let slot = host_text.lines().find(|line| line.starts_with("# promdrop-slot-ms: ")).unwrap();
    fs::write(host.textfiles().join("x.prom"), host_text.replace(slot, "# promdrop-slot-ms: 0")).unwrap();
    assert_eq!(host.promdrop(&["run"]).0, 1);
    assert_eq!(host.values("x.prom", "mail"), [7.0]);
    assert_eq!(host.values("x.prom", "promdrop_collector_success"), [0.0]);
}

#[test]
fn a_failure_is_said_once_and_the_status_always() {
    let host = Host::new(&[("x.yaml", "module: command\ninterval: 1s\ncommand:\n  argv: ['false']\n")]);
    let (status, _, stderr) = host.promdrop(&["run"]);
    assert_eq!((status, stderr.as_str()), (1, "promdrop: x: exit: it exited with status 1\n"));
    // As if a minute had gone by: due again, still failing, nothing new. Not across an hour, which says it again.
    for _ in 0..2 {
        let text = host.published("x.prom");
        let line = text.lines().find(|line| line.starts_with("# promdrop-slot-ms: ")).unwrap();
        let slot: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
        let earlier = slot - 1_000;
        if earlier / 3_600_000 != slot / 3_600_000 {
            continue;
        }
        let text = text.replace(line, &format!("# promdrop-slot-ms: {earlier}"));
        fs::write(host.textfiles().join("x.prom"), text).unwrap();
        let (status, _, stderr) = host.promdrop(&["run"]);
        if host.values("x.prom", "promdrop_collector_runs_total{collector=\"x\",result=\"exit\"}") > vec![1.0]
        {
            assert_eq!((status, stderr.as_str()), (1, ""));
        }
    }
}

#[test]
fn what_is_not_there_or_disabled_is_usage() {
    let host = Host::new(&[("a.yaml", "module: netstat\n"), ("b.yaml", "module: netstat\nenabled: false\n")]);
    let dir = host.collectors();
    let (status, _, stderr) = host.promdrop(&["run", "c"]);
    assert_eq!(status, 2);
    assert_eq!(stderr, format!("promdrop: there is no collector c in {}; there are: a, b\n", dir.display()));
    let (status, _, stderr) = host.promdrop(&["run", "b"]);
    assert_eq!(status, 2);
    assert_eq!(stderr, "promdrop: collector b is disabled: its file says `enabled: false`\n");
    host.run_well(&["run"]);
    assert_eq!(host.names(), [".promdrop.lock", "a.prom", "promdrop.prom"]);
    assert_eq!(host.promdrop(&["frobnicate"]).0, 2);
    assert_eq!(host.promdrop(&["--version"]), (0, "promdrop 0.1.0\n".into(), String::new()));
}

#[test]
fn directories_that_are_missing_are_named_with_the_cure() {
    let host = Host::new(&[("a.yaml", "module: netstat\n")]);
    fs::remove_dir(host.textfiles()).unwrap();
    let (status, _, stderr) = host.promdrop(&["run"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("the textfile directory does not exist"), "{stderr}");
    assert!(stderr.contains("PROMDROP_TEXTFILE_DIR"), "{stderr}");
    assert!(!host.textfiles().exists(), "it was created");
    fs::create_dir(host.textfiles()).unwrap();
    fs::remove_dir_all(host.collectors()).unwrap();
    let (status, _, stderr) = host.promdrop(&["run"]);
    assert_eq!(status, 2);
    assert!(stderr.contains("PROMDROP_COLLECTORS_DIR"), "{stderr}");
}

#[test]
fn someone_elses_file_is_not_replaced() {
    let host = Host::new(&[("a.yaml", "module: netstat\n"), ("b.yaml", "module: netstat\n")]);
    fs::write(host.textfiles().join("a.prom"), "theirs 1\n").unwrap();
    fs::write(host.0.path().join("target"), "untouched").unwrap();
    symlink(host.0.path().join("target"), host.textfiles().join("b.prom")).unwrap();
    let (status, _, stderr) = host.promdrop(&["run"]);
    assert_eq!(status, 1);
    assert!(stderr.contains("promdrop: a: conflict: this file is somebody else's"), "{stderr}");
    assert!(stderr.contains("promdrop: b: conflict: this is a symbolic link"), "{stderr}");
    assert_eq!(host.published("a.prom"), "theirs 1\n");
    assert_eq!(fs::read_to_string(host.0.path().join("target")).unwrap(), "untouched");
}

#[test]
fn test_shows_and_publishes_nothing() {
    let host = Host::new(&[]);
    host.define("x.yaml", &told_by(&host, ""));
    answer(&host, "mail 7\n");
    let (status, stdout, stderr) = host.promdrop(&["test", "x"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.starts_with("collector  x, module command\n"), "{stdout}");
    assert!(
        stdout.contains("\nverdict    good: 1 series, which `run` would publish in x.prom\n"),
        "{stdout}"
    );
    assert!(stdout.ends_with("\n\nmail 7\n"), "{stdout}");
    assert_eq!(host.names(), Vec::<String>::new());

    answer(&host, "mail 7\nmail 8");
    let (status, stdout, _) = host.promdrop(&["test", "x"]);
    assert_eq!(status, 1);
    assert!(stdout.contains("\nverdict    output: line 2, column 7 of its output"), "{stdout}");
    assert!(stdout.contains("output:2:7: the last line has no end: was the output cut?"), "{stdout}");
    assert_eq!(host.names(), Vec::<String>::new());
}

#[test]
fn published_files_can_be_read_by_all_whatever_the_umask() {
    let host = Host::new(&[("a.yaml", "module: netstat\n")]);
    let status = std::process::Command::new("/bin/sh")
        .args(["-c", "umask 077; exec \"$0\" --collectors-dir \"$1\" --textfile-dir \"$2\" run"])
        .arg(env!("CARGO_BIN_EXE_promdrop"))
        .args([host.collectors(), host.textfiles()])
        .status()
        .unwrap();
    assert!(status.success());
    let mode = |file: &str| fs::metadata(host.textfiles().join(file)).unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode("a.prom"), mode("promdrop.prom"), mode(".promdrop.lock")), (0o644, 0o644, 0o600));
}
